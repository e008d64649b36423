/* SPDX-License-Identifier: Apache-2.0 */
/* iso.network: ports, bonds and VLANs of a machine that nobody has configured yet. */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"

#define LINK(member) offsetof(struct byoh_iso_link, member)
#define DEFAULT "default"

/* As the kernel takes it, less what would be somebody else's. */
static bool is_link_name(const char *text)
{
	return *text && strlen(text) < IFNAMSIZ && strcmp(text, "lo") != 0 && strcmp(text, ".") != 0 &&
	       strcmp(text, "..") != 0 &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

static bool is_name_or_mac(const char *text)
{
	return byoh_is_mac(text) || is_link_name(text);
}

/* ADDRESS/PREFIX */
static bool is_address(const char *text)
{
	char network[64];

	return strchr(text, '/') && byoh_cidr_of_address(text, network, sizeof(network)) == 0;
}

static bool is_gateway(const char *text)
{
	CLEANUP_FREE char *first = strdup(text);
	char *second = first ? strchr(first, ',') : NULL;

	if (!second)
		return byoh_is_node_ip(text);
	*second++ = '\0';
	return byoh_is_node_ip(first) && byoh_is_node_ip(second) && !strchr(first, ':') != !strchr(second, ':');
}

static bool is_destination(const char *text)
{
	return strcmp(text, DEFAULT) == 0 || (!strchr(text, ',') && byoh_is_cidr_list(text));
}

/* One writing for one thing: what is compared later is compared as text. */
static void normalise_mac(char *text)
{
	if (!byoh_is_mac(text))
		return;
	for (; *text; text++)
		*text = *text == '-' ? ':' : (char)tolower((unsigned char)*text);
}

static int read_route(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      struct byoh_iso_route *route, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "to", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_iso_route, to),
		  .valid = is_destination, .form = "a network like 10.1.0.0/16, or " DEFAULT },
		{ .key = "via", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_iso_route, via),
		  .valid = byoh_is_node_ip, .form = "the address of a router" },
		{ .key = "metric", .type = BYOH_FIELD_NUMBER, .offset = offsetof(struct byoh_iso_route, metric), .min = 0,
		  .max = UINT32_MAX },
	};
	int r = map->type == BYOH_YAML_MAPPING ?
			byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), route, err) :
			byoh_yaml_fail(reader->doc, map, err, "a route must be a mapping: {to: 10.1.0.0/16, via: 10.0.0.1}");

	if (r == 0 && (!route->to || !route->via))
		r = byoh_yaml_fail(reader->doc, map, err, "a route needs both \"to\" and \"via\"");
	return r;
}

static int read_routes(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       struct byoh_iso_link *link, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(reader->doc, map, "routes", BYOH_YAML_SEQUENCE, false, &list, err);

	if (r < 0 || !list || !list->count)
		return r;
	if (list->count > BYOH_ISO_ROUTES_MAX)
		return byoh_yaml_fail(reader->doc, list, err, "\"routes\" holds more than %d entries", BYOH_ISO_ROUTES_MAX);
	link->routes = calloc(list->count, sizeof(*link->routes));
	if (!link->routes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count && r == 0; i++) {
		link->route_count = i + 1;
		r = read_route(reader, list->items[i], &link->routes[i], err);
	}
	return r;
}

static int read_vlan(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_iso_link *link, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "id", .type = BYOH_FIELD_NUMBER, .offset = LINK(vlan_id), .min = 1, .max = 4094 },
		{ .key = "link", .type = BYOH_FIELD_STRING, .offset = LINK(vlan_link), .valid = is_name_or_mac,
		  .form = "the name or MAC address of what carries the VLAN" },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), link, err);

	if (r < 0 || !map)
		return r;
	if (!link->vlan_id || !link->vlan_link)
		return byoh_yaml_fail(reader->doc, map, err, "\"vlan\" needs both \"id\" and \"link\"");
	normalise_mac(link->vlan_link);
	return 0;
}

static int read_bond(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_iso_link *link, struct byoh_error *err)
{
	static const char *const modes[] = { "active-backup", "802.3ad",     "balance-rr",  "balance-xor",
					     "broadcast",     "balance-tlb", "balance-alb", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "mode", .type = BYOH_FIELD_CHOICE, .offset = LINK(bond_mode), .choices = modes },
		{ .key = "members", .type = BYOH_FIELD_STRINGS, .offset = LINK(bond_members), .valid = is_name_or_mac,
		  .form = "a list of ports by their names or MAC addresses" },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), link, err);

	if (r < 0 || !map)
		return r;
	if (!link->bond_members.count)
		return byoh_yaml_fail(reader->doc, map, err, "\"bond\" needs \"members\"");
	for (size_t i = 0; i < link->bond_members.count; i++)
		normalise_mac(link->bond_members.items[i]);
	return 0;
}

static int check_kind(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      const struct byoh_iso_link *link, struct byoh_error *err)
{
	if (!link->name == !link->mac)
		return byoh_yaml_fail(reader->doc, map, err, "a link needs either a \"name\" or a \"mac\"");
	if (link->vlan_id && link->bond_members.count)
		return byoh_yaml_fail(reader->doc, map, err,
				      "a link is a \"vlan\" or a \"bond\", not both; write two links, one on the other");
	if ((link->vlan_id || link->bond_members.count) && !link->name)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "mac"), err,
				      "a bond or VLAN is made new and needs a \"name\", no \"mac\"");
	if (link->vlan_link && link->name && strcmp(link->vlan_link, link->name) == 0)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "vlan"), err, "a VLAN cannot lie on itself");
	return 0;
}

/* Mistyped, it would take the machine off the network, and nobody would be there to see it. */
static int check_gateway(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 const struct byoh_iso_link *link, struct byoh_error *err)
{
	CLEANUP_FREE char *copy = link->gateway ? strdup(link->gateway) : NULL;
	char *rest = copy, *gateway, network[64];

	if (link->gateway && !copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (copy && (gateway = strsep(&rest, ","))) {
		bool reached = false;

		for (size_t i = 0; i < link->addresses.count && !reached; i++) {
			char host[80];

			snprintf(host, sizeof(host), "%s/%s", gateway, strchr(gateway, ':') ? "128" : "32");
			reached = byoh_cidr_of_address(link->addresses.items[i], network, sizeof(network)) == 0 &&
				  byoh_cidrs_contain(network, host);
		}
		if (!reached)
			return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "gateway"), err,
					      "the gateway %s lies in no network of this link's addresses", gateway);
	}
	return 0;
}

static int read_link(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_iso_link *link, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "name", .type = BYOH_FIELD_STRING, .offset = LINK(name), .valid = is_link_name,
		  .form = "the name of a network device (at most 15 of A-Z, a-z, 0-9, \"._-\")" },
		{ .key = "mac", .type = BYOH_FIELD_STRING, .offset = LINK(mac), .valid = byoh_is_mac,
		  .form = "a MAC address like 52:54:00:12:34:56" },
		{ .key = "dhcp", .type = BYOH_FIELD_BOOL, .offset = LINK(dhcp) },
		{ .key = "addresses", .type = BYOH_FIELD_STRINGS, .offset = LINK(addresses), .valid = is_address,
		  .form = "a list of addresses with their prefix, [10.0.0.21/24]" },
		{ .key = "gateway", .type = BYOH_FIELD_STRING, .offset = LINK(gateway), .valid = is_gateway,
		  .form = "the address of a router, or two of both families with a comma between" },
		{ .key = "mtu", .type = BYOH_FIELD_NUMBER, .offset = LINK(mtu), .min = 576, .max = 65535 },
		{ .key = "routes" }, { .key = "vlan" }, { .key = "bond" },
	};
	const struct byoh_yaml_node *vlan = NULL, *bond = NULL;
	int r = map->type == BYOH_YAML_MAPPING ?
			byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), link, err) :
			byoh_yaml_fail(reader->doc, map, err, "a link must be a mapping: {mac: ..., addresses: [...]}");

	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "vlan", BYOH_YAML_MAPPING, false, &vlan, err);
	if (r == 0)
		r = read_vlan(reader, vlan, link, err);
	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "bond", BYOH_YAML_MAPPING, false, &bond, err);
	if (r == 0)
		r = read_bond(reader, bond, link, err);
	if (r == 0)
		r = read_routes(reader, map, link, err);
	if (r == 0 && link->mac)
		normalise_mac(link->mac);
	if (r == 0)
		r = check_kind(reader, map, link, err);
	return r < 0 ? r : check_gateway(reader, map, link, err);
}

static const char *id_of(const struct byoh_iso_link *link)
{
	return link->name ? link->name : link->mac;
}

static bool is_member(const struct byoh_iso_link *bond, const char *id)
{
	for (size_t i = 0; i < bond->bond_members.count; i++)
		if (strcmp(bond->bond_members.items[i], id) == 0)
			return true;
	return false;
}

/* Two files for one device, and the kernel's order of finding them would decide. */
static int check_pair(const struct byoh_config_reader *reader, const struct byoh_yaml_node *at,
		      const struct byoh_iso_link *link, const struct byoh_iso_link *other, struct byoh_error *err)
{
	if (strcmp(id_of(link), id_of(other)) == 0)
		return byoh_yaml_fail(reader->doc, at, err, "the link %s stands here twice", id_of(link));
	if (is_member(other, id_of(link)) || is_member(link, id_of(other)))
		return byoh_yaml_fail(reader->doc, at, err,
				      "%s is a member of a bond: what it would have of its own belongs to the bond",
				      is_member(other, id_of(link)) ? id_of(link) : id_of(other));
	if ((link->vlan_link && is_member(other, link->vlan_link)) || (other->vlan_link && is_member(link, other->vlan_link)))
		return byoh_yaml_fail(reader->doc, at, err, "a VLAN lies on a member of a bond; it belongs on the bond");
	for (size_t i = 0; i < link->bond_members.count; i++)
		if (is_member(other, link->bond_members.items[i]))
			return byoh_yaml_fail(reader->doc, at, err, "%s is a member of two bonds",
					      link->bond_members.items[i]);
	return 0;
}

static int read_links(const struct byoh_config_reader *reader, const struct byoh_yaml_node *list, struct byoh_error *err)
{
	struct byoh_iso *iso = &reader->config->iso;
	int r = 0;

	if (!list || !list->count)
		return 0;
	if (list->count > BYOH_ISO_LINKS_MAX)
		return byoh_yaml_fail(reader->doc, list, err, "\"links\" holds more than %d entries", BYOH_ISO_LINKS_MAX);
	iso->links = calloc(list->count, sizeof(*iso->links));
	if (!iso->links)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count && r == 0; i++) {
		iso->link_count = i + 1;
		r = read_link(reader, list->items[i], &iso->links[i], err);
		for (size_t j = 0; j < i && r == 0; j++)
			r = check_pair(reader, list->items[i], &iso->links[i], &iso->links[j], err);
	}
	return r;
}

static bool is_search_domain(const char *text)
{
	return byoh_is_dns_name(text, 253);
}

int byoh_config_read_iso_network(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
				 struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "dns", .type = BYOH_FIELD_STRINGS, .offset = offsetof(struct byoh_config, iso.dns),
		  .valid = byoh_is_node_ip, .form = "a list of addresses of DNS servers" },
		{ .key = "search", .type = BYOH_FIELD_STRINGS, .offset = offsetof(struct byoh_config, iso.search),
		  .valid = is_search_domain, .form = "a list of domains" },
		{ .key = "links" },
	};
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);

	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "links", BYOH_YAML_SEQUENCE, false, &list, err);
	return r < 0 ? r : read_links(reader, list, err);
}
