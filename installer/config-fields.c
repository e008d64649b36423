/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/config-fields.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"

#define MAX_FIELDS 16

const struct byoh_yaml_node *byoh_config_key_node(const struct byoh_yaml_node *map, const char *key)
{
	for (size_t i = 0; map && map->type == BYOH_YAML_MAPPING && i < map->count; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->keys[i];
	return map;
}

const struct byoh_yaml_node *byoh_config_get(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && byoh_yaml_is_null(node) ? NULL : node;
}

int byoh_config_copy(const char *text, char **ret, struct byoh_error *err)
{
	char *copy = strdup(text);

	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	free(*ret);
	*ret = copy;
	return 0;
}

int byoh_config_check_effect(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			     const char *key, unsigned int modes, const char *why, struct byoh_error *err)
{
	enum byoh_join_mode mode;

	if (modes == BYOH_MODES_ALL || !byoh_config_get(map, key))
		return 0;
	mode = reader->config->join_mode;
	if (modes & BYOH_MODE(mode))
		return 0;
	return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, key), err,
			      "\"%s\" has no effect in join mode %s: %s; remove it or change join.mode", key,
			      byoh_join_mode_name(mode), why);
}

static int fail_form(const struct byoh_config_reader *reader, const struct byoh_field *field,
		     const struct byoh_yaml_node *node, struct byoh_error *err)
{
	const char *form = field->form ? field->form : "a text that is not empty";

	if (field->type == BYOH_FIELD_SECRET)
		return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be %s", field->key, form);
	return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be %s, not \"%.100s\"", field->key, form,
			      node->text);
}

static bool is_valid(bool (*valid)(const char *), const char *text)
{
	return valid ? valid(text) : *text != '\0';
}

static int read_text(const struct byoh_config_reader *reader, const struct byoh_field *field,
		     const struct byoh_yaml_node *node, char **ret, struct byoh_error *err)
{
	if (node->type != BYOH_YAML_SCALAR)
		return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be a single value", field->key);
	if (!is_valid(field->valid, node->text))
		return fail_form(reader, field, node, err);
	return byoh_config_copy(node->text, ret, err);
}

static int read_number(const struct byoh_config_reader *reader, const struct byoh_field *field,
		       const struct byoh_yaml_node *map, uint64_t *ret, struct byoh_error *err)
{
	int r = byoh_yaml_read_u64(reader->doc, map, field->key, false, ret, err);

	if (r == 0 && (*ret < field->min || *ret > field->max))
		return byoh_yaml_fail(reader->doc, byoh_yaml_get(map, field->key), err,
				      "\"%s\" must be from %llu to %llu", field->key,
				      (unsigned long long)field->min, (unsigned long long)field->max);
	return r;
}

static int read_choice(const struct byoh_config_reader *reader, const struct byoh_field *field,
		       const struct byoh_yaml_node *node, unsigned int *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer list = {0};

	if (node->type != BYOH_YAML_SCALAR)
		return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be a single value", field->key);
	for (unsigned int i = 0; field->choices[i]; i++) {
		int r = byoh_buffer_printf(&list, err, "%s%s", i ? ", " : "", field->choices[i]);

		if (r < 0)
			return r;
		if (strcmp(field->choices[i], node->text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be one of %s, not \"%.100s\"", field->key,
			      byoh_buffer_text(&list), node->text);
}

static int check_collection(const struct byoh_config_reader *reader, const struct byoh_field *field,
			    const struct byoh_yaml_node *node, enum byoh_yaml_type type,
			    struct byoh_error *err)
{
	if (node->type != type)
		return byoh_yaml_fail(reader->doc, node, err, "\"%s\" must be a %s", field->key,
				      type == BYOH_YAML_SEQUENCE ? "list" : "mapping (key: value)");
	if (node->count > BYOH_CONFIG_MAX_ITEMS)
		return byoh_yaml_fail(reader->doc, node, err, "\"%s\" holds more than %d entries", field->key,
				      BYOH_CONFIG_MAX_ITEMS);
	return 0;
}

static int read_strings(const struct byoh_config_reader *reader, const struct byoh_field *field,
			const struct byoh_yaml_node *node, struct byoh_strings *ret,
			struct byoh_error *err)
{
	int r = check_collection(reader, field, node, BYOH_YAML_SEQUENCE, err);

	if (r < 0 || !node->count)
		return r;
	ret->items = calloc(node->count, sizeof(*ret->items));
	if (!ret->items)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < node->count; i++) {
		r = read_text(reader, field, node->items[i], &ret->items[i], err);
		if (r < 0)
			return r;
		ret->count = i + 1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(ret->items[i], ret->items[j]) == 0)
				return byoh_yaml_fail(reader->doc, node->items[i], err,
						      "\"%s\" holds \"%.100s\" twice", field->key,
						      ret->items[i]);
	}
	return 0;
}

/* A value of a map: one text, or a list whose texts are joined by spaces. */
static int join_value(const struct byoh_config_reader *reader, const struct byoh_field *field,
		      const struct byoh_yaml_node *node, char **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer joined = {0};
	int r = check_collection(reader, field, node, BYOH_YAML_SEQUENCE, err);

	for (size_t i = 0; r == 0 && i < node->count; i++) {
		CLEANUP_FREE char *item = NULL;

		r = read_text(reader, field, node->items[i], &item, err);
		if (r == 0)
			r = byoh_buffer_printf(&joined, err, "%s%s", i ? " " : "", item);
	}
	return r < 0 ? r : byoh_config_copy(byoh_buffer_text(&joined), ret, err);
}

static int read_pair(const struct byoh_config_reader *reader, const struct byoh_field *field,
		     const struct byoh_yaml_node *key, const struct byoh_yaml_node *value,
		     struct byoh_pair *ret, struct byoh_error *err)
{
	int r;

	if (!is_valid(field->valid_key, key->text))
		return fail_form(reader, field, key, err);
	r = value->type == BYOH_YAML_SEQUENCE ? join_value(reader, field, value, &ret->value, err)
					      : read_text(reader, field, value, &ret->value, err);
	return r < 0 ? r : byoh_config_copy(key->text, &ret->key, err);
}

static int read_pairs(const struct byoh_config_reader *reader, const struct byoh_field *field,
		      const struct byoh_yaml_node *node, struct byoh_pairs *ret, struct byoh_error *err)
{
	int r = check_collection(reader, field, node, BYOH_YAML_MAPPING, err);

	if (r < 0 || !node->count)
		return r;
	ret->items = calloc(node->count, sizeof(*ret->items));
	if (!ret->items)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < node->count; i++) {
		ret->count = i + 1; /* a half-filled pair is released too */
		r = read_pair(reader, field, node->keys[i], node->items[i], &ret->items[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_field(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      const struct byoh_field *field, void *at, struct byoh_error *err)
{
	const struct byoh_yaml_node *node = byoh_config_get(map, field->key);
	int r = byoh_config_check_effect(reader, map, field->key, field->modes, field->without_effect, err);

	if (r < 0 || !node)
		return r;
	switch (field->type) {
	case BYOH_FIELD_OTHER:
		return 0;
	case BYOH_FIELD_STRING:
	case BYOH_FIELD_SECRET:
		return read_text(reader, field, node, at, err);
	case BYOH_FIELD_BOOL:
		return byoh_yaml_read_bool(reader->doc, map, field->key, false, at, err);
	case BYOH_FIELD_NUMBER:
		return read_number(reader, field, map, at, err);
	case BYOH_FIELD_CHOICE:
		return read_choice(reader, field, node, at, err);
	case BYOH_FIELD_STRINGS:
		return read_strings(reader, field, node, at, err);
	case BYOH_FIELD_PAIRS:
		return read_pairs(reader, field, node, at, err);
	}
	return -EINVAL;
}

int byoh_config_fields(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       const struct byoh_field *fields, size_t count, void *target,
		       struct byoh_error *err)
{
	const char *keys[MAX_FIELDS + 1] = { NULL };
	int r;

	if (!map)
		return 0;
	for (size_t i = 0; i < count && i < MAX_FIELDS; i++)
		keys[i] = fields[i].key;
	r = byoh_yaml_only_keys(reader->doc, map, keys, false, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = read_field(reader, map, &fields[i], (char *)target + fields[i].offset, err);
	return r;
}

/* As written, and then by its last part beside the config: a config that was copied to /etc/byoh brings
 * its files with it. Returns a descriptor or -errno. */
static int open_named(const char *directory, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	const char *last = strrchr(name, '/');
	int fd;

	if (asprintf(&path, "%s%s%s", *name == '/' ? "" : directory, *name == '/' ? "" : "/", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	/* Non-blocking: a fifo under that name must not hang the run. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 || !last || (errno != ENOENT && errno != ENOTDIR))
		return fd >= 0 ? fd : -errno;
	free(TAKE_PTR(path));
	if (asprintf(&path, "%s%s", directory, last) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd >= 0 ? fd : -errno;
}

bool byoh_config_file_is_missing(const struct byoh_config_reader *reader, const struct byoh_yaml_node *node)
{
	CLEANUP_FD int fd = reader->directory ? open_named(reader->directory, node->text) : -ENOENT;

	return fd == -ENOENT || fd == -ENOTDIR;
}

static int read_whole(int fd, size_t max, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	/* Reserved at once, so that no copy of a secret is left behind by growing. */
	r = byoh_buffer_reserve(ret, max + 1, err);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = read(fd, ret->data + ret->size, max + 1 - ret->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret->size += (size_t)n;
		ret->data[ret->size] = '\0';
		if (n == 0)
			return 0;
		if (ret->size > max)
			return -EFBIG;
	}
}

int byoh_config_read_text(const char *path, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = fd < 0 ? -errno : read_whole(fd, BYOH_CONFIG_MAX_SIZE, ret, err);

	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r == -EFBIG)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: larger than 1 MiB, so no config", path);
	if (r == -EISDIR)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EISDIR, "%s: no regular file", path);
	return byoh_fail(err, BYOH_ERROR_CONFIG, -r, "%s: the config cannot be read: %s", path, strerror(-r));
}

int byoh_config_file_read(const struct byoh_config_reader *reader, const struct byoh_yaml_node *node,
			  size_t max, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	int r;

	if (!reader->directory)
		return byoh_yaml_fail(reader->doc, node, err,
				      "files cannot be named here; write the content itself");
	fd = open_named(reader->directory, node->text);
	r = fd < 0 ? fd : read_whole(fd, max, ret, err);
	if (r == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r == -ENOENT || r == -ENOTDIR)
		return byoh_yaml_fail(reader->doc, node, err,
				      "the file \"%.200s\" is not there; put it beside the config", node->text);
	if (r == -EISDIR)
		return byoh_yaml_fail(reader->doc, node, err, "\"%.200s\" is no regular file", node->text);
	if (r == -EFBIG)
		return byoh_yaml_fail(reader->doc, node, err, "the file \"%.200s\" is larger than %zu bytes",
				      node->text, max);
	if (r < 0)
		return byoh_yaml_fail(reader->doc, node, err, "the file \"%.200s\" cannot be read: %s",
				      node->text, strerror(-r));
	if (memchr(ret->data, 0, ret->size))
		return byoh_yaml_fail(reader->doc, node, err, "the file \"%.200s\" is no text", node->text);
	return 0;
}
