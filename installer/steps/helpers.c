/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/path.h"
#include "installer/steps/steps-internal.h"

/* An fstab or hosts file beyond this is a mistake. */
#define TEXT_MAX ((size_t)4 << 20)

const char *const byoh_steps_unit_folders[] = {
	"/etc/systemd/system",
	"/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system",
	"/lib/systemd/system",
	NULL,
};

bool byoh_steps_brings(const struct byoh_plan_input *input, const char *path)
{
	const struct byoh_file *file = byoh_index_find(input->index, path + (path[0] == '/'));

	return file && file->type != BYOH_FILE_DIRECTORY;
}

bool byoh_steps_runs_kubelet(const struct byoh_plan_input *input)
{
	return input->config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP &&
	       byoh_steps_brings(input, BYOH_BIN_KUBELET);
}

bool byoh_steps_runs_kube_proxy(const struct byoh_plan_input *input)
{
	return input->config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP &&
	       input->config->kube_proxy.manage && byoh_steps_brings(input, BYOH_BIN_KUBE_PROXY);
}

bool byoh_steps_knows_kube_proxy(const struct byoh_plan_input *input)
{
	const struct byoh_config *config = input->config;

	return config->kube_proxy.kubeconfig.size ||
	       (config->kube_proxy.token && config->cluster.server && config->cluster.ca.size);
}

bool byoh_steps_can_join(const struct byoh_plan_input *input)
{
	const struct byoh_config *config = input->config;

	return config->cluster.server && config->cluster.ca.size && config->cluster.token;
}

int byoh_steps_file(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		    mode_t mode, const void *bytes, size_t size, struct byoh_action **ret,
		    struct byoh_error *err)
{
	if (ret)
		*ret = NULL;
	if (byoh_steps_brings(input, path))
		return 0;
	return byoh_step_file(step, path, mode, bytes ? bytes : "", size, ret, err);
}

int byoh_steps_text(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		    mode_t mode, const char *text, struct byoh_error *err)
{
	return byoh_steps_file(input, step, path, mode, text, strlen(text), NULL, err);
}

int byoh_steps_secret(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		      const struct byoh_buffer *bytes, struct byoh_error *err)
{
	struct byoh_action *action;
	int rc;

	rc = byoh_steps_file(input, step, path, 0600, bytes->data, bytes->size, &action, err);
	if (!rc && action)
		action->secret = true;
	return rc;
}

int byoh_steps_enable(struct byoh_step *step, const char *unit, struct byoh_error *err)
{
	return byoh_step_enable(step, unit, BYOH_UNIT_DIR, "multi-user.target", err);
}

int byoh_steps_read(const struct byoh_host *host, const char *path, struct byoh_buffer *ret,
		    mode_t *ret_mode, struct byoh_error *err)
{
	struct stat status;
	int rc;

	rc = byoh_stat_beneath(host->root_fd, path, &status, NULL);
	if (rc == -ENOENT)
		return rc;
	if (rc)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "cannot look at %s: %s", path,
				 strerror(-rc));
	if (!S_ISREG(status.st_mode))
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EINVAL,
				 "%s is no regular file and would have to be changed; make it one",
				 path);
	if (ret_mode)
		*ret_mode = status.st_mode & 07777;
	return byoh_read_file(host->root_fd, path, TEXT_MAX, ret, err);
}

/* Not byoh_exists_beneath: that counts a link in the way (/lib on a merged /usr) as something
 * there. */
bool byoh_steps_exists(const struct byoh_host *host, const char *path)
{
	struct stat status;

	return byoh_stat_beneath(host->root_fd, path, &status, NULL) == 0;
}

bool byoh_steps_unit_exists(const struct byoh_host *host, const char *unit)
{
	char path[512];

	for (size_t i = 0; byoh_steps_unit_folders[i]; i++) {
		int size = snprintf(path, sizeof(path), "%s/%s", byoh_steps_unit_folders[i], unit);

		if (size > 0 && (size_t)size < sizeof(path) && byoh_steps_exists(host, path))
			return true;
	}
	return false;
}

int byoh_steps_one_line(const char *value, const char *what, struct byoh_error *err)
{
	for (const char *at = value; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return byoh_fail(
				err, BYOH_ERROR_CONFIG, EINVAL,
				"%s holds a control character; it has to be plain text on one line",
				what);
	return 0;
}

static bool read_number(const char **at, unsigned int *ret)
{
	const char *start = *at;
	unsigned int value = 0;

	while (**at >= '0' && **at <= '9' && *at - start < 6)
		value = value * 10 + (unsigned int)(*(*at)++ - '0');
	*ret = value;
	return *at > start;
}

bool byoh_steps_version(const char *text, unsigned int *ret_major, unsigned int *ret_minor)
{
	const char *at = text;

	at += *at == 'v';
	if (!read_number(&at, ret_major) || *at++ != '.')
		return false;
	return read_number(&at, ret_minor);
}

static int adopted_version(const struct byoh_host *host, unsigned int *ret_major,
			   unsigned int *ret_minor, struct byoh_error *err)
{
	if (byoh_steps_version(host->containerd_version, ret_major, ret_minor) && *ret_major >= 1)
		return 0;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENODATA,
			 "which version %s is cannot be told%s, and its configuration depends on it; "
			 "%sset containerd.existing: replace",
			 host->containerd_program, host->live ? "" : " without running it",
			 host->live ? "" : "install on the running host, or ");
}

int byoh_steps_containerd_version(const struct byoh_plan_input *input, unsigned int *ret_major,
				  unsigned int *ret_minor, struct byoh_error *err)
{
	const struct byoh_component *component =
		byoh_manifest_component(input->manifest, "containerd");

	if (byoh_steps_adopts(input))
		return adopted_version(input->host, ret_major, ret_minor, err);
	if (!component || !component->version)
		return byoh_fail(
			err, BYOH_ERROR_FORMAT, EBADMSG,
			"the bundle brings %s but no component \"containerd\" with its version, which "
			"its configuration depends on; build it again with one",
			BYOH_BIN_CONTAINERD);
	if (!byoh_steps_version(component->version, ret_major, ret_minor) || *ret_major < 1)
		return byoh_fail(
			err, BYOH_ERROR_FORMAT, EBADMSG,
			"the bundle's containerd has the version \"%s\", which is none that can be "
			"configured (1.x and 2.x can)",
			component->version);
	return 0;
}

/* "registry.k8s.io/pause:3.10.2", "localhost:5000/pause@sha256:..." */
static bool is_pause(const char *ref)
{
	const char *name = strrchr(ref, '/');

	name = name ? name + 1 : ref;
	return !strncmp(name, "pause", 5) && strchr(":@", name[5]);
}

static const char *bundled_pause(const struct byoh_manifest *manifest)
{
	for (size_t i = 0; i < manifest->image_count; i++)
		if (is_pause(manifest->images[i].ref))
			return manifest->images[i].ref;
	return NULL;
}

int byoh_steps_sandbox_image(const struct byoh_plan_input *input, const char **ret,
			     struct byoh_error *err)
{
	const char *asked = input->config->containerd.sandbox_image;
	const char *brought = bundled_pause(input->manifest);

	*ret = asked ? asked : brought;
	/* A mirror may serve it; without one only an imported image can be had. */
	if (!asked || !input->manifest->image_count || input->config->mirror_count ||
	    byoh_manifest_image(input->manifest, asked))
		return 0;
	return byoh_fail(
		err, BYOH_ERROR_CONFIG, ENOENT,
		"containerd.sandboxImage: \"%s\" is none of the bundle's images, so no pod could start "
		"without a network; %s%s%s",
		asked, brought ? "leave the key out or write \"" : "bring it in the bundle",
		brought ? brought : "", brought ? "\"" : "");
}

int byoh_steps_kubelet_input(const struct byoh_plan_input *input, struct byoh_kubelet_input *ret,
			     struct byoh_error *err)
{
	const struct byoh_component *containerd =
		byoh_manifest_component(input->manifest, "containerd");
	int rc;

	*ret = (struct byoh_kubelet_input){
		.config = input->config,
		.resolv_conf =
			input->host->has_resolved ? BYOH_RESOLVED_FILE : NULL,
	};
	if (!input->manifest->kubernetes)
		return byoh_fail(
			err, BYOH_ERROR_FORMAT, EBADMSG,
			"the bundle brings %s but its manifest names no Kubernetes version, which its "
			"configuration depends on; build it again with `kubernetes:` in the spec",
			BYOH_BIN_KUBELET);
	rc = byoh_kubernetes_version_parse(input->manifest->kubernetes, &ret->version, err);
	if (rc)
		return rc;
	ret->images_pinned = byoh_images_can_be_pinned(
		&ret->version, byoh_steps_adopts(input) ? input->host->containerd_version :
			       containerd		? containerd->version :
							  NULL);
	return byoh_steps_sandbox_image(input, &ret->sandbox_image, err);
}
