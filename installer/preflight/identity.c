/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is: its id, and whether it is or was a node of a cluster. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ledger.h"
#include "installer/preflight/checks.h"
#include "installer/steps/node-state.h"
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

/* A control plane, or a distribution with a supervisor of its own, is no node to be given away. */
static int check_adopted_node(struct byoh_check_report *report, const char *place)
{
	if (strcmp(place, BYOH_KUBELET_KUBECONFIG) != 0) {
		byoh_check_remedy(report, "leave this host as it is, or reset it and install anew");
		return byoh_check_fail(report, "%s exists: only a worker can be adopted", place);
	}
	byoh_check_remedy(report,
			  "let no cluster claim this host unless its pods may go: when it is released, or its claim "
			  "fails, the agent wipes /etc/kubernetes and /var/lib/kubelet, mounted volumes included");
	return byoh_check_warn(report, "this node is adopted: its kubelet and certificates stay as they are");
}

static int check_cluster_member(const struct byoh_plan_input *input,
				struct byoh_check_report *report, struct byoh_error *err)
{
	/* the one that can be adopted last */
	static const char *const places[] = { "/etc/kubernetes/admin.conf",
					      "/etc/rancher/k3s",
					      "/etc/rancher/rke2",
					      "/var/lib/rancher/k3s",
					      "/var/lib/rancher/rke2",
					      "/etc/k0s",
					      "/var/lib/k0s",
					      "/var/snap/microk8s",
					      BYOH_KUBELET_KUBECONFIG };

	(void)err;
	if (!byoh_check_has_kubelet(input) && !byoh_check_has_agent(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor agent");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (!byoh_host_exists(input->host->root_fd, places[i]))
			continue;
		if (byoh_steps_adopts_node(input))
			return check_adopted_node(report, places[i]);
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
		bool agent, of_node;
		const char *effect;
	} places[] = {
		{ "/var/lib/kubelet", NULL, false, true, "an earlier kubelet's state" },
		{ BYOH_CNI_CONFIG, cni, false, true, "containerd takes the first file of the folder" },
		{ "/etc/kubernetes/manifests", yaml, false, true, "the kubelet would run it" },
		{ "/etc/kubernetes/pki", NULL, false, true, "an earlier cluster's certificates" },
		{ "/var/lib/etcd", NULL, false, false, "an earlier control plane's data" },
		{ "/root/.byoh", NULL, true, false, "the agent would use it and not register anew" },
	};
	char name[256];

	(void)err;
	if (!byoh_check_has_kubelet(input) && !byoh_check_has_agent(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor agent");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if ((places[i].agent && input->config->join_mode != BYOH_JOIN_AGENT) ||
		    (places[i].of_node && byoh_steps_adopts_node(input)) ||
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

/* A node that the installer itself has made: its kubelet would be stopped, and no adopting helps. */
static int check_mode_change(const struct byoh_plan_input *input, struct byoh_check_report *report,
			     struct byoh_error *err)
{
	(void)err;
	if (input->config->join_mode != BYOH_JOIN_AGENT || !input->host->carries_release || !input->ledger)
		return byoh_check_skip(report, "no agent is to come to a host that was installed without");
	if (byoh_ledger_find(input->ledger, BYOH_ACTION_FILE, BYOH_UNIT_DIR "/byoh-hostagent.service") ||
	    !byoh_kubelet_is_admitted(input->host))
		return byoh_check_pass(report, "the agent comes to no node");
	byoh_check_remedy(report, "drain and delete the node, then byoh-install uninstall, then install anew");
	return byoh_check_fail(report, "this host joined its cluster without an agent, and one that comes now could wipe "
				       "the node");
}

/* The agent goes by its own kubeconfig as soon as there is one, and with a stale one it says little and does nothing.
 * An upgrade is not refused for it: it makes nothing worse. */
static int check_agent_config(const struct byoh_plan_input *input, struct byoh_check_report *report,
			      struct byoh_error *err)
{
	CLEANUP_AGENT_CONFIG struct byoh_agent_config agent = { 0 };
	CLEANUP_BUFFER struct byoh_buffer fault = { 0 };
	int rc;

	if (input->config->join_mode != BYOH_JOIN_AGENT || !byoh_check_has_agent(input))
		return byoh_check_skip(report, "no agent runs");
	rc = byoh_agent_config_look(input->host, input->config, &agent, err);
	if (rc == 0)
		rc = byoh_agent_config_describe(&agent, &fault, err);
	if (rc < 0)
		return rc;
	if (agent.state == BYOH_AGENT_CONFIG_NONE)
		return byoh_check_pass(report, "none yet: the agent asks for one");
	if (!byoh_agent_config_is_stale(&agent))
		return byoh_check_pass(report, "of this cluster");
	byoh_check_remedy(report,
			  "if this host is no node of that cluster any more: mv " BYOH_AGENT_CONFIG " " BYOH_AGENT_CONFIG
			  ".old, then systemctl restart byoh-hostagent");
	if (input->host->carries_release)
		return byoh_check_warn(report, "%.250s", byoh_buffer_text(&fault));
	return byoh_check_fail(report, "%.250s", byoh_buffer_text(&fault));
}

const struct byoh_check byoh_checks_identity[] = {
	{ .id = "machine-id", .run = check_machine_id },
	{ .id = "cluster-member", .fresh_only = true, .run = check_cluster_member },
	{ .id = "mode-change", .run = check_mode_change },
	{ .id = "agent-config", .run = check_agent_config },
	{ .id = "leftovers", .fresh_only = true, .run = check_leftovers },
	{ .id = NULL },
};
