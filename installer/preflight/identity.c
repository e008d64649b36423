/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is: its id, and whether it is or was a node of a cluster. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"

static bool is_hex(const char *text)
{
	return strspn(text, "0123456789abcdef") == strlen(text);
}

static int check_machine_id(const struct byoh_plan_input *input, struct byoh_check_report *report,
			    struct byoh_error *err)
{
	const struct byoh_host *host = input->host;

	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no part of a node");
	byoh_check_remedy(
		report,
		"rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup");
	if (!host->machine_id[0]) /* an image gets its own at its first boot, and should have none
				   */
		return host->live ? byoh_check_fail(report, "/etc/machine-id is empty")
				  : byoh_check_pass(report,
						    "empty: each copy of the image gets its own");
	if (strlen(host->machine_id) != 32 || !is_hex(host->machine_id) ||
	    strspn(host->machine_id, "0") == 32)
		return byoh_check_fail(report, "/etc/machine-id holds no id (machine-id(5))");
	if (!host->live)
		return byoh_check_warn(
			report, "an image with a machine-id: all its copies will be one machine");
	return byoh_check_pass(report, "%.32s", host->machine_id);
}

static int check_cluster_member(const struct byoh_plan_input *input,
				struct byoh_check_report *report, struct byoh_error *err)
{
	static const char *const places[] = { BYOH_KUBELET_KUBECONFIG,
					      "/etc/kubernetes/admin.conf",
					      "/etc/rancher/k3s",
					      "/etc/rancher/rke2",
					      "/var/lib/rancher/k3s",
					      "/var/lib/rancher/rke2",
					      "/etc/k0s",
					      "/var/lib/k0s",
					      "/var/snap/microk8s" };

	(void)err;
	if (!byoh_check_has_kubelet(input) && !byoh_check_has_agent(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor agent");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (!byoh_host_exists(input->host->root_fd, places[i]))
			continue;
		byoh_check_remedy(report,
				  "an agent started here could wipe that node: drain and delete "
				  "it, then kubeadm "
				  "reset -f (or the uninstaller of its distribution) and remove %s",
				  places[i]);
		return byoh_check_fail(report, "this host is or was a node of a cluster: %s exists",
				       places[i]);
	}
	return byoh_check_pass(report, "of none");
}

static int check_leftovers(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	static const char *const cni[] = { ".conf", ".conflist", ".json", NULL };
	static const char *const yaml[] = { ".yaml", ".yml", ".json", NULL };
	static const struct {
		const char *path;
		const char *const *suffixes;
		bool agent;
		const char *effect;
	} places[] = {
		{ "/var/lib/kubelet", NULL, false, "an earlier kubelet's state" },
		{ BYOH_CNI_CONFIG, cni, false, "containerd takes the first file of the folder" },
		{ "/etc/kubernetes/manifests", yaml, false, "the kubelet would run it" },
		{ "/etc/kubernetes/pki", NULL, false, "an earlier cluster's certificates" },
		{ "/var/lib/etcd", NULL, false, "an earlier control plane's data" },
		{ "/root/.byoh", NULL, true, "the agent would use it and not register anew" },
	};
	char name[256];

	(void)err;
	if (!byoh_check_has_kubelet(input) && !byoh_check_has_agent(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor agent");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if ((places[i].agent && input->config->join_mode != BYOH_JOIN_AGENT) ||
		    !byoh_check_directory_has(input->host, places[i].path, places[i].suffixes,
					      name))
			continue;
		byoh_check_remedy(report,
				  "if it is not needed: kubeadm reset -f where there is one, then "
				  "move %s away",
				  places[i].path);
		return byoh_check_fail(report, "%s/%.100s is there: %s", places[i].path, name,
				       places[i].effect);
	}
	return byoh_check_pass(report, "none");
}

const struct byoh_check byoh_checks_identity[] = {
	{ .id = "machine-id", .run = check_machine_id },
	{ .id = "cluster-member", .fresh_only = true, .run = check_cluster_member },
	{ .id = "leftovers", .fresh_only = true, .run = check_leftovers },
	{ .id = NULL },
};
