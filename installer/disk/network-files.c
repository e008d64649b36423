/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/network-files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-syntax.h"
#include "installer/host-internal.h"

#define PREFIX BYOH_NETWORK_FOLDER "/10-byoh-"
#define HEAD "# Written by byoh-install from iso.network of its configuration.\n"

struct out {
	int (*put)(void *context, const char *path, const char *text, struct byoh_error *err);
	void *context;
	const struct byoh_iso *iso;
};

static int put(const struct out *out, const char *name, const struct byoh_buffer *text, struct byoh_error *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s", name);
	return out->put(out->context, path, byoh_buffer_text(text), err);
}

static int put_numbered(const struct out *out, size_t number, size_t part, const char *kind, const struct byoh_buffer *text,
			struct byoh_error *err)
{
	char path[128];

	if (part)
		snprintf(path, sizeof(path), PREFIX "%02zu-%02zu.%s", number, part, kind);
	else
		snprintf(path, sizeof(path), PREFIX "%02zu.%s", number, kind);
	return put(out, path, text, err);
}

/* A bond gives its ports an address of its own, and a VLAN borrows that of its port: only the hardware's tells them
 * apart. */
static int add_match(struct byoh_buffer *text, const char *id, struct byoh_error *err)
{
	return byoh_buffer_printf(text, err, HEAD "[Match]\n%s=%s\n\n", byoh_is_mac(id) ? "PermanentMACAddress" : "Name", id);
}

static const char *id_of(const struct byoh_iso_link *link)
{
	return link->name ? link->name : link->mac;
}

/* VLAN=... for all that lie on it; how many in *ret_count. */
static int add_vlans(const struct byoh_iso *iso, const char *carrier, struct byoh_buffer *text, size_t *ret_count,
		     struct byoh_error *err)
{
	*ret_count = 0;
	for (size_t i = 0; i < iso->link_count; i++) {
		const struct byoh_iso_link *link = &iso->links[i];

		if (!link->vlan_id || strcmp(link->vlan_link, carrier) != 0)
			continue;
		TRY(byoh_buffer_printf(text, err, "VLAN=%s\n", link->name));
		++*ret_count;
	}
	return 0;
}

static int add_gateways(const char *gateways, struct byoh_buffer *text, struct byoh_error *err)
{
	while (gateways && *gateways) {
		size_t length = strcspn(gateways, ",");

		TRY(byoh_buffer_printf(text, err, "Gateway=%.*s\n", (int)length, gateways));
		gateways += length + (gateways[length] == ',');
	}
	return 0;
}

static int add_route(const struct byoh_iso_route *route, struct byoh_buffer *text, struct byoh_error *err)
{
	const char *to = strcmp(route->to, "default") != 0 ? route->to : strchr(route->via, ':') ? "::/0" : "0.0.0.0/0";

	TRY(byoh_buffer_printf(text, err, "\n[Route]\nDestination=%s\nGateway=%s\n", to, route->via));
	return route->metric ? byoh_buffer_printf(text, err, "Metric=%llu\n", (unsigned long long)route->metric) : 0;
}

static int add_dns(const struct byoh_iso *iso, struct byoh_buffer *text, struct byoh_error *err)
{
	for (size_t i = 0; i < iso->dns.count; i++)
		TRY(byoh_buffer_printf(text, err, "DNS=%s\n", iso->dns.items[i]));
	for (size_t i = 0; i < iso->search.count; i++)
		TRY(byoh_buffer_printf(text, err, "%s%s%s", i ? " " : "Domains=", iso->search.items[i],
				       i + 1 == iso->search.count ? "\n" : ""));
	return 0;
}

/* What is nothing but a carrier has no address, not even one of its own making, and a boot does not wait for it. */
static int add_network(const struct byoh_iso *iso, const struct byoh_iso_link *link, struct byoh_buffer *text,
		       struct byoh_error *err)
{
	bool bare = !link->dhcp && !link->addresses.count;
	size_t vlans;

	if (link->mtu || bare)
		TRY(byoh_buffer_printf(text, err, "[Link]\n"));
	if (link->mtu)
		TRY(byoh_buffer_printf(text, err, "MTUBytes=%llu\n", (unsigned long long)link->mtu));
	if (bare)
		TRY(byoh_buffer_printf(text, err, "RequiredForOnline=no\n"));
	if (link->mtu || bare)
		TRY(byoh_buffer_printf(text, err, "\n"));
	TRY(byoh_buffer_printf(text, err, "[Network]\nDHCP=%s\n", link->dhcp ? "yes" : "no"));
	if (bare)
		TRY(byoh_buffer_printf(text, err, "LinkLocalAddressing=no\n"));
	if (!link->dhcp)
		TRY(byoh_buffer_printf(text, err, "IPv6AcceptRA=no\n"));
	for (size_t i = 0; i < link->addresses.count; i++)
		TRY(byoh_buffer_printf(text, err, "Address=%s\n", link->addresses.items[i]));
	TRY(add_gateways(link->gateway, text, err));
	if (!bare)
		TRY(add_dns(iso, text, err));
	TRY(add_vlans(iso, id_of(link), text, &vlans, err));
	for (size_t i = 0; i < link->route_count; i++)
		TRY(add_route(&link->routes[i], text, err));
	return 0;
}

static int put_bond(const struct out *out, size_t number, const struct byoh_iso_link *link, struct byoh_error *err)
{
	static const char *const modes[] = { "active-backup", "802.3ad",     "balance-rr", "balance-xor",
					     "broadcast",     "balance-tlb", "balance-alb" };
	CLEANUP_BUFFER struct byoh_buffer device = { 0 };

	TRY(byoh_buffer_printf(&device, err, HEAD "[NetDev]\nName=%s\nKind=bond\n\n[Bond]\nMode=%s\nMIIMonitorSec=100ms\n",
			       link->name, modes[link->bond_mode]));
	TRY(put_numbered(out, number, 0, "netdev", &device, err));
	for (size_t i = 0; i < link->bond_members.count; i++) {
		CLEANUP_BUFFER struct byoh_buffer member = { 0 };

		TRY(add_match(&member, link->bond_members.items[i], err));
		TRY(byoh_buffer_printf(&member, err, "[Link]\nRequiredForOnline=no\n\n[Network]\nBond=%s\n", link->name));
		TRY(put_numbered(out, number, i + 1, "network", &member, err));
	}
	return 0;
}

static bool is_listed(const struct byoh_iso *iso, const char *id)
{
	for (size_t i = 0; i < iso->link_count; i++)
		if (strcmp(id_of(&iso->links[i]), id) == 0)
			return true;
	return false;
}

/* A port that nothing else is said of has to be up all the same. The first of its VLANs brings its file. */
static int put_carrier(const struct out *out, size_t number, const struct byoh_iso_link *link, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const struct byoh_iso_link bare = { .mac = link->vlan_link };

	if (is_listed(out->iso, link->vlan_link))
		return 0;
	for (size_t i = 0; i < number; i++)
		if (out->iso->links[i].vlan_link && strcmp(out->iso->links[i].vlan_link, link->vlan_link) == 0)
			return 0;
	TRY(add_match(&text, link->vlan_link, err));
	TRY(add_network(out->iso, &bare, &text, err));
	return put_numbered(out, number, 1, "network", &text, err);
}

static int put_vlan(const struct out *out, size_t number, const struct byoh_iso_link *link, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer device = { 0 };

	TRY(byoh_buffer_printf(&device, err, HEAD "[NetDev]\nName=%s\nKind=vlan\n\n[VLAN]\nId=%llu\n", link->name,
			       (unsigned long long)link->vlan_id));
	TRY(put_numbered(out, number, 0, "netdev", &device, err));
	return put_carrier(out, number, link, err);
}

static int put_link(const struct out *out, size_t number, const struct byoh_iso_link *link, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (link->bond_members.count)
		TRY(put_bond(out, number, link, err));
	if (link->vlan_id)
		TRY(put_vlan(out, number, link, err));
	TRY(add_match(&text, id_of(link), err));
	TRY(add_network(out->iso, link, &text, err));
	return put_numbered(out, number, 0, "network", &text, err);
}

static bool is_named(const struct byoh_iso *iso, const char *address)
{
	for (size_t i = 0; i < iso->link_count; i++) {
		const struct byoh_iso_link *link = &iso->links[i];

		if ((link->mac && strcmp(link->mac, address) == 0) || (link->vlan_link && strcmp(link->vlan_link, address) == 0))
			return true;
		for (size_t j = 0; j < link->bond_members.count; j++)
			if (strcmp(link->bond_members.items[j], address) == 0)
				return true;
	}
	return false;
}

static int check_port(int root_fd, const struct byoh_iso *iso, const char *name, struct byoh_error *err)
{
	CLEANUP_FREE char *address = NULL;
	char path[128];

	if (!name || byoh_is_mac(name))
		return 0;
	snprintf(path, sizeof(path), "/sys/class/net/%.60s/address", name);
	address = byoh_host_word(root_fd, path);
	if (!address || !is_named(iso, address))
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
			 "iso.network: the port %s stands here by its name and by its address %s; write the same of both everywhere",
			 name, address);
}

int byoh_network_check_ports(int root_fd, const struct byoh_iso *iso, struct byoh_error *err)
{
	for (size_t i = 0; i < iso->link_count; i++) {
		const struct byoh_iso_link *link = &iso->links[i];

		TRY(check_port(root_fd, iso, link->name, err));
		TRY(check_port(root_fd, iso, link->vlan_link, err));
		for (size_t j = 0; j < link->bond_members.count; j++)
			TRY(check_port(root_fd, iso, link->bond_members.items[j], err));
	}
	return 0;
}

/* Bridges and veths of pods are Ethernet too, and of a kind. */
static int put_default(const struct out *out, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	TRY(byoh_buffer_printf(&text, err,
			       "# Written by byoh-install: its configuration has no iso.network.links.\n"
			       "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n"));
	TRY(add_dns(out->iso, &text, err));
	return put(out, BYOH_NETWORK_FOLDER "/90-byoh-dhcp.network", &text, err);
}

int byoh_network_files(const struct byoh_iso *iso,
		       int (*put_file)(void *context, const char *path, const char *text, struct byoh_error *err),
		       void *context, struct byoh_error *err)
{
	const struct out out = { .put = put_file, .context = context, .iso = iso };

	/* networkd would take away what a network plugin has set. */
	TRY(put_file(context, "/etc/systemd/networkd.conf.d/10-byoh.conf",
		     "# Written by byoh-install: routes and rules of network plugins stay.\n"
		     "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n", err));
	for (size_t i = 0; i < iso->link_count; i++)
		TRY(put_link(&out, i, &iso->links[i], err));
	return iso->link_count ? 0 : put_default(&out, err);
}

int byoh_network_resolv_conf(const struct byoh_iso *iso, struct byoh_buffer *ret, struct byoh_error *err)
{
	for (size_t i = 0; i < iso->search.count; i++)
		TRY(byoh_buffer_printf(ret, err, "%s%s%s", i ? " " : "search ", iso->search.items[i],
				       i + 1 == iso->search.count ? "\n" : ""));
	for (size_t i = 0; i < iso->dns.count; i++)
		TRY(byoh_buffer_printf(ret, err, "nameserver %s\n", iso->dns.items[i]));
	return 0;
}
