/* SPDX-License-Identifier: Apache-2.0 */
/* Where secrets lie on a host of ours: each is read only to be looked for in what is collected. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-view.h"
#include "installer/steps/steps-internal.h"
#include "installer/support/support-bundle.h"

#define FILE_MAX ((size_t)1 << 20)

/* Folders of files of which any may be, or hold, one. */
static const char *const folders[] = {
	"/etc/byoh", "/var/lib/byoh/config", "/var/lib/byoh/previous/config", "/root/.byoh", "/etc/kubernetes",
	"/etc/kubernetes/pki", "/var/lib/kubelet/pki", "/etc/containerd", "/etc/containerd/conf.d", "/run/kubeadm",
	"/run/cluster-api", "/var/lib/kube-proxy", "/var/lib/kube-proxy/pki",
};

static const char *const files[] = { "/var/lib/byoh/byoh-client.key.tmp", "/var/lib/kubelet/config.json",
				     "/root/.docker/config.json", "/proc/cmdline" };

struct learning {
	const struct byoh_host *host;
	struct byoh_redactor *redactor;
	const char *folder;
};

static int learn_text(struct learning *learning, const struct byoh_buffer *text, struct byoh_error *err)
{
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
	const char *bytes = byoh_buffer_text(text);
	int rc = byoh_redactor_learn(learning->redactor, bytes, text->size, err);

	if (rc < 0 || byoh_kubeconfig_view(learning->host->root_fd, bytes, text->size, &view, NULL) < 0)
		return rc;
	if (view.token)
		rc = byoh_redactor_add(learning->redactor, view.token, strlen(view.token), err);
	if (rc == 0 && view.key.size)
		rc = byoh_redactor_learn(learning->redactor, view.key.data, view.key.size, err);
	return rc < 0 || !view.key.size ? rc : byoh_redactor_add(learning->redactor, view.key.data, view.key.size, err);
}

static int learn_file(struct learning *learning, const char *path, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };

	/* What cannot be read cannot be collected either. */
	if (byoh_host_read(learning->host->root_fd, path, FILE_MAX, &text, NULL) < 0)
		return 0;
	return learn_text(learning, &text, err);
}

static int learn_named(void *context, const char *name, struct byoh_error *err)
{
	struct learning *learning = context;
	char path[BYOH_PATH_MAX];

	/* A log is no secret, and the one word in it need not be one. */
	if (snprintf(path, sizeof(path), "%s/%s", learning->folder, name) >= (int)sizeof(path))
		return 0;
	return learn_file(learning, path, err);
}

static int add(struct byoh_redactor *redactor, const char *secret, struct byoh_error *err)
{
	return secret ? byoh_redactor_add(redactor, secret, strlen(secret), err) : 0;
}

/* As containerd and HTTP carry a name and its password. */
static int add_pair(struct byoh_redactor *redactor, const struct byoh_registry_config *registry, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer pair = { 0 }, encoded = { 0 };
	int rc;

	if (!registry->username || !registry->password)
		return 0;
	rc = byoh_buffer_printf(&pair, err, "%s:%s", registry->username, registry->password);
	if (rc == 0)
		rc = byoh_base64_encode(pair.data, pair.size, &encoded, err);
	return rc < 0 ? rc : byoh_redactor_add(redactor, encoded.data, encoded.size, err);
}

static int learn_config(const struct byoh_config *config, struct byoh_redactor *redactor, struct byoh_error *err)
{
	int rc = add(redactor, config->cluster.token, err);

	if (rc == 0)
		rc = add(redactor, config->kube_proxy.token, err);
	for (size_t i = 0; i < config->registry_config_count && rc == 0; i++) {
		const struct byoh_registry_config *registry = &config->registry_configs[i];

		rc = add(redactor, registry->password, err);
		if (rc == 0)
			rc = add(redactor, registry->auth, err);
		if (rc == 0)
			rc = add(redactor, registry->identity_token, err);
		if (rc == 0)
			rc = add_pair(redactor, registry, err);
	}
	return rc;
}

int byoh_support_learn(const struct byoh_host *host, const struct byoh_config *config, struct byoh_redactor *redactor,
		       struct byoh_error *err)
{
	struct learning learning = { .host = host, .redactor = redactor };
	int rc = config ? learn_config(config, redactor, err) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && rc == 0; i++)
		rc = learn_file(&learning, files[i], err);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && rc == 0; i++) {
		CLEANUP_BUFFER struct byoh_buffer real = { 0 };

		learning.folder = folders[i];
		if (byoh_host_resolve(host->root_fd, folders[i], &real, NULL) < 0)
			continue;
		rc = byoh_each_name(host->root_fd, byoh_buffer_text(&real), learn_named, &learning, err);
		if (rc == -ENOTDIR)
			rc = 0;
	}
	return rc;
}
