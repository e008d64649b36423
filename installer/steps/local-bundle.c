/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.localBundle: the files of the release once more, where the scripts of agents that run them (the fork's up to
 * v0.5.5) look for a bundle before they ask a registry. Copies, since the scripts copy them over the
 * installed files, and cp refuses to copy a file over itself. The scripts' uninstallation deletes them; repair makes
 * them anew from the bundle that is kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

#define IMGPKG "/usr/local/bin/imgpkg"

static const struct {
	const char *from, *to; /* a file, a folder */
} layout[] = {
	{ "usr/local/bin/kubeadm", "bin" },
	{ "usr/local/bin/kubelet", "bin" },
	{ "usr/local/bin/kubectl", "bin" },
	{ "usr/local/bin/kube-proxy", "bin" },
	{ "usr/local/bin/crictl", "bin" },
	{ "usr/local/bin/containerd", "containerd/bin" },
	{ "usr/local/bin/containerd-shim-runc-v2", "containerd/bin" },
	{ "usr/local/bin/ctr", "containerd/bin" },
	{ "usr/local/bin/runc", "containerd/bin" },
};

/* The scripts look for imgpkg, and fetch it where it is not, before they look at the local bundle. */
static const char imgpkg_stub[] =
	"#!/bin/sh\n"
	"# In place of imgpkg, which a host without a network has no use for.\n"
	"echo \"imgpkg: there is no network here, and the local bundle was not taken: is agent.localBundle right?\" >&2\n"
	"exit 1\n";

static bool is_ubuntu(const struct byoh_host *host, const char **ret_release)
{
	static const char *const releases[] = { "20.04", "22.04", "24.04" };

	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		*ret_release = releases[i];
		if (strcmp(host->os_id, "ubuntu") == 0 && strcmp(host->os_version_id, releases[i]) == 0)
			return true;
	}
	return false;
}

/* As the agent calls it: the patch level is always 1. */
static int os_name(const struct byoh_plan_input *input, struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *arch = strcmp(input->manifest->arch, "arm64") == 0 ? "aarch64" : "x86-64";
	const char *release;

	if (input->config->agent.bundle_os)
		return byoh_buffer_add_string(ret, input->config->agent.bundle_os, err);
	if (is_ubuntu(input->host, &release))
		return byoh_buffer_printf(ret, err, "ubuntu_%s.1_%s", release, arch);
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "agent.localBundle: agents have scripts for Ubuntu 20.04, 22.04 and 24.04, and this host is %s %s; "
			 "write \"os\" as the agent calls it (ubuntu_24.04.1_%s), or leave localBundle out",
			 input->host->os_id, input->host->os_version_id, arch);
}

static int folder_name(const struct byoh_plan_input *input, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer os = { 0 };
	const char *version = input->manifest->kubernetes;
	int rc = os_name(input, &os, err);

	if (!rc && !version)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
				 "agent.localBundle: the bundle names no Kubernetes version, which is a part of the "
				 "folder's name");
	return rc ? rc : byoh_buffer_printf(ret, err, BYOH_LOCAL_BUNDLES "/%s/byoh-bundle-%s_k8s:%s%s",
					    input->config->agent.bundle_repo, byoh_buffer_text(&os),
					    *version == 'v' ? "" : "v", version);
}

/* Each folder once: they are made in order, from the outermost. */
static int add_folders(struct byoh_step *step, const char *path, struct byoh_error *err)
{
	size_t start = strlen(BYOH_LOCAL_BUNDLES);
	int rc = 0;

	for (size_t end = start + 1; !rc && path[end - 1]; end++) {
		CLEANUP_FREE char *folder = NULL;
		bool known = false;

		if (path[end] && path[end] != '/')
			continue;
		folder = strndup(path, end);
		if (!folder)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		for (size_t i = 0; i < step->action_count; i++)
			known |= strcmp(step->actions[i].subject, folder) == 0;
		if (!known)
			rc = byoh_step_directory(step, folder, 0755, false, err);
		if (!path[end])
			break;
	}
	return rc;
}

static int add_copy(const struct byoh_plan_input *input, struct byoh_step *step, const struct byoh_file *file,
		    const char *folder, struct byoh_error *err)
{
	const char *name = strrchr(file->path, '/') + 1;
	CLEANUP_FREE char *path = NULL;
	struct byoh_action *action;
	bool left_out;
	int rc;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = add_folders(step, folder, err);
	if (!rc && file->type == BYOH_FILE_SYMLINK)
		return byoh_step_link(step, path, file->target, err);
	if (!rc)
		rc = byoh_steps_leaves_out(input, file, &left_out, err);
	if (!rc)
		rc = byoh_step_bundle_copy(step, file, path, &action, err);
	/* What stays out elsewhere is unpacked to here alone. */
	if (!rc)
		action->copy = !left_out;
	return rc;
}

bool byoh_steps_has_local_bundle(const struct byoh_plan_input *input)
{
	return input->config->join_mode == BYOH_JOIN_AGENT && input->config->agent.bundle_repo &&
	       byoh_steps_brings(input, BYOH_BIN_AGENT);
}

/* Where in the bundle it goes; NULL: not there. */
static const char *folder_in_bundle(const struct byoh_file *file)
{
	if (file->type == BYOH_FILE_DIRECTORY)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(layout); i++)
		if (strcmp(file->path, layout[i].from) == 0)
			return layout[i].to;
	return strncmp(file->path, "opt/cni/bin/", strlen("opt/cni/bin/")) == 0 ? "cni/bin" : NULL;
}

bool byoh_steps_is_in_local_bundle(const struct byoh_plan_input *input, const struct byoh_file *file)
{
	return byoh_steps_has_local_bundle(input) && folder_in_bundle(file);
}

static int add_files(const struct byoh_plan_input *input, struct byoh_step *step, const char *root,
		     struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < input->index->file_count && !rc; i++) {
		const struct byoh_file *file = &input->index->files[i];
		CLEANUP_FREE char *folder = NULL;
		const char *to = folder_in_bundle(file);

		if (!to)
			continue;
		if (asprintf(&folder, "%s/%s", root, to) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		rc = add_copy(input, step, file, folder, err);
	}
	return rc;
}

/* Some scripts look for it beside bin, and install what is in bin. */
static int add_kubeadm_link(const struct byoh_plan_input *input, struct byoh_step *step, const char *root,
			    struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (!byoh_steps_brings(input, "/usr/local/bin/kubeadm"))
		return 0;
	if (asprintf(&path, "%s/kubeadm", root) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return byoh_step_link(step, path, "bin/kubeadm", err);
}

static int add_imgpkg(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_FREE char *theirs = NULL;
	int rc = byoh_host_foreign_program(input->host, "imgpkg", &theirs, err);

	return rc || theirs ? rc : byoh_steps_text(input, step, IMGPKG, 0755, imgpkg_stub, err);
}

int byoh_step_local_bundle(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer root = { 0 };
	int rc;

	if (!byoh_steps_has_local_bundle(input))
		return 0;
	rc = folder_name(input, &root, err);
	if (!rc)
		rc = add_files(input, step, root.data, err);
	if (!rc)
		rc = add_kubeadm_link(input, step, root.data, err);
	if (!rc)
		rc = add_imgpkg(input, step, err);
	return rc ? rc : byoh_step_sentence(step, err, "Lay a local bundle out for the agent's scripts");
}
