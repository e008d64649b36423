/* SPDX-License-Identifier: Apache-2.0 */
/* What the pods' network needs on the host: iptables where there is none, a CNI configuration where
 * one is asked for. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

#define XTABLES "/usr/local/lib/byoh/xtables-nft-multi"

/* One program under many names. */
static const char *const xtables_names[] = {
	"iptables",  "iptables-save",  "iptables-restore",
	"ip6tables", "ip6tables-save", "ip6tables-restore",
};

int byoh_step_iptables(const struct byoh_plan_input *input, struct byoh_step *step,
		       struct byoh_error *err)
{
	if (input->host->has_iptables || !byoh_steps_brings(input, XTABLES))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(xtables_names); i++) {
		char path[128];
		int rc;

		snprintf(path, sizeof(path), "/usr/local/sbin/%s", xtables_names[i]);
		if (byoh_steps_brings(input, path))
			continue;
		rc = byoh_step_link(step, path, "../lib/byoh/xtables-nft-multi", err);
		if (rc)
			return rc;
	}
	if (!step->action_count)
		return 0;
	return byoh_step_sentence(step, err, "Bring iptables, which this host has not");
}

int byoh_step_cni(const struct byoh_plan_input *input, struct byoh_step *step,
		  struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_FREE char *path = NULL;
	int rc;

	if (!config->cni.conflist_name || !config->cni.conflist.size)
		return 0;
	if (strchr(config->cni.conflist_name, '/') || config->cni.conflist_name[0] == '.')
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EINVAL,
			"cni.install: \"%s\" cannot be the name of a file in " BYOH_CNI_CONFIG,
			config->cni.conflist_name);
	if (asprintf(&path, BYOH_CNI_CONFIG "/%s", config->cni.conflist_name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_steps_file(input, step, path, 0644, config->cni.conflist.data,
			     config->cni.conflist.size, NULL, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Place the network configuration %s",
				  config->cni.conflist_name);
}
