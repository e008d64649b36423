/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that containerd, the kubelet and the agent expect, with the modes that they use
 * themselves. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

static const struct {
	const char *needed_by;
	const char *path;
	mode_t mode;
} folders[] = {
	{ BYOH_BIN_CONTAINERD, "/etc/containerd", 0755 },
	{ BYOH_BIN_CONTAINERD, "/etc/containerd/conf.d", 0755 },
	{ BYOH_BIN_CONTAINERD, BYOH_CONTAINERD_CERTS, 0755 },
	{ BYOH_BIN_CONTAINERD, "/etc/cni", 0755 },
	{ BYOH_BIN_CONTAINERD, BYOH_CNI_CONFIG, 0755 },
	{ BYOH_BIN_CONTAINERD, "/opt/cni", 0755 },
	{ BYOH_BIN_CONTAINERD, BYOH_CNI_BIN, 0755 },
	{ BYOH_BIN_KUBELET, "/etc/kubernetes", 0755 },
	{ BYOH_BIN_KUBELET, "/etc/kubernetes/pki", 0755 },
	{ BYOH_BIN_KUBELET, BYOH_KUBERNETES_MANIFESTS, 0755 },
	{ BYOH_BIN_KUBELET, "/var/lib/kubelet", 0700 },
	{ BYOH_BIN_KUBE_PROXY, "/var/lib/kube-proxy", 0755 },
};

/* Without the file of name servers that it is told no kubelet starts a pod; a site without a network has none,
 * and needs none in it. What somebody writes into it later is theirs. */
static int name_servers(const struct byoh_plan_input *input, struct byoh_step *step,
			struct byoh_error *err)
{
	struct byoh_action *action;
	int rc;

	if (!byoh_steps_brings(input, BYOH_BIN_KUBELET) || input->host->has_resolved ||
	    input->config->node.resolv_conf)
		return 0;
	rc = byoh_step_file(step, "/etc/resolv.conf", 0644, "", 0, &action, err);
	if (!rc)
		action->create_only = true;
	return rc;
}

int byoh_step_directories(const struct byoh_plan_input *input, struct byoh_step *step,
			  struct byoh_error *err)
{
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (!strcmp(folders[i].needed_by, BYOH_BIN_CONTAINERD)
			    ? !byoh_steps_has_containerd(input)
			    : !byoh_steps_brings(input, folders[i].needed_by))
			continue;
		rc = byoh_step_directory(step, folders[i].path, folders[i].mode, false, err);
		if (rc)
			return rc;
	}
	rc = name_servers(input, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Make the folders of containerd and Kubernetes");
}
