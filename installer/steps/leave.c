/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/leave.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/steps/steps-internal.h"

#define SETTLE_UNIT "byoh-settle.service"
#define AGENT_UNIT "byoh-hostagent.service"

static const char *const data_folders[] = {
	"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni",    "/var/lib/kube-proxy",
	"/var/log/containers", "/var/log/pods",	   "/opt/containerd", "/run/containerd",
	"/etc/kubernetes",     "/run/kubernetes",  BYOH_AGENT_FOLDER,
	"/usr/libexec/kubernetes", /* the kubelet makes it, for volume plugins */
};

static const char *const complete_steps[] = {
	"own",	      "release-files", "modules", "sysctl",   "containerd", "registries", "crictl",
	"units",      "slices",	       "cni",	  "kubernetes", "agent", "kubeadm",
	"kubelet-flags", "dummy-route", "ca-guard", "join-volume", "local-bundle",
};

/* Processes that outlive their service: the shims of containers, and the containers. */
static const char *const control_groups[] = {
	"kubepods.slice", "kubepods", "system.slice/containerd.service", "runtime.slice/containerd.service",
	"system.slice/kubelet.service", "runtime.slice/kubelet.service",
};

static bool has(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

bool byoh_leave_is_complete(const char *step)
{
	return has(complete_steps, ARRAY_SIZE(complete_steps), step);
}

bool byoh_leave_is_data(const char *path)
{
	return has(data_folders, ARRAY_SIZE(data_folders), path);
}

const char *byoh_leave_unit_of(const char *path)
{
	for (size_t i = 0; byoh_steps_unit_folders[i]; i++) {
		size_t length = strlen(byoh_steps_unit_folders[i]);

		if (strncmp(path, byoh_steps_unit_folders[i], length) == 0 && path[length] == '/' &&
		    !strchr(path + length + 1, '/'))
			return path + length + 1;
	}
	return NULL;
}

bool byoh_leave_is_last(const char *path)
{
	const char *name = strrchr(path, '/');

	return strcmp(path, BYOH_BIN_TOOL) == 0 || (name && strcmp(name + 1, SETTLE_UNIT) == 0);
}

int byoh_step_data(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	const char *root = input->config->containerd.root;
	int rc = 0;

	if (!byoh_steps_brings(input, BYOH_BIN_CONTAINERD) && !byoh_steps_brings(input, BYOH_BIN_KUBELET))
		return 0;
	if (root && !byoh_leave_is_data(root) && !byoh_steps_adopts(input))
		rc = byoh_step_other(step, BYOH_ACTION_DATA, root, NULL, NULL, err);
	for (size_t i = 0; i < ARRAY_SIZE(data_folders) && !rc; i++)
		if (!byoh_steps_adopts(input) || !strstr(data_folders[i], "/containerd"))
			rc = byoh_step_other(step, BYOH_ACTION_DATA, data_folders[i], NULL, NULL,
					     err);
	return rc ? rc : byoh_step_sentence(step, err, "Note which folders of services are new");
}

/* Whoever starts others stops first, what others stand on last. */
static int rank(const char *unit)
{
	if (strcmp(unit, AGENT_UNIT) == 0)
		return 0;
	if (strstr(unit, ".path") || strncmp(unit, "byoh-kubeadm", strlen("byoh-kubeadm")) == 0)
		return 1;
	if (strcmp(unit, "containerd.service") == 0)
		return 3;
	return strncmp(unit, "byoh-settle", strlen("byoh-settle")) == 0 ? 4 : 2;
}

static bool is_our_unit(const struct byoh_origin *origin)
{
	const char *unit = byoh_leave_unit_of(origin->before.subject);

	return unit && origin->before.kind == BYOH_ACTION_FILE && !strstr(unit, ".slice");
}

static int stop_units(const struct byoh_ledger *ledger, struct byoh_step *step, int wanted,
		      struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ledger->count && !rc; i++) {
		const char *unit = byoh_leave_unit_of(ledger->origins[i].before.subject);

		if (is_our_unit(&ledger->origins[i]) && rank(unit) == wanted)
			rc = byoh_step_unit(step, unit, false, NULL, err);
	}
	return rc;
}

static bool runs_containerd(const struct byoh_ledger *ledger)
{
	return byoh_ledger_find(ledger, BYOH_ACTION_FILE, BYOH_UNIT_DIR "/containerd.service");
}

static bool runs_kubelet(const struct byoh_ledger *ledger)
{
	return byoh_ledger_find(ledger, BYOH_ACTION_FILE, BYOH_BIN_KUBELET);
}

/* It stays, and so do containers of it that are not the kubelet's. */
static bool adopted_containerd(const struct byoh_host *host)
{
	return byoh_steps_exists(host, BYOH_ADOPTED_PATH); /* the ledger knows nothing of our own folder */
}

static int unmount(const struct byoh_ledger *ledger, struct byoh_step *step, struct byoh_error *err)
{
	int rc = byoh_step_other(step, BYOH_ACTION_UNMOUNT, "/run/netns/cni-", NULL, NULL, err);

	for (size_t i = 0; i < ledger->count && !rc; i++) {
		CLEANUP_FREE char *below = NULL;

		if (ledger->origins[i].before.kind != BYOH_ACTION_DATA)
			continue;
		if (asprintf(&below, "%s/", ledger->origins[i].before.subject) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		rc = byoh_step_other(step, BYOH_ACTION_UNMOUNT, below, NULL, NULL, err);
	}
	return rc;
}

int byoh_leave_stop(const struct byoh_host *host, const struct byoh_ledger *ledger, struct byoh_step *step,
		    struct byoh_error *err)
{
	int rc = 0;

	for (int i = 0; i < 4 && !rc; i++)
		rc = stop_units(ledger, step, i, err);
	if (byoh_leave_adopted_node(host)) {
		if (!rc)
			rc = stop_units(ledger, step, 4, err);
		return rc ? rc : byoh_step_sentence(step, err, "Stop the agent; the node stays");
	}
	for (size_t i = 0; i < ARRAY_SIZE(control_groups) && !rc; i++)
		if (runs_containerd(ledger) ||
		    (adopted_containerd(host) && !strstr(control_groups[i], "containerd")))
			rc = byoh_step_other(step, BYOH_ACTION_KILL, control_groups[i], NULL, NULL, err);
	/* Made by the kubelet at run time, and systemd keeps it though nothing is in it. */
	if (!rc && runs_kubelet(ledger))
		rc = byoh_step_unit(step, "kubepods.slice", false, NULL, err);
	if (!rc)
		rc = stop_units(ledger, step, 4, err);
	if (!rc && step->action_count)
		rc = unmount(ledger, step, err);
	return rc ? rc : byoh_step_sentence(step, err, "Stop the services and their containers");
}

/* Nobody can tell by now what else uses them. */
const char *byoh_leave_until_boot(const struct byoh_ledger *ledger)
{
	return runs_kubelet(ledger) ? "packet filter rules, bridges and kernel modules of the cluster's network stay "
				      "until the next boot" : NULL;
}

/* What was put into its place makes it start anew. */
static bool is_read_by(const struct byoh_origin *origin, const struct byoh_origin *unit)
{
	const char *path = origin->before.subject;
	const char *name = unit->before.subject;

	if (path[0] != '/')
		return false;
	if (strcmp(name, "containerd.service") == 0 && strncmp(path, "/etc/containerd/", 16) == 0)
		return true;
	return strstr(path, name) || strcmp(origin->step, unit->step) == 0;
}

bool byoh_leave_is_ours(const struct byoh_ledger *ledger, const char *unit)
{
	static const struct {
		const char *unit, *program;
	} services[] = {
		{ "kubelet.service", BYOH_BIN_KUBELET },
		{ "kube-proxy.service", BYOH_BIN_KUBE_PROXY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		const struct byoh_origin *origin = byoh_ledger_find(ledger, BYOH_ACTION_FILE, services[i].program);

		if (strcmp(unit, services[i].unit) == 0 && origin && !origin->before.existed)
			return true;
	}
	return false;
}

int byoh_leave_start(const struct byoh_ledger *ledger, const struct byoh_origin *unit,
		     struct byoh_step *step, struct byoh_error *err)
{
	const char *restart_on[64];
	size_t count = 0;

	for (size_t i = 0; i < ledger->count && count < ARRAY_SIZE(restart_on) - 1; i++)
		if (is_read_by(&ledger->origins[i], unit))
			restart_on[count++] = ledger->origins[i].before.subject;
	restart_on[count] = NULL;
	return byoh_step_unit(step, unit->before.subject, true, restart_on, err);
}

static bool is_service_of_agent(const struct byoh_action *action)
{
	return action->kind == BYOH_ACTION_UNIT && strcmp(action->subject, AGENT_UNIT) != 0;
}

bool byoh_leave_holds_agent(const struct byoh_plan *plan)
{
	bool agent = false, touches = false;

	for (size_t i = 0; i < plan->step_count; i++) {
		for (size_t j = 0; j < plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &plan->steps[i].actions[j];

			agent |= action->kind == BYOH_ACTION_UNIT && strcmp(action->subject, AGENT_UNIT) == 0;
			touches |= byoh_action_is_change(action) &&
				   (is_service_of_agent(action) || action->kind == BYOH_ACTION_RELOAD ||
				    strncmp(action->subject, "/usr/local/bin/", 15) == 0);
		}
	}
	return agent && touches;
}

int byoh_leave_hold_agent(struct byoh_step *step, struct byoh_error *err)
{
	int rc = byoh_step_unit(step, AGENT_UNIT, false, NULL, err);

	return rc ? rc : byoh_step_sentence(step, err, "Hold the agent, which starts services by itself");
}
