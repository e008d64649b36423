/* SPDX-License-Identifier: Apache-2.0 */
/* What the pods' network needs on the host: iptables where there is none, and a default route where a
 * site has no router. */
#include <stdio.h>

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

/* Without a default route agent and kubelet find no address of their own. The addresses are of a block for
 * documentation, so that they hide nothing, and any other default route is preferred. */
static const char route_unit[] =
	"[Unit]\n"
	"Description=A default route that leads nowhere, for a site without a router\n"
	"Documentation=man:byoh.yaml(5)\n"
	"DefaultDependencies=no\n"
	"After=systemd-modules-load.service network-pre.target\n"
	"Before=network-online.target kubelet.service byoh-hostagent.service shutdown.target\n"
	"Conflicts=shutdown.target\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"RemainAfterExit=yes\n"
	"ExecStartPre=-/sbin/modprobe dummy numdummies=0\n"
	"ExecStartPre=-/sbin/ip link add byoh-dummy0 type dummy\n"
	"ExecStart=/sbin/ip address replace 203.0.113.254/31 dev byoh-dummy0\n"
	"ExecStart=/sbin/ip link set byoh-dummy0 up\n"
	"ExecStart=/sbin/ip route replace default via 203.0.113.255 dev byoh-dummy0 metric 65535\n"
	"ExecStop=/sbin/ip link delete byoh-dummy0\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

int byoh_step_dummy_route(const struct byoh_plan_input *input, struct byoh_step *step,
			  struct byoh_error *err)
{
	int rc;

	if (!input->config->host.dummy_route)
		return 0;
	rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" BYOH_DUMMY_ROUTE_UNIT, 0644, route_unit, err);
	if (!rc)
		rc = byoh_steps_enable(step, BYOH_DUMMY_ROUTE_UNIT, err);
	return rc ? rc : byoh_step_sentence(step, err, "Have a default route that leads nowhere");
}

/* After systemd has read the unit. */
int byoh_step_start_route(const struct byoh_plan_input *input, struct byoh_step *step,
			  struct byoh_error *err)
{
	static const char *const restart_on[] = { BYOH_UNIT_DIR "/" BYOH_DUMMY_ROUTE_UNIT, NULL };
	int rc;

	if (!input->config->host.dummy_route)
		return 0;
	rc = byoh_step_unit(step, BYOH_DUMMY_ROUTE_UNIT, true, restart_on, err);
	return rc ? rc : byoh_step_sentence(step, err, "Set the default route that leads nowhere");
}
