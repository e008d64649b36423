/* SPDX-License-Identifier: Apache-2.0 */
/* The service that asks for kube-proxy's certificate, or the agent's next one, and the timer that has it look whether
 * there has to be a new one. The timer is what a run starts and restarts; stopping it stops the service. */
#include "installer/steps/steps-internal.h"

#define TIMER "byoh-certificates.timer"

static const char service[] =
	"[Unit]\n"
	"Description=Ask the cluster for certificates\n"
	"Documentation=man:byoh-install(8)\n"
	"Wants=network-online.target\n"
	"After=network-online.target byoh-settle.service\n"
	"PartOf=" TIMER "\n"
	"\n"
	"[Service]\n"
	"Type=exec\n"
	"ExecStart=" BYOH_BIN_TOOL " certificates --quiet\n"
	"Restart=on-failure\n"
	"RestartSec=30\n"
	BYOH_STEPS_NO_PROXIES;

static const char timer[] =
	"[Unit]\n"
	"Description=Look after certificates that no service renews\n"
	"\n"
	"[Timer]\n"
	"OnActiveSec=1\n"
	"OnUnitInactiveSec=6h\n"
	"AccuracySec=1s\n"
	"\n"
	"[Install]\n"
	"WantedBy=timers.target\n";

static bool is_wanted(const struct byoh_plan_input *input)
{
	bool proxy = input->config->kube_proxy.client_certificate && byoh_steps_runs_kube_proxy(input);
	bool agent = input->config->join_mode == BYOH_JOIN_AGENT && byoh_steps_brings(input, BYOH_BIN_AGENT);

	return (proxy || agent) && byoh_steps_brings(input, BYOH_BIN_TOOL);
}

int byoh_steps_place_certificates(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int rc;

	if (!is_wanted(input))
		return 0;
	rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/byoh-certificates.service", 0644, service, err);
	if (!rc)
		rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" TIMER, 0644, timer, err);
	return rc ? rc : byoh_step_enable(step, TIMER, BYOH_UNIT_DIR, "timers.target", err);
}

int byoh_steps_start_certificates(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	/* Whatever changes whom it asks, and as whom. */
	static const char *const restart_on[] = {
		BYOH_BIN_TOOL,
		BYOH_KUBELET_BOOTSTRAP_KUBECONFIG,
		BYOH_KUBERNETES_CA,
		BYOH_UNIT_DIR "/byoh-certificates.service",
		BYOH_UNIT_DIR "/" TIMER,
		NULL,
	};

	return is_wanted(input) ? byoh_step_unit(step, TIMER, true, restart_on, err) : 0;
}
