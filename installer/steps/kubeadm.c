/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.mode kubeadm, and kubeadm for an agent that leaves the join to others: what kubeadm is told, and the units that
 * run it. Nothing of it stands where kubeadm writes: it refuses a host that has a CA or a kubeconfig already, and its
 * reset wipes those folders.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/kubeadm-config.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/leave.h"
#include "installer/steps/steps-internal.h"

#define SERVICE \
	"\n" \
	"[Service]\n" \
	"ExecStart=" BYOH_BIN_TOOL " kubeadm-join%s\n" \
	"Restart=on-failure\n" \
	"RestartSec=30\n" \
	"RestartPreventExitStatus=2 3 4 6\n"

#define HEAD \
	"[Unit]\n" \
	"Description=Join the cluster with kubeadm\n" \
	"Documentation=man:byoh-install(8)\n" \
	"Requires=byoh-settle.service\n" \
	"Wants=network-online.target containerd.service\n" \
	"After=network-online.target time-sync.target containerd.service byoh-settle.service\n" \
	"After=byoh-settle-images.service\n" \
	"StartLimitIntervalSec=0\n"

/* No proxies: through one the API server is not reached. */
static const char environment[] =
	"UnsetEnvironment=http_proxy https_proxy ftp_proxy no_proxy all_proxy\n"
	"UnsetEnvironment=HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY\n";

/* Not before it knows where to, and never on a node, which has both of these. */
static const char conditions[] =
	"ConditionPathExists=" BYOH_KUBEADM_CONFIG "\n"
	"ConditionPathExists=|!" BYOH_KUBELET_KUBECONFIG "\n"
	"ConditionPathExists=|!" BYOH_KUBELET_CLIENT "\n";

/* PathExists= would start it again and again, as long as the agent's file is there. The kubelet's kubeconfig goes when
 * the agent resets the host. */
static const char agent_path_unit[] =
	"[Unit]\n"
	"Description=See when the agent leaves a join to kubeadm\n"
	"Documentation=man:byoh-install(8)\n"
	"Before=byoh-hostagent.service\n"
	"\n"
	"[Path]\n"
	"PathChanged=" BYOH_KUBEADM_REQUEST "\n"
	"PathChanged=" BYOH_KUBELET_KUBECONFIG "\n"
	"Unit=" BYOH_KUBEADM_UNIT "\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static bool has_parts(const struct byoh_plan_input *input)
{
	return byoh_steps_brings(input, BYOH_BIN_KUBEADM) && byoh_steps_brings(input, BYOH_BIN_KUBELET) &&
	       byoh_steps_brings(input, BYOH_BIN_TOOL);
}

bool byoh_steps_joins_by_kubeadm(const struct byoh_plan_input *input)
{
	const struct byoh_config *config = input->config;

	return config->join_mode == BYOH_JOIN_KUBEADM && has_parts(input) && config->cluster.server &&
	       config->cluster.token && (config->cluster.ca.size || config->cluster.ca_pin);
}

static int place_discovery(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!input->config->cluster.ca.size)
		return 0;
	rc = byoh_kubeadm_discovery(input->config, &text, err);
	return rc ? rc : byoh_steps_file(input, step, BYOH_KUBEADM_DISCOVERY, 0600, text.data, text.size, NULL, err);
}

static int place_config(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_kubelet_input values;
	int rc;

	rc = byoh_steps_kubelet_input(input, &values, err);
	if (!rc)
		rc = byoh_kubeadm_join_config(&values, &text, err);
	if (!rc)
		rc = byoh_steps_secret(input, step, BYOH_KUBEADM_CONFIG, &text, err);
	return rc ? rc : place_discovery(input, step, err);
}

int byoh_step_kubeadm(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int rc;

	if (!byoh_steps_joins_by_kubeadm(input))
		return 0;
	rc = place_config(input, step, err);
	return rc ? rc : byoh_step_sentence(step, err, "Tell kubeadm its cluster, %s", input->config->cluster.server);
}

static int place_service(const struct byoh_plan_input *input, struct byoh_step *step, bool agent,
			 struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	rc = byoh_buffer_printf(&text, err, HEAD "%s" SERVICE "%s%s", agent ? "" : conditions, agent ? " agent" : "",
				environment, agent ? "" : "\n[Install]\nWantedBy=multi-user.target\n");
	if (!rc)
		rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" BYOH_KUBEADM_UNIT, 0644, text.data, err);
	return rc || agent ? rc : byoh_steps_enable(step, BYOH_KUBEADM_UNIT, err);
}

int byoh_steps_kubeadm_units(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	bool agent = input->config->join_mode == BYOH_JOIN_AGENT;
	int rc;

	if ((!agent && input->config->join_mode != BYOH_JOIN_KUBEADM) || !has_parts(input))
		return 0;
	rc = place_service(input, step, agent, err);
	if (rc || !agent)
		return rc;
	rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" BYOH_KUBEADM_PATH_UNIT, 0644, agent_path_unit, err);
	return rc ? rc : byoh_steps_enable(step, BYOH_KUBEADM_PATH_UNIT, err);
}

/* It has to see what the agent does, so it runs before the agent. */
int byoh_steps_kubeadm_watch(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	static const char *const restart_on[] = { BYOH_UNIT_DIR "/" BYOH_KUBEADM_PATH_UNIT, NULL };

	if (input->config->join_mode != BYOH_JOIN_AGENT || !has_parts(input))
		return 0;
	return byoh_step_unit(step, BYOH_KUBEADM_PATH_UNIT, true, restart_on, err);
}

/* What a join in the agent's stead has left that no plan knows. */
int byoh_leave_kubeadm(const struct byoh_host *host, struct byoh_step *step, struct byoh_error *err)
{
	static const char *const paths[] = { BYOH_KUBEADM_DROP_IN, BYOH_KUBELET_WANTED };
	CLEANUP_BUFFER struct byoh_buffer target = { 0 };
	int rc = 0;

	if (!byoh_steps_exists(host, BYOH_KUBEADM_DROP_IN))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(paths) && !rc; i++) {
		if (i == 1 && (byoh_read_link(host->root_fd, paths[i], &target, NULL) < 0 ||
			       strcmp(byoh_buffer_text(&target), BYOH_UNIT_DIR "/kubelet.service") != 0))
			continue;
		rc = byoh_step_remove(step, paths[i], err);
		if (!rc)
			step->actions[step->action_count - 1].gives_back = true;
	}
	return rc;
}
