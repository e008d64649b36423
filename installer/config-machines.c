/* SPDX-License-Identifier: Apache-2.0 */
/* `machines:`: which entry is this machine's, and its values laid over the top level's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"

void byoh_config_overlay_release(struct byoh_config_overlay *overlay)
{
	for (size_t i = 0; i < overlay->count; i++) {
		free(overlay->nodes[i]->keys);
		free(overlay->nodes[i]->items);
		free(overlay->nodes[i]);
	}
	free(overlay->nodes);
	*overlay = (struct byoh_config_overlay){0};
}

/* An empty mapping with room for capacity pairs, owned by the overlay. */
static struct byoh_yaml_node *new_mapping(struct byoh_config_overlay *overlay, size_t capacity,
					  const struct byoh_yaml_node *like)
{
	struct byoh_yaml_node **grown =
		reallocarray(overlay->nodes, overlay->count + 1, sizeof(*overlay->nodes));
	struct byoh_yaml_node *node;

	if (!grown)
		return NULL;
	overlay->nodes = grown;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	overlay->nodes[overlay->count++] = node;
	node->type = BYOH_YAML_MAPPING;
	node->line = like->line;
	node->column = like->column;
	node->keys = calloc(capacity + 1, sizeof(*node->keys));
	node->items = calloc(capacity + 1, sizeof(*node->items));
	return node->keys && node->items ? node : NULL;
}

/* What says where a secret or a file comes from, or which disk it is, is one thing: half of it from here and
 * half of it from there would be two sources. */
static bool is_replaced_whole(const char *key)
{
	static const char *const keys[] = { "ca", "token", "kubeconfig", "auth", "tls", "disk", "data" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

static size_t index_of(const struct byoh_yaml_node *map, const char *key)
{
	size_t i = 0;

	while (i < map->count && strcmp(map->keys[i]->text, key) != 0)
		i++;
	return i;
}

int byoh_config_merge(struct byoh_config_overlay *overlay, const struct byoh_yaml_node *base,
		      const struct byoh_yaml_node *over, const struct byoh_yaml_node **ret,
		      struct byoh_error *err)
{
	struct byoh_yaml_node *node = new_mapping(overlay, base->count + over->count, over);

	if (!node)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (; node->count < base->count; node->count++) {
		node->keys[node->count] = base->keys[node->count];
		node->items[node->count] = base->items[node->count];
	}
	for (size_t i = 0; i < over->count; i++) {
		const char *key = over->keys[i]->text;
		size_t at = index_of(node, key);
		const struct byoh_yaml_node *merged = over->items[i];

		if (at < node->count && node->items[at]->type == BYOH_YAML_MAPPING &&
		    merged->type == BYOH_YAML_MAPPING && !is_replaced_whole(key)) {
			int r = byoh_config_merge(overlay, node->items[at], merged, &merged, err);

			if (r < 0)
				return r;
		}
		node->keys[at] = over->keys[i];
		node->items[at] = (struct byoh_yaml_node *)merged; /* only ever read */
		if (at == node->count)
			node->count++;
	}
	*ret = node;
	return 0;
}

static bool macs_equal(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && strncasecmp(a, b, 1) != 0 && !(*a == '-' && *b == ':'))
			return false;
	return *a == *b;
}

static bool has_mac(const struct byoh_machine_identity *identity, const char *mac)
{
	for (size_t i = 0; i < identity->macs.count; i++)
		if (macs_equal(mac, identity->macs.items[i]))
			return true;
	return false;
}

struct match {
	char *serial, *uuid, *mac;
};

static void release_match(struct match *match)
{
	free(match->serial);
	free(match->uuid);
	free(match->mac);
}

/* All that an entry names must be this machine's. */
static bool is_this_machine(const struct match *match, const struct byoh_machine_identity *identity)
{
	if (match->serial && (!identity->serial || strcmp(match->serial, identity->serial) != 0))
		return false;
	if (match->uuid && (!identity->uuid || strcasecmp(match->uuid, identity->uuid) != 0))
		return false;
	return !match->mac || has_mac(identity, match->mac);
}

int byoh_config_machine_matches(const struct byoh_yaml *doc, const struct byoh_yaml_node *entry,
				const struct byoh_machine_identity *identity, bool *ret,
				struct byoh_error *err)
{
	static const char *const keys[] = {
		"match", "cluster", "join", "node", "agent", "host", "containerd", "registries",
		"kubeProxy", "cni", "iso", NULL,
	};
	static const struct byoh_field fields[] = {
		{ .key = "serial", .type = BYOH_FIELD_STRING, .offset = offsetof(struct match, serial) },
		{ .key = "uuid", .type = BYOH_FIELD_STRING, .offset = offsetof(struct match, uuid),
		  .valid = byoh_is_uuid, .form = "an SMBIOS UUID (dmidecode -s system-uuid)" },
		{ .key = "mac", .type = BYOH_FIELD_STRING, .offset = offsetof(struct match, mac),
		  .valid = byoh_is_mac, .form = "a MAC address like 52:54:00:12:34:56" },
	};
	const struct byoh_config_reader reader = { .doc = doc };
	CLEANUP(release_match) struct match match = {0};
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_only_keys(doc, entry, keys, false, err);

	if (r == 0)
		r = byoh_yaml_read_node(doc, entry, "match", BYOH_YAML_MAPPING, true, &map, err);
	if (r == 0)
		r = byoh_config_fields(&reader, map, fields, ARRAY_SIZE(fields), &match, err);
	if (r < 0)
		return r;
	if (!match.serial && !match.uuid && !match.mac)
		return byoh_yaml_fail(doc, map, err,
				      "\"match\" names no machine; give its serial, uuid or mac");
	*ret = identity && is_this_machine(&match, identity);
	return 0;
}
