/* SPDX-License-Identifier: Apache-2.0 */
/* What several checks ask: the parts of the bundle, and folders of the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"

bool byoh_check_has_kubelet(const struct byoh_plan_input *input)
{
	return byoh_steps_brings(input, BYOH_BIN_KUBELET);
}

bool byoh_check_has_containerd(const struct byoh_plan_input *input)
{
	return byoh_steps_has_containerd(input);
}

bool byoh_check_has_kube_proxy(const struct byoh_plan_input *input)
{
	return byoh_steps_brings(input, BYOH_BIN_KUBE_PROXY);
}

bool byoh_check_has_agent(const struct byoh_plan_input *input)
{
	return byoh_steps_brings(input, BYOH_BIN_AGENT);
}

bool byoh_check_has_node_parts(const struct byoh_plan_input *input)
{
	return byoh_check_has_kubelet(input) || byoh_check_has_containerd(input) ||
	       byoh_check_has_agent(input);
}

bool byoh_check_needs_iptables(const struct byoh_plan_input *input)
{
	bool proxy = byoh_check_has_kube_proxy(input) && input->config->kube_proxy.manage &&
		     input->config->kube_proxy.mode != BYOH_PROXY_NFTABLES;

	return proxy || byoh_check_has_kubelet(input) ||
	       byoh_steps_brings(input, BYOH_CNI_BIN "/bridge") ||
	       byoh_steps_brings(input, BYOH_CNI_BIN "/portmap");
}

int byoh_check_open_nearest(const struct byoh_host *host, const char *path, struct byoh_error *err)
{
	char at[BYOH_PATH_MAX];

	if (snprintf(at, sizeof(at), "%s%s", path[0] == '/' ? "" : "/", path) >= (int)sizeof(at))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s: too long", path);
	for (;;) {
		int fd = byoh_host_open(host->root_fd, at, O_PATH | O_DIRECTORY, err);
		char *slash = strrchr(at, '/');

		if (fd >= 0 || (fd != -ENOENT && fd != -ENOTDIR) || !slash || !at[1])
			return fd;
		slash[slash == at] = 0; /* the root keeps its slash */
	}
}

static bool ends_with_any(const char *name, const char *const *suffixes)
{
	for (; suffixes && *suffixes; suffixes++) {
		size_t length = strlen(name), end = strlen(*suffixes);

		if (length >= end && !strcmp(name + length - end, *suffixes))
			return true;
	}
	return false;
}

bool byoh_check_directory_has(const struct byoh_host *host, const char *path,
			      const char *const *suffixes, char ret[256])
{
	int fd = byoh_host_open(host->root_fd, path, O_RDONLY | O_DIRECTORY, NULL);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		byoh_cleanup_fd(&fd);
		return false;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (suffixes && !ends_with_any(entry->d_name, suffixes))
			continue;
		snprintf(ret, 256, "%s", entry->d_name);
		return true;
	}
	return false;
}
