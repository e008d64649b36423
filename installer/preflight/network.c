/* SPDX-License-Identifier: Apache-2.0 */
/* The host's network as the helper outside sees it, and the name it will have there. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-syntax.h"
#include "installer/net/outside.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"

#define TCP_LISTEN 0x0a
#define ROUTE_UP 0x0001
#define ROUTE_REJECT 0x0200

/* "  0: 0100007F:1F90 00000000:0000 0A ..."; the address of IPv6 is longer. */
bool byoh_check_listens(const char *text, uint16_t port)
{
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned int local, state;

		if (sscanf(line + 1, " %*u: %*[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*4x %2x", &local,
			   &state) == 2 &&
		    local == port && state == TCP_LISTEN)
			return true;
	}
	return false;
}

static int check_ports(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	const struct {
		uint16_t port;
		const char *purpose;
		bool needed;
	} ports[] = {
		{ 10250, "kubelet", byoh_check_has_kubelet(input) },
		{ 10248, "kubelet's health", byoh_check_has_kubelet(input) },
		{ 10256, "kube-proxy's health", byoh_check_has_kube_proxy(input) },
		{ 10249, "kube-proxy's metrics", byoh_check_has_kube_proxy(input) },
	};
	CLEANUP_BUFFER struct byoh_buffer tcp = { 0 }, tcp6 = { 0 };
	int rc;

	if (!byoh_check_has_kubelet(input) && !byoh_check_has_kube_proxy(input))
		return byoh_check_skip(report, "what the bundle brings listens on none");
	if (byoh_steps_adopts_node(input))
		return byoh_check_skip(report, "the node is adopted: its own kubelet listens");
	if (!input->host->outside)
		return byoh_check_skip(report, "the host's network cannot be seen from here");
	rc = byoh_outside_proc_net(input->host->outside, "tcp", &tcp, err);
	if (rc < 0)
		return rc;
	if (byoh_outside_proc_net(input->host->outside, "tcp6", &tcp6, NULL) < 0)
		tcp6.size = 0; /* a kernel without IPv6 */
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (!ports[i].needed ||
		    (!byoh_check_listens(byoh_buffer_text(&tcp), ports[i].port) &&
		     !(tcp6.size && byoh_check_listens(tcp6.data, ports[i].port))))
			continue;
		byoh_check_remedy(
			report,
			"ss -ltnp 'sport = :%u' tells which program it is: stop and disable it",
			ports[i].port);
		return byoh_check_fail(report, "a program listens on port %u (%s)", ports[i].port,
				       ports[i].purpose);
	}
	return byoh_check_pass(report, "10250 and its neighbours are free");
}

static bool default_ipv4(const char *text)
{
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned int destination, flags, mask;

		if (sscanf(line + 1, "%*s %8x %*x %4x %*d %*d %*d %8x", &destination, &flags,
			   &mask) == 3 &&
		    !destination && !mask && (flags & ROUTE_UP) && !(flags & ROUTE_REJECT))
			return true;
	}
	return false;
}

static bool default_ipv6(const char *text)
{
	static const char any[] = "00000000000000000000000000000000 00 ";

	for (const char *line = text; line; line = strchr(line, '\n')) {
		unsigned int flags;
		char device[32];

		line += *line == '\n';
		if (!strncmp(line, any, strlen(any)) &&
		    sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %x %31s", &flags, device) == 2 &&
		    strcmp(device, "lo") && (flags & ROUTE_UP) && !(flags & ROUTE_REJECT))
			return true;
	}
	return false;
}

bool byoh_check_default_route(const char *ipv4, const char *ipv6)
{
	return default_ipv4(ipv4) || default_ipv6(ipv6);
}

/* Without one the kubelet and CNI plugins find no address of their own. */
static int check_default_route(const struct byoh_plan_input *input,
			       struct byoh_check_report *report, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer ipv4 = { 0 }, ipv6 = { 0 };
	int rc;

	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (!input->host->outside)
		return byoh_check_skip(report, "the host's network cannot be seen from here");
	rc = byoh_outside_proc_net(input->host->outside, "route", &ipv4, err);
	if (rc < 0)
		return rc;
	if (byoh_outside_proc_net(input->host->outside, "ipv6_route", &ipv6, NULL) < 0)
		ipv6.size = 0;
	if (byoh_check_default_route(byoh_buffer_text(&ipv4), ipv6.size ? ipv6.data : ""))
		return byoh_check_pass(report, "there is one");
	if (input->config->host.dummy_route)
		return byoh_check_pass(report, "none yet: the install sets one that leads nowhere");
	byoh_check_remedy(report,
			  "set one; for a site without a router write host.dummyRoute: true in byoh.yaml, "
			  "which sets one that leads nowhere, at every boot too");
	return byoh_check_warn(report, "this host has no default route");
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* A node's name is a DNS subdomain (RFC 1123), and also the value of a label, which may have 63
 * letters. */
const char *byoh_check_hostname_fault(const char *name)
{
	size_t length = strlen(name);

	if (!strcmp(name, "localhost") || !strncmp(name, "localhost.", 10))
		return "is the name of every machine";
	if (!length || length > 63)
		return "must have 1 to 63 characters";
	for (size_t part = 0, end; part <= length; part = end + 1) {
		end = part + strcspn(name + part, ".");
		if (end == part)
			return "has an empty part";
		for (size_t i = part; i < end; i++) {
			if (name[i] >= 'A' && name[i] <= 'Z')
				return "has capital letters, which no node's name has";
			if (!is_lower_or_digit(name[i]) &&
			    (name[i] != '-' || i == part || i == end - 1))
				return "may have lower-case letters, digits, and between them - "
				       "and . only";
		}
	}
	return NULL;
}

static int check_hostname(const struct byoh_plan_input *input, struct byoh_check_report *report,
			  struct byoh_error *err)
{
	const char *given = input->config->host.hostname,
		   *name = given ? given : input->host->hostname;
	const char *fault;

	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no part of a node");
	byoh_check_remedy(report,
			  "set host.hostname in byoh.yaml, or: hostnamectl set-hostname NAME");
	if (!name[0] && !input->host->live)
		return byoh_check_warn(report, "no name is set below %.180s", input->host->root);
	fault = byoh_check_hostname_fault(name);
	if (!fault)
		return byoh_check_pass(report, "%.63s", name);
	return byoh_check_fail(report, "\"%.64s\" %s", name, fault);
}

/* The file that the kubelet hands on to pods, the cluster's DNS among them. kubeadm finds systemd-resolved's by
 * itself; what the agent writes does not. */
static const char *name_server_file(const struct byoh_plan_input *input)
{
	if (input->config->node.resolv_conf)
		return input->config->node.resolv_conf;
	if (input->host->has_resolved && input->config->join_mode != BYOH_JOIN_AGENT)
		return BYOH_RESOLVED_FILE;
	return "/etc/resolv.conf";
}

bool byoh_check_loops(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		char address[64];

		line += *line == '\n';
		if (sscanf(line, "nameserver %63s", address) == 1 &&
		    (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0))
			return true;
	}
	return false;
}

static int check_name_servers(const struct byoh_plan_input *input, struct byoh_check_report *report,
			      struct byoh_error *err)
{
	const char *path = name_server_file(input);
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	(void)err;
	if (!byoh_check_has_kubelet(input) || input->config->join_mode == BYOH_JOIN_NONE)
		return byoh_check_skip(report, "no kubelet joins");
	if (byoh_host_read(input->host->root_fd, path, (size_t)1 << 20, &text, NULL) < 0) {
		byoh_check_remedy(report, "make %.150s, or write another file as node.resolvConf", path);
		if (!input->config->node.resolv_conf)
			return byoh_check_pass(report, "none, and none are needed");
		return byoh_check_warn(report, "%.150s is not there, and no pod starts without it", path);
	}
	if (!byoh_check_loops(byoh_buffer_text(&text)))
		return byoh_check_pass(report, "%.200s", path);
	byoh_check_remedy(report, input->config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP ?
				  "write a file with the site's own name servers as node.resolvConf" :
				  "set resolvConf in the cluster's kubelet configuration to a file with the site's own name "
				  "servers, with systemd-resolved " BYOH_RESOLVED_FILE);
	return byoh_check_warn(report, "%.120s leads to this host itself, and in a pod to the pod: the cluster's DNS would ask "
				       "itself for ever", path);
}

/* Not known is no failure where a cluster can still tell it: its network is written by a later run. */
static int check_pod_cidr(const struct byoh_plan_input *input, struct byoh_check_report *report,
			  struct byoh_error *err)
{
	const struct byoh_config *config = input->config;

	(void)err;
	if (!config->cni.bridge)
		return byoh_check_skip(report, "no network of this node's own is asked for");
	if (!input->pod_cidr || !*input->pod_cidr) {
		byoh_check_remedy(report,
				  "write cni.podCIDR, or set " BYOH_POD_CIDR_VARIABLE "; once the node has joined, "
				  "byoh-install repair asks the API server for it");
		if (config->join_mode == BYOH_JOIN_NONE)
			return byoh_check_fail(report, "the network of this node's pods is not known");
		return byoh_check_warn(report, "the network of this node's pods is not known yet, and no pod gets "
					       "an address before it is");
	}
	if (config->cni.invent_pod_cidr) {
		byoh_check_remedy(report, "write the network that the cluster has assigned to this node");
		return byoh_check_warn(report,
				       "%s is made of the host's name: of 20 nodes two have the same one as often as not",
				       input->pod_cidr);
	}
	if (!byoh_cidrs_contain(config->cluster.pod_cidr, input->pod_cidr)) {
		byoh_check_remedy(report, "write cni.podCIDR, or mend cluster.podCIDR");
		return byoh_check_warn(report, "%s, from %.120s, does not lie in cluster.podCIDR %s", input->pod_cidr,
				       input->pod_cidr_source, config->cluster.pod_cidr);
	}
	return byoh_check_pass(report, "%s, from %.120s", input->pod_cidr, input->pod_cidr_source);
}

const struct byoh_check byoh_checks_network[] = {
	{ .id = "hostname", .run = check_hostname },
	{ .id = "ports", .live_only = true, .fresh_only = true, .run = check_ports },
	{ .id = "default-route", .live_only = true, .run = check_default_route },
	{ .id = "pod-cidr", .run = check_pod_cidr },
	{ .id = "name-servers", .run = check_name_servers },
	{ .id = NULL },
};
