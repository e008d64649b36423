/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules and parameters that containers and their network need, now and after a boot. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

enum needed_for { FOR_CONTAINERS, FOR_NODE, FOR_IPVS, FOR_NFTABLES, FOR_IPV6 };

static bool is_dual_or_ipv6(const char *cidrs)
{
	return cidrs && strchr(cidrs, ':');
}

static bool is_needed(const struct byoh_plan_input *input, enum needed_for what)
{
	const struct byoh_config *config = input->config;
	bool node = byoh_steps_brings(input, BYOH_BIN_KUBELET);

	switch (what) {
	case FOR_CONTAINERS:
		return node || byoh_steps_has_containerd(input);
	case FOR_NODE:
		return node;
	case FOR_IPVS:
		return node && config->kube_proxy.mode == BYOH_PROXY_IPVS;
	case FOR_NFTABLES:
		return node && config->kube_proxy.mode == BYOH_PROXY_NFTABLES;
	case FOR_IPV6:
		return node && (is_dual_or_ipv6(config->cluster.pod_cidr) ||
				is_dual_or_ipv6(config->cluster.service_cidr));
	}
	return false;
}

static const struct {
	const char *name;
	enum needed_for what;
	bool optional;
} modules[] = {
	{ "overlay", FOR_CONTAINERS, false },
	{ "br_netfilter", FOR_CONTAINERS, false },
	{ "nf_conntrack", FOR_NODE, true },
	{ "nf_tables", FOR_NFTABLES, false },
	{ "ip_vs", FOR_IPVS, false },
	{ "ip_vs_rr", FOR_IPVS, true },
	{ "ip_vs_wrr", FOR_IPVS, true },
	{ "ip_vs_sh", FOR_IPVS, true },
};

int byoh_step_modules(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer names = { 0 };
	size_t count = 0;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		if (!is_needed(input, modules[i].what))
			continue;
		rc = byoh_buffer_printf(&names, err, "%s\n", modules[i].name);
		if (rc)
			return rc;
		count++;
	}
	if (!count)
		return 0;
	rc = byoh_steps_text(input, step, "/etc/modules-load.d/byoh.conf", 0644,
			     byoh_buffer_text(&names), err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(modules); i++) {
		struct byoh_action *action;

		if (!is_needed(input, modules[i].what))
			continue;
		rc = byoh_step_other(step, BYOH_ACTION_MODULE, modules[i].name, NULL, &action, err);
		if (!rc)
			action->optional = modules[i].optional;
	}
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Load %zu kernel modules, at every boot too", count);
}

/* Forwarding of IPv6 only where pods have such addresses: it makes a host ignore router
 * advertisements. The watches are the kernel's own ceiling for its default, so that no big host is
 * given fewer. */
static const struct {
	const char *key, *value;
	enum needed_for what;
	bool optional;
} parameters[] = {
	{ "net.ipv4.ip_forward", "1", FOR_CONTAINERS, false },
	{ "net.bridge.bridge-nf-call-iptables", "1", FOR_CONTAINERS, false },
	{ "net.bridge.bridge-nf-call-ip6tables", "1", FOR_CONTAINERS, false },
	{ "net.ipv6.conf.all.forwarding", "1", FOR_IPV6, false },
	{ "net.ipv6.conf.default.forwarding", "1", FOR_IPV6, false },
	{ "fs.inotify.max_user_instances", "8192", FOR_NODE, true },
	{ "fs.inotify.max_user_watches", "1048576", FOR_NODE, true },
};

int byoh_step_kernel_parameters(const struct byoh_plan_input *input, struct byoh_step *step,
				struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (!is_needed(input, parameters[i].what))
			continue;
		rc = byoh_buffer_printf(&text, err, "%s = %s\n", parameters[i].key,
					parameters[i].value);
		if (rc)
			return rc;
		count++;
	}
	if (!count)
		return 0;
	/* Sorted behind 99-sysctl.conf, since the last file wins. The agent sets its own copy's
	 * values again every few minutes, and that copy holds nothing that it would have to skip.
	 */
	rc = byoh_steps_text(input, step, "/etc/sysctl.d/99-zz-byoh.conf", 0644,
			     byoh_buffer_text(&text), err);
	if (!rc)
		rc = byoh_steps_text(input, step, "/etc/byoh/sysctl.conf", 0644,
				     byoh_buffer_text(&text), err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(parameters); i++) {
		struct byoh_action *action;

		if (!is_needed(input, parameters[i].what))
			continue;
		rc = byoh_step_other(step, BYOH_ACTION_SYSCTL, parameters[i].key,
				     parameters[i].value, &action, err);
		if (!rc)
			action->optional = parameters[i].optional;
	}
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Set %zu kernel parameters, at every boot too", count);
}
