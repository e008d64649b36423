/* SPDX-License-Identifier: Apache-2.0 */
/* The description itself, and its JSON. */
#include "installer/disk/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"

static const char *const kinds[] = { "other", "disk", "partition" };

static void release_strings(struct byoh_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

static void release_device(struct byoh_device *device)
{
	free(device->name);
	free(device->parent);
	release_strings(&device->slaves);
	release_strings(&device->mounts);
	free(device->fs_type);
	free(device->fs_label);
	free(device->fs_uuid);
	free(device->table_type);
	free(device->table_id);
	free(device->part_label);
	free(device->model);
	free(device->serial);
	free(device->wwn);
	release_strings(&device->by_id);
	release_strings(&device->by_path);
}

void byoh_devices_release(struct byoh_devices *devices)
{
	for (size_t i = 0; i < devices->count; i++)
		release_device(&devices->items[i]);
	free(devices->items);
	*devices = (struct byoh_devices){ 0 };
}

struct byoh_device *byoh_devices_add(struct byoh_devices *devices, const char *name)
{
	struct byoh_device *grown = devices->count < BYOH_DEVICES_MAX ?
					    reallocarray(devices->items, devices->count + 1, sizeof(*grown)) : NULL;
	char *copy = grown ? strdup(name) : NULL;

	if (grown)
		devices->items = grown;
	if (!copy)
		return NULL;
	grown[devices->count] = (struct byoh_device){ .name = copy };
	return &grown[devices->count++];
}

int byoh_device_add_text(struct byoh_strings *strings, const char *text, struct byoh_error *err)
{
	char **grown = reallocarray(strings->items, strings->count + 1, sizeof(*grown));
	char *copy = grown ? strdup(text) : NULL;

	if (grown)
		strings->items = grown;
	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	grown[strings->count++] = copy;
	return 0;
}

const struct byoh_device *byoh_devices_find(const struct byoh_devices *devices, const char *name)
{
	for (size_t i = 0; i < devices->count; i++)
		if (strcmp(devices->items[i].name, name) == 0)
			return &devices->items[i];
	return NULL;
}

/*
 * JSON: one row for each field, for both ways
 */

#define AT(member) offsetof(struct byoh_device, member)

static const struct text_field {
	const char *key;
	size_t offset;
} texts[] = {
	{ "parent", AT(parent) },	{ "model", AT(model) },		  { "serial", AT(serial) },
	{ "wwn", AT(wwn) },		{ "tableType", AT(table_type) },  { "tableId", AT(table_id) },
	{ "fsType", AT(fs_type) },	{ "fsLabel", AT(fs_label) },	  { "fsUuid", AT(fs_uuid) },
	{ "partLabel", AT(part_label) },
};

static const struct text_field lists[] = {
	{ "slaves", AT(slaves) }, { "mounts", AT(mounts) }, { "byId", AT(by_id) }, { "byPath", AT(by_path) },
};

static const struct text_field flags[] = {
	{ "swap", AT(swap) }, { "readOnly", AT(read_only) }, { "removable", AT(removable) }, { "blank", AT(blank) },
};

static const struct text_field numbers[] = { { "size", AT(size) }, { "partNumber", AT(part_number) } };

static void *field_of(const struct byoh_device *device, const struct text_field *field)
{
	return (char *)device + field->offset;
}

static void write_device(struct byoh_json *json, const struct byoh_device *device)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", device->name);
	byoh_json_field_string(json, "kind", kinds[device->kind]);
	byoh_json_field_string(json, "transport", byoh_transport_name(device->transport));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		byoh_json_field_u64(json, numbers[i].key, *(uint64_t *)field_of(device, &numbers[i]));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		byoh_json_field_bool(json, flags[i].key, *(bool *)field_of(device, &flags[i]));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		byoh_json_field_string(json, texts[i].key, *(char **)field_of(device, &texts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct byoh_strings *list = field_of(device, &lists[i]);

		byoh_json_key(json, lists[i].key);
		byoh_json_begin_array(json);
		for (size_t j = 0; j < list->count; j++)
			byoh_json_string(json, list->items[j]);
		byoh_json_end_array(json);
	}
	byoh_json_end_object(json);
}

int byoh_devices_json(const struct byoh_devices *devices, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_array(&json);
	for (size_t i = 0; i < devices->count; i++)
		write_device(&json, &devices->items[i]);
	byoh_json_end_array(&json);
	return byoh_json_finish(&json, err);
}

static int read_word(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		     const char *const *words, size_t count, unsigned int *ret, struct byoh_error *err)
{
	const char *text = words[0];
	int r = byoh_yaml_read_string(doc, map, key, false, &text, err);

	for (unsigned int i = 0; r == 0 && i < count; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	return r < 0 ? r : byoh_yaml_fail(doc, byoh_yaml_get(map, key), err, "\"%s\": \"%.60s\" is unknown", key, text);
}

static int read_list(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		     struct byoh_strings *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(doc, map, key, BYOH_YAML_SEQUENCE, false, &list, err);

	for (size_t i = 0; r == 0 && list && i < list->count; i++)
		r = list->items[i]->type == BYOH_YAML_SCALAR ?
			    byoh_device_add_text(ret, list->items[i]->text, err) :
			    byoh_yaml_fail(doc, list->items[i], err, "\"%s\" holds texts only", key);
	return r;
}

static int read_text(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key, char **ret,
		     struct byoh_error *err)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(doc, map, key, false, &text, err);

	if (r < 0 || !text || !*text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int read_device(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, struct byoh_devices *devices,
		       struct byoh_error *err)
{
	static const char *transports[BYOH_TRANSPORTS];
	const char *name = NULL;
	struct byoh_device *device;
	unsigned int kind = 0, transport = 0;
	int r = byoh_yaml_read_string(doc, map, "name", true, &name, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < BYOH_TRANSPORTS; i++)
		transports[i] = byoh_transport_name((enum byoh_transport)i);
	if (!*name || strchr(name, '/'))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "name"), err, "\"name\" is no name of a device");
	if (byoh_devices_find(devices, name))
		return byoh_yaml_fail(doc, map, err, "the device %.60s stands here twice", name);
	device = byoh_devices_add(devices, name);
	if (!device)
		return byoh_fail(err, BYOH_ERROR_FORMAT, E2BIG, "too many devices");
	r = read_word(doc, map, "kind", kinds, ARRAY_SIZE(kinds), &kind, err);
	if (r == 0)
		r = read_word(doc, map, "transport", transports, BYOH_TRANSPORTS, &transport, err);
	device->kind = kind;
	device->transport = transport;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = byoh_yaml_read_u64(doc, map, numbers[i].key, false, field_of(device, &numbers[i]), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++)
		r = byoh_yaml_read_bool(doc, map, flags[i].key, false, field_of(device, &flags[i]), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = read_text(doc, map, texts[i].key, field_of(device, &texts[i]), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
		r = read_list(doc, map, lists[i].key, field_of(device, &lists[i]), err);
	return r;
}

int byoh_devices_parse(const char *text, size_t size, const char *name, struct byoh_devices *ret,
		       struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	const struct byoh_yaml_node *root;
	int r;

	if (size > BYOH_DEVICES_SIZE_MAX)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EFBIG, "%s: too large for a description of disks", name);
	r = byoh_yaml_parse(text, size, name, BYOH_ERROR_FORMAT, &doc, err);
	if (r < 0)
		return r;
	root = byoh_yaml_root(doc);
	if (!root || root->type != BYOH_YAML_SEQUENCE)
		return byoh_yaml_fail(doc, root, err, "a description of disks is a list");
	for (size_t i = 0; i < root->count && r == 0; i++)
		r = read_device(doc, root->items[i], &devices, err);
	if (r < 0)
		return r;
	*ret = devices;
	devices = (struct byoh_devices){ 0 };
	return 0;
}
