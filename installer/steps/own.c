/* SPDX-License-Identifier: Apache-2.0 */
/* The installer's own folders, and its configuration, by which every later run knows this host. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"
#include "installer/state.h"
#include "installer/steps/steps-internal.h"

#define OWN_FOLDER "/etc/byoh/"

/* Names in /etc/byoh that have another meaning. */
static const char *const taken_names[] = {
	"byoh.yaml",  "byoh.yaml.sig", "sysctl.conf", "agent.env", "bootstrap-kubeconfig.conf",
	"join.kubeconfig", "join-ca.crt", "keys.d", "revoked.d", "kubeadm-join.yaml", "kubeadm-discovery.conf",
};

static const struct {
	const char *path;
	mode_t mode;
	bool strict;
} own_directories[] = {
	{ "/etc/byoh", 0700, true },
	{ "/var/lib/byoh", 0700, true },
	{ "/var/log/byoh", 0700, true },
};

static bool is_taken(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken_names); i++)
		if (!strcmp(name, taken_names[i]))
			return true;
	return !name[0] || !strcmp(name, ".") || !strcmp(name, "..");
}

/* Two files of the config may have one base name only if they are the same file. */
static bool clashes(const struct byoh_step *step, const char *path, const struct byoh_buffer *bytes)
{
	for (size_t i = 0; i < step->action_count; i++) {
		const struct byoh_action *other = &step->actions[i];

		if (other->kind == BYOH_ACTION_FILE && !strcmp(other->subject, path))
			return other->content.size != bytes->size ||
			       (bytes->size &&
				memcmp(other->content.data, bytes->data, bytes->size));
	}
	return false;
}

static bool stands_already(const struct byoh_step *step, const char *path)
{
	for (size_t i = 0; i < step->action_count; i++)
		if (!strcmp(step->actions[i].subject, path))
			return true;
	return false;
}

/* named: as the config writes it. The installed config finds it by its base name beside itself. */
static int side_file(const struct byoh_plan_input *input, struct byoh_step *step, const char *named,
		     const struct byoh_buffer *bytes, bool secret, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	const char *slash, *base;

	if (!named || !bytes->size)
		return 0;
	slash = strrchr(named, '/');
	base = slash ? slash + 1 : named;
	if (is_taken(base))
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EEXIST,
			"the config names the file \"%s\", whose copy in /etc/byoh would stand in "
			"another's place; give it another name",
			named);
	if (asprintf(&path, OWN_FOLDER "%s", base) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (clashes(step, path, bytes))
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EEXIST,
			"the config names two different files called \"%s\", and their copies in "
			"/etc/byoh need different names; rename one",
			base);
	if (stands_already(step, path))
		return 0;
	if (secret)
		return byoh_steps_secret(input, step, path, bytes, err);
	return byoh_steps_file(input, step, path, 0644, bytes->data, bytes->size, NULL, err);
}

static int token_file(const struct byoh_plan_input *input, struct byoh_step *step,
		      const char *named, const char *token, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!named || !token)
		return 0;
	rc = byoh_buffer_printf(&text, err, "%s\n", token);
	return rc ? rc : side_file(input, step, named, &text, true, err);
}

/* What the operator's kubeconfig came down to, in the form that this program writes itself. */
static int kubeconfig_file(const struct byoh_plan_input *input, struct byoh_step *step,
			   struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!config->cluster.kubeconfig_file || !byoh_steps_can_join(input))
		return 0;
	rc = byoh_kubeconfig_write_bootstrap(config->cluster.name, config->cluster.server,
					     &config->cluster.ca, config->cluster.token, &text, err);
	return rc ? rc : side_file(input, step, config->cluster.kubeconfig_file, &text, true, err);
}

static int side_files(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	int rc;

	rc = side_file(input, step, config->cluster.ca_discovered ? BYOH_DISCOVERED_CA : config->cluster.ca_file,
		       &config->cluster.ca, false, err);
	if (!rc)
		rc = token_file(input, step, config->cluster.token_file, config->cluster.token,
				err);
	if (!rc)
		rc = kubeconfig_file(input, step, err);
	if (!rc)
		rc = token_file(input, step, config->kube_proxy.token_file,
				config->kube_proxy.token, err);
	if (!rc)
		rc = side_file(input, step, config->kube_proxy.kubeconfig_file,
			       &config->kube_proxy.kubeconfig, true, err);
	if (!rc)
		rc = side_file(input, step, config->node.kubelet_file, &config->node.kubelet_text,
			       false, err);
	if (!rc)
		rc = side_file(input, step, config->cni.conflist_file, &config->cni.conflist, false,
			       err);
	return rc;
}

/* The same once more where neither an editor nor the agent gets: status and repair go by it, and a rollback
 * goes back to it. */
static int keep_copies(struct byoh_step *step, struct byoh_error *err)
{
	size_t count = step->action_count;
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		CLEANUP_SECRET_BUFFER struct byoh_buffer bytes = { 0 };
		CLEANUP_FREE char *path = NULL;
		struct byoh_action *action;

		if (step->actions[i].kind != BYOH_ACTION_FILE)
			continue;
		if (asprintf(&path, BYOH_CONFIG_FOLDER "/%s",
			     step->actions[i].subject + strlen(OWN_FOLDER)) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		rc = byoh_buffer_add(&bytes, step->actions[i].content.data,
				     step->actions[i].content.size, err);
		if (!rc)
			rc = byoh_step_file(step, path, 0600, byoh_buffer_text(&bytes), bytes.size,
					    &action, err);
		if (!rc)
			action->secret = true;
	}
	return rc;
}

int byoh_step_own(const struct byoh_plan_input *input, struct byoh_step *step,
		  struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(own_directories); i++) {
		rc = byoh_step_directory(step, own_directories[i].path, own_directories[i].mode,
					 own_directories[i].strict, err);
		if (rc)
			return rc;
	}
	if (config->text.size) {
		rc = byoh_steps_secret(input, step, OWN_FOLDER "byoh.yaml", &config->text, err);
		if (!rc && config->signature.size)
			rc = byoh_steps_file(input, step, OWN_FOLDER "byoh.yaml.sig", 0644,
					     config->signature.data, config->signature.size, NULL,
					     err);
		if (!rc)
			rc = side_files(input, step, err);
		if (!rc)
			rc = keep_copies(step, err);
		if (rc)
			return rc;
	}
	return byoh_step_sentence(step, err, "Make the installer's own folders%s",
				  config->text.size ? " and keep its configuration" : "");
}
