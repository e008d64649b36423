/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/doctor/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/ca-list.h"
#include "installer/report.h"
#include "installer/run.h"

#define RTC "/sys/class/rtc/rtc0/since_epoch"

int byoh_gather_output(const char *const *argv, unsigned int seconds, struct byoh_buffer *ret,
		       bool *ret_good, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer errors = { 0 };
	const struct byoh_run run = {
		.argv = argv, .timeout_seconds = seconds, .output = ret, .errors = &errors
	};
	int status, rc = byoh_run(&run, &status, err);

	*ret_good = rc == 0 && status == 0;
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 && err)
		*err = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

static int keep(const char *text, char **ret, struct byoh_error *err)
{
	if (!text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static void gather_time(struct byoh_evidence *evidence, const struct byoh_state *state)
{
	CLEANUP_BUFFER struct byoh_buffer rtc = { 0 };

	if (!evidence->host->live)
		return;
	evidence->time.now = (uint64_t)time(NULL);
	evidence->time.installed_at = state ? state->installed_at : 0;
	if (byoh_host_read(evidence->host->root_fd, RTC, 64, &rtc, NULL) == 0)
		evidence->time.rtc = strtoull(byoh_buffer_text(&rtc), NULL, 10);
	if (evidence->config && evidence->config->cluster.ca.size)
		(void)byoh_certificate_times(
			evidence->config->cluster.ca.data, evidence->config->cluster.ca.size, true,
			&evidence->time.ca_not_before, &evidence->time.ca_not_after);
}

static bool is_drifted(const struct byoh_action *action)
{
	return byoh_action_is_change(action) && action->kind != BYOH_ACTION_SAVE;
}

static int add_drift(const struct byoh_gather_input *input, const struct byoh_action *action,
		     struct byoh_evidence *evidence, struct byoh_error *err)
{
	struct byoh_drift_evidence *grown =
		reallocarray(evidence->drifts, evidence->drift_count + 1, sizeof(*grown));
	int rc;

	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	evidence->drifts = grown;
	grown += evidence->drift_count;
	*grown = (struct byoh_drift_evidence){
		.kind = byoh_action_kind_name(action->kind),
		.word = byoh_report_word(action, input->images_unknown),
		.by_agent = action->by_agent,
	};
	rc = keep(action->subject, &grown->subject, err);
	evidence->drift_count += rc == 0;
	return rc;
}

static int gather_drift(const struct byoh_gather_input *input, struct byoh_evidence *evidence,
			struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; input->plan && i < input->plan->step_count; i++) {
		const struct byoh_step *step = &input->plan->steps[i];

		for (size_t k = 0; k < step->action_count && rc == 0; k++)
			if (is_drifted(&step->actions[k]))
				rc = add_drift(input, &step->actions[k], evidence, err);
	}
	return rc;
}

static int gather_own(const struct byoh_gather_input *input, struct byoh_evidence *ret,
		      struct byoh_error *err)
{
	int rc = keep(input->state ? input->state->kubernetes : NULL, &ret->kubernetes, err);

	if (rc == 0)
		rc = keep(input->transaction, &ret->transaction, err);
	if (rc == 0)
		rc = keep(input->release_fault, &ret->release_fault, err);
	return rc < 0 ? rc : gather_drift(input, ret, err);
}

int byoh_evidence_gather(const struct byoh_gather_input *input, struct byoh_evidence *ret,
			 struct byoh_error *err)
{
	static int (*const sides[])(struct byoh_evidence *evidence, struct byoh_error *err) = {
		byoh_gather_units, byoh_gather_runtime,	    byoh_gather_kubelet, byoh_gather_cni,
		byoh_gather_kubeconfigs, byoh_gather_network, byoh_gather_api,
	};
	int rc;

	*ret = (struct byoh_evidence){
		.host = input->host,
		.config = input->config,
		.installed = input->state && input->state->release_id,
		.containerd = { .systemd_cgroup = -1 },
	};
	if (input->node)
		ret->node = *input->node;
	gather_time(ret, input->state);
	rc = gather_own(input, ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(sides) && rc == 0; i++)
		rc = sides[i](ret, err);
	return rc;
}
