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
static const char *const programs[] = { BYOH_BIN_KUBELET, BYOH_BIN_KUBE_PROXY, "/usr/local/bin/kubeadm",
					"/usr/local/bin/kubectl" };

bool byoh_steps_adopts_node(const struct byoh_plan_input *input)
{
	if (input->config->join_mode != BYOH_JOIN_AGENT)
		return false;
	return byoh_steps_exists(input->host, BYOH_ADOPTED_NODE_PATH) ||
	       (input->adopt_node && byoh_steps_exists(input->host, BYOH_KUBELET_KUBECONFIG));
}

/* Its first run sees what the host has of its own; later ones go by what it noted. */
static bool keeps(const struct byoh_plan_input *input, const char *path)
{
	CLEANUP_BUFFER struct byoh_buffer note = { 0 };
	char line[80];

	snprintf(line, sizeof(line), "%s\n", path);
	if (byoh_steps_read(input->host, BYOH_ADOPTED_NODE_PATH, &note, NULL, NULL) == 0)
		return strstr(byoh_buffer_text(&note), line);
	return byoh_steps_exists(input->host, path) && !byoh_host_is_ours(input->host, path);
}

bool byoh_steps_keeps_program(const struct byoh_plan_input *input, const struct byoh_file *file)
{
	if (file->type == BYOH_FILE_DIRECTORY || !byoh_steps_adopts_node(input))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strcmp(file->path, programs[i] + 1) == 0)
			return keeps(input, programs[i]);
	return false;
}

int byoh_step_adopted_node(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!byoh_steps_adopts_node(input))
		return 0;
	rc = byoh_buffer_add_string(&text, BYOH_KUBELET_KUBECONFIG "\n", err);
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !rc; i++)
		if (keeps(input, programs[i]))
			rc = byoh_buffer_printf(&text, err, "%s\n", programs[i]);
	if (!rc)
		rc = byoh_steps_text(input, step, BYOH_ADOPTED_NODE_PATH, 0644, byoh_buffer_text(&text), err);
	return rc ? rc : byoh_step_sentence(step, err, "Leave the node's kubelet as it is, and note that it was here before");
}

bool byoh_leave_adopted_node(const struct byoh_host *host)
{
	return byoh_steps_exists(host, BYOH_ADOPTED_NODE_PATH);
}
