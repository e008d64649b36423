/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/node-state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/credentials.h"
#include "installer/kubeadm-config.h"
#include "installer/kubeconfig.h"
#include "installer/run.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/steps-internal.h"

#define AGENT_KUBELET_UNIT "/etc/systemd/system/kubelet.service"

/* What a reset of the agent takes away with all in it, and its next claim makes anew. */
static const char *const wiped[] = {
	"/etc/kubernetes", "/var/lib/kubelet", "/var/lib/kube-proxy", "/var/lib/etcd", "/run/kubernetes",
};

/*
 * Services
 */

static bool says(const struct byoh_buffer *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = byoh_buffer_text(text); (at = strstr(at, line)); at += length)
		if ((at == text->data || at[-1] == '\n') && (at[length] == '\n' || !at[length]))
			return true;
	return false;
}

/* Held back by a condition, or never asked to run: others start it when its time comes. */
static bool is_waiting(const struct byoh_buffer *shown)
{
	return says(shown, "ConditionTimestampMonotonic=0") || says(shown, "ConditionResult=no");
}

static const char *service_word(const struct byoh_buffer *shown)
{
	if (says(shown, "ActiveState=active") || says(shown, "ActiveState=reloading"))
		return "running";
	if (says(shown, "SubState=auto-restart") || says(shown, "ActiveState=failed"))
		return "failed";
	if (says(shown, "ActiveState=activating"))
		return "starting";
	return is_waiting(shown) ? "waiting" : "stopped";
}

static const char *ask_systemd(const char *unit)
{
	CLEANUP_BUFFER struct byoh_buffer shown = { 0 };
	const char *const argv[] = { "systemctl", "show", "--property=ActiveState,SubState,ConditionResult",
				     "--property=ConditionTimestampMonotonic", "--", unit, NULL };
	const struct byoh_run run = { .argv = argv, .output = &shown, .timeout_seconds = 60 };

	return byoh_run_checked(&run, NULL) < 0 ? "unknown" : service_word(&shown);
}

static bool is_enabled(const struct byoh_host *host, const char *unit)
{
	char link[128];

	snprintf(link, sizeof(link), "/etc/systemd/system/multi-user.target.wants/%s", unit);
	return byoh_steps_exists(host, link);
}

static void look_at_services(const struct byoh_host *host, struct byoh_node_state *ret)
{
	static const struct {
		const char *name, *unit;
	} services[BYOH_SERVICES_MAX] = {
		{ "containerd", "containerd.service" },
		{ "kubelet", "kubelet.service" },
		{ "kube-proxy", "kube-proxy.service" },
		{ "agent", "byoh-hostagent.service" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		struct byoh_service_state *service = &ret->services[ret->service_count];

		if (!byoh_steps_unit_exists(host, services[i].unit))
			continue;
		service->name = services[i].name;
		if (host->systemd_running)
			service->state = ask_systemd(services[i].unit);
		else
			service->state = is_enabled(host, services[i].unit) ? "at boot" : "waiting";
		ret->service_count++;
	}
}

/*
 * The kubelet's certificate
 */

static void look_at_certificate(struct byoh_node_state *ret)
{
	const struct byoh_node_certificate *kubelet = byoh_node_certificate(ret, "kubelet");

	if (!kubelet)
		return;
	ret->certificate = kubelet->state == BYOH_CERTIFICATE_UNREADABLE ? "unreadable" :
			   kubelet->state == BYOH_CERTIFICATE_EXPIRED ? "expired" : "valid";
	ret->certificate_expires = kubelet->expires;
}

/*
 * The agent and the node
 */

static const char *agent_word(const struct byoh_host *host)
{
	if (byoh_steps_exists(host, BYOH_AGENT_CONFIG))
		return "registered";
	if (byoh_steps_exists(host, BYOH_AGENT_KEY))
		return "requested";
	return byoh_steps_exists(host, BYOH_AGENT_BOOTSTRAP) ? "unregistered" : "waiting";
}

/* What goes by a kubeconfig that leads nowhere is not registered, whatever stands there. */
static int look_at_agent_config(const struct byoh_host *host, const struct byoh_config *config,
				struct byoh_node_state *ret, struct byoh_error *err)
{
	CLEANUP_AGENT_CONFIG struct byoh_agent_config agent = { 0 };
	CLEANUP_BUFFER struct byoh_buffer fault = { 0 };
	int rc = byoh_agent_config_look(host, config, &agent, err);

	if (rc == 0)
		rc = byoh_agent_config_describe(&agent, &fault, err);
	if (rc < 0)
		return rc;
	ret->agent_config = agent.state;
	snprintf(ret->agent_config_fault, sizeof(ret->agent_config_fault), "%.500s", byoh_buffer_text(&fault));
	return 0;
}

static void look_for_agents_work(const struct byoh_host *host, struct byoh_node_state *ret)
{
	ret->agent = agent_word(host);
	ret->claimed = byoh_steps_exists(host, AGENT_KUBELET_UNIT) ||
		       byoh_steps_exists(host, BYOH_KUBELET_CONFIG) ||
		       byoh_steps_exists(host, BYOH_KUBELET_KUBECONFIG);
	ret->reset = !ret->claimed && !byoh_steps_exists(host, "/etc/kubernetes") &&
		     !byoh_steps_exists(host, "/var/lib/kubelet");
}

/* HeadCNI gives ours another name. */
static void find_ours(const struct byoh_host *host, const struct byoh_config *config, char ret[256])
{
	static const char *const suffixes[] = { "", BYOH_HEADCNI_SUFFIX };
	const char *name = config->cni.bridge ? BYOH_BRIDGE_CONFLIST : config->cni.conflist_name;

	for (size_t i = 0; name && i < ARRAY_SIZE(suffixes) && !*ret; i++) {
		char path[320];

		snprintf(ret, 256, "%.200s%s", name, suffixes[i]);
		snprintf(path, sizeof(path), BYOH_CNI_CONFIG "/%s", ret);
		if (!byoh_steps_exists(host, path))
			*ret = '\0';
	}
}

static void look_at_network(const struct byoh_host *host, const struct byoh_config *config,
			    struct byoh_node_state *ret)
{
	byoh_cni_first_file(host, ret->network_file);
	find_ours(host, config, ret->network_ours);
	if (!*ret->network_file)
		ret->network = "none";
	else if (strcmp(ret->network_file, BYOH_HEADCNI_CONFLIST) == 0)
		ret->network = "headcni";
	else
		ret->network = strcmp(ret->network_file, ret->network_ours) == 0 ? "ours" : "other";
}

static const char *node_word(const struct byoh_host *host, const struct byoh_config *config,
			     const struct byoh_node_state *state)
{
	if (config->join_mode == BYOH_JOIN_NONE)
		return "prepared";
	/* The kubelet writes its kubeconfig when it begins to ask; the certificate that it names comes with the answer. */
	if (byoh_steps_exists(host, BYOH_KUBELET_KUBECONFIG) &&
	    (byoh_node_certificate(state, "kubelet") || !state->join.state))
		return byoh_node_certificate(state, "kubelet") ? "joined" : "joining";
	if (config->join_mode == BYOH_JOIN_AGENT)
		return state->reset ? "reset" : state->claimed ? "joining" : "unclaimed";
	if (config->join_mode == BYOH_JOIN_KUBEADM && state->join.state)
		return strcmp(state->join.state, "failed") == 0 ? "failed" : "joining";
	if (config->join_mode == BYOH_JOIN_KUBEADM)
		return byoh_steps_exists(host, BYOH_KUBEADM_CONFIG) ? "joining" : "waiting";
	return byoh_steps_exists(host, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG) ? "joining" : "waiting";
}

int byoh_node_look(const struct byoh_host *host, const struct byoh_config *config,
		   struct byoh_node_state *ret, struct byoh_error *err)
{
	int rc = 0;

	*ret = (struct byoh_node_state){ .join_mode = config->join_mode };
	look_at_services(host, ret);
	byoh_certificates_look(host, config, ret);
	look_at_certificate(ret);
	if (config->kube_proxy.client_certificate) {
		byoh_proxy_request_read(host, &ret->proxy_request);
		ret->proxy_expires = byoh_proxy_certificate_expires(host);
	}
	if (config->join_mode == BYOH_JOIN_AGENT) {
		look_for_agents_work(host, ret);
		rc = look_at_agent_config(host, config, ret, err);
	}
	look_at_network(host, config, ret);
	if (!byoh_kubeadm_is_node(host->root_fd))
		byoh_join_record_read(host->root_fd, &ret->join);
	ret->node = node_word(host, config, ret);
	ret->ca_bundle = byoh_ca_bundle_state(host);
	return rc;
}

static bool is_wiped(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(wiped); i++) {
		size_t length = strlen(wiped[i]);

		if (strncmp(path, wiped[i], length) == 0 && (!path[length] || path[length] == '/'))
			return true;
	}
	return false;
}

static bool is_stopped_containerd(const struct byoh_action *action)
{
	return action->kind == BYOH_ACTION_UNIT && action->state == BYOH_STATE_ABSENT &&
	       strcmp(action->subject, "containerd.service") == 0;
}

/* Its reset stops containerd, which then does not tell of its images. */
static bool is_resets_doing(const struct byoh_action *action, bool containerd_stopped)
{
	if (action->kind == BYOH_ACTION_DIRECTORY || action->kind == BYOH_ACTION_DATA)
		return action->state == BYOH_STATE_ABSENT && is_wiped(action->subject);
	return is_stopped_containerd(action) ||
	       (containerd_stopped && action->kind == BYOH_ACTION_IMAGE && byoh_action_is_change(action));
}

static void excuse(const struct byoh_node_state *state, struct byoh_action *action, bool containerd_stopped)
{
	if (state->reset)
		action->by_agent = is_resets_doing(action, containerd_stopped);
	else if (state->claimed && action->state == BYOH_STATE_ABSENT && is_wiped(action->subject) &&
		 action->kind != BYOH_ACTION_FILE)
		action->state = BYOH_STATE_SAME;
	/* Told apart: see ca_bundle. */
	if (action->kind == BYOH_ACTION_FILE && action->gives_back)
		action->state = BYOH_STATE_SAME;
}

void byoh_node_excuse(const struct byoh_node_state *state, struct byoh_plan *plan)
{
	bool containerd_stopped = false;

	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			containerd_stopped |= is_stopped_containerd(&plan->steps[i].actions[j]);
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			excuse(state, &plan->steps[i].actions[j], containerd_stopped);
}
