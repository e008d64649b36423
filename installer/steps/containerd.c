/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's configuration, what it knows of registries, and crictl's way to it. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/steps/steps-internal.h"

/* A runc that was put into /usr/local/sbin comes before ours in PATH. */
static const char *replaced_runc(const struct byoh_plan_input *input)
{
	return byoh_steps_replaces(input) && byoh_steps_brings(input, BYOH_BIN_RUNC) ? BYOH_BIN_RUNC
										     : NULL;
}

int byoh_step_containerd(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_containerd_input values = {
		.root = config->containerd.root ? config->containerd.root : "/var/lib/containerd",
		.selinux = input->host->selinux_enabled,
		.runc = replaced_runc(input),
		.has_registries = config->mirror_count || config->registry_config_count,
		.registry_config_count = config->registry_config_count,
		.registry_configs = config->registry_configs,
	};
	bool secret;
	int rc;

	if (!byoh_steps_has_containerd(input))
		return 0;
	rc = byoh_steps_containerd_version(input, &values.major, &values.minor, err);
	if (!rc)
		rc = byoh_steps_sandbox_image(input, &values.sandbox_image, err);
	if (!rc && byoh_steps_adopts(input))
		return byoh_step_adopt_containerd(input, &values, step, err);
	if (!rc)
		rc = byoh_containerd_config(&values, &text, &secret, err);
	if (rc)
		return rc;
	rc = secret ? byoh_steps_secret(input, step, BYOH_CONTAINERD_CONFIG, &text, err)
		    : byoh_steps_file(input, step, BYOH_CONTAINERD_CONFIG, 0644, text.data,
				      text.size, NULL, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Configure containerd %u.%u%s", values.major,
				  values.minor,
				  byoh_steps_replaces(input) ? ", in place of the one that is there" : "");
}

static const struct byoh_mirror *mirror_of(const struct byoh_config *config, const char *registry)
{
	for (size_t i = 0; i < config->mirror_count; i++)
		if (!strcmp(config->mirrors[i].registry, registry))
			return &config->mirrors[i];
	return NULL;
}

/* The name becomes a folder's. */
static int check_registry(const char *registry, struct byoh_error *err)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-[]";

	if (!strcmp(registry, "*"))
		return 0;
	if (registry[0] && registry[0] != '.' && !registry[strspn(registry, allowed)])
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "registries: \"%s\" is no registry; write its host and port, such as "
			 "registry.lan:5000, or \"*\" for all others",
			 registry);
}

static int place_registry(const struct byoh_plan_input *input, struct byoh_step *step,
			  const char *registry, bool with_credentials, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FREE char *path = NULL;
	bool secret;
	int rc;

	rc = check_registry(registry, err);
	if (!rc)
		rc = byoh_hosts_toml(input->config, registry, mirror_of(input->config, registry),
				     with_credentials, &text, &secret, err);
	if (rc)
		return rc;
	if (asprintf(&path, BYOH_CONTAINERD_CERTS "/%s/hosts.toml",
		     strcmp(registry, "*") ? registry : "_default") < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (secret)
		return byoh_steps_secret(input, step, path, &text, err);
	return byoh_steps_file(input, step, path, 0644, text.data, text.size, NULL, err);
}

int byoh_step_registries(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	unsigned int major, minor;
	size_t count = 0;
	int rc;

	if (!byoh_steps_has_containerd(input))
		return 0;
	rc = byoh_steps_containerd_version(input, &major, &minor, err);
	for (size_t i = 0; !rc && i < config->mirror_count; i++, count++)
		rc = place_registry(input, step, config->mirrors[i].registry, major >= 2, err);
	for (size_t i = 0; !rc && i < config->registry_config_count; i++) {
		if (mirror_of(config, config->registry_configs[i].registry))
			continue;
		rc = place_registry(input, step, config->registry_configs[i].registry, major >= 2,
				    err);
		count++;
	}
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Tell containerd about %zu registries", count);
}

int byoh_step_crictl(const struct byoh_plan_input *input, struct byoh_step *step,
		     struct byoh_error *err)
{
	int rc;

	if (!byoh_steps_has_containerd(input))
		return 0;
	rc = byoh_steps_text(input, step, "/etc/crictl.yaml", 0644,
			     "runtime-endpoint: " BYOH_CONTAINERD_ENDPOINT "\n"
			     "image-endpoint: " BYOH_CONTAINERD_ENDPOINT "\n"
			     "timeout: 10\n"
			     "debug: false\n",
			     err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Point crictl to containerd");
}
