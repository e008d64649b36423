/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --adopt-node: the agent comes to a host that is a node already. Its kubelet, with all that this has and runs,
 * stays as it is; the agent is put beside it. Whoever claims such a host and lets it go has it wiped: that is the
 * agent's doing, and nothing here can keep it from that.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/leave.h"
#include "installer/steps/steps-internal.h"

/* What the host may have of its own, and goes on using. */
static const char *const programs[] = { "kubelet", "kubeadm", "kubectl", "kube-proxy" };

bool byoh_steps_adopts_node(const struct byoh_plan_input *input)
{
	if (input->config->join_mode != BYOH_JOIN_AGENT)
		return false;
	return byoh_steps_exists(input->host, BYOH_ADOPTED_NODE_PATH) ||
	       (input->adopt_node && byoh_steps_exists(input->host, BYOH_KUBELET_KUBECONFIG));
}

int byoh_steps_keeps_program(const struct byoh_plan_input *input, const struct byoh_file *file, bool *ret,
			     struct byoh_error *err)
{
	const char *name = strrchr(file->path, '/') ? strrchr(file->path, '/') + 1 : file->path;
	char own[64];

	(void)err;
	*ret = false;
	if (file->type == BYOH_FILE_DIRECTORY || !byoh_steps_adopts_node(input))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !*ret; i++) {
		snprintf(own, sizeof(own), "/usr/local/bin/%s", programs[i]);
		*ret = strcmp(name, programs[i]) == 0 && strcmp(file->path, own + 1) == 0 &&
		       byoh_steps_exists(input->host, own) && !byoh_host_is_ours(input->host, own);
	}
	return 0;
}

int byoh_step_adopted_node(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int rc;

	if (!byoh_steps_adopts_node(input))
		return 0;
	rc = byoh_steps_text(input, step, BYOH_ADOPTED_NODE_PATH, 0644, BYOH_KUBELET_KUBECONFIG "\n", err);
	return rc ? rc : byoh_step_sentence(step, err, "Leave the node's kubelet as it is, and note that it was here before");
}

bool byoh_leave_adopted_node(const struct byoh_ledger *ledger)
{
	return byoh_ledger_find(ledger, BYOH_ACTION_FILE, BYOH_ADOPTED_NODE_PATH);
}
