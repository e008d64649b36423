/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml-flat.h"

/* A config has hundreds of nodes and a cluster's list of pods some hundred thousand; more is an attack. */
#define MAX_NODES 4000000

struct byoh_yaml {
	char *name;
	enum byoh_error_kind kind;
	struct byoh_yaml_node *root;
};

struct reader {
	yaml_parser_t parser;
	struct byoh_yaml *doc;
	size_t nodes;
};

static void free_node(struct byoh_yaml_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++) {
		free_node(node->items[i]);
		if (node->keys)
			free_node(node->keys[i]);
	}
	free(node->items);
	free(node->keys);
	free(node->text);
	free(node);
}

static void free_nodep(struct byoh_yaml_node **node)
{
	free_node(*node);
}

static void delete_event(yaml_event_t *event)
{
	yaml_event_delete(event);
}

int byoh_yaml_fail(const struct byoh_yaml *doc, const struct byoh_yaml_node *node,
		   struct byoh_error *err, const char *fmt, ...)
{
	char message[768];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (!node)
		return byoh_fail(err, doc->kind, EINVAL, "%s: %s", doc->name, message);
	return byoh_fail(err, doc->kind, EINVAL, "%s:%u:%u: %s", doc->name, node->line, node->column,
			 message);
}

static int fail_at(const struct reader *reader, yaml_mark_t mark, const char *message,
		   struct byoh_error *err)
{
	return byoh_fail(err, reader->doc->kind, EINVAL, "%s:%zu:%zu: %s", reader->doc->name,
			 mark.line + 1, mark.column + 1, message);
}

static int next_event(struct reader *reader, yaml_event_t *event, struct byoh_error *err)
{
	const yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(&reader->parser, event))
		return 0;
	if (parser->error == YAML_MEMORY_ERROR)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return fail_at(reader, parser->problem_mark, parser->problem ? parser->problem : "not YAML", err);
}

static struct byoh_yaml_node *new_node(struct reader *reader, enum byoh_yaml_type type, yaml_mark_t mark)
{
	struct byoh_yaml_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	reader->nodes++;
	node->type = type;
	node->line = (unsigned int)mark.line + 1;
	node->column = (unsigned int)mark.column + 1;
	return node;
}

/* Makes room for one more item; doubled so that long sequences stay linear. */
static int grow(struct byoh_yaml_node *node)
{
	size_t capacity = node->count ? node->count * 2 : 4;
	struct byoh_yaml_node **grown;

	if (node->count & (node->count - 1))
		return 0;
	grown = reallocarray(node->items, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	node->items = grown;
	if (node->type != BYOH_YAML_MAPPING)
		return 0;
	grown = reallocarray(node->keys, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	node->keys = grown;
	return 0;
}

static int read_node(struct reader *reader, const yaml_event_t *event, unsigned int depth,
		     struct byoh_yaml_node **ret, struct byoh_error *err);

static int read_scalar(struct reader *reader, const yaml_event_t *event, struct byoh_yaml_node *node,
		       struct byoh_error *err)
{
	if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
		return fail_at(reader, event->start_mark, "a text may not contain a zero byte", err);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup((const char *)event->data.scalar.value);
	if (!node->text)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return 0;
}

static int check_key(struct reader *reader, const struct byoh_yaml_node *map,
		     const struct byoh_yaml_node *key, struct byoh_error *err)
{
	if (key->type != BYOH_YAML_SCALAR)
		return byoh_yaml_fail(reader->doc, key, err, "a key must be a plain word");
	/* Quadratic only in wide mappings, which the node limit and real documents keep small. */
	if (map->count > 65536)
		return byoh_yaml_fail(reader->doc, key, err, "too many keys in one mapping");
	if (byoh_yaml_get(map, key->text))
		return byoh_yaml_fail(reader->doc, key, err, "the key \"%s\" is given twice", key->text);
	return 0;
}

static int read_pair(struct reader *reader, const yaml_event_t *event, unsigned int depth,
		     struct byoh_yaml_node *map, struct byoh_error *err)
{
	CLEANUP(free_nodep) struct byoh_yaml_node *key = NULL;
	CLEANUP(free_nodep) struct byoh_yaml_node *value = NULL;
	CLEANUP(delete_event) yaml_event_t value_event = {0};
	int r;

	r = read_node(reader, event, depth + 1, &key, err);
	if (r < 0)
		return r;
	r = check_key(reader, map, key, err);
	if (r < 0)
		return r;
	r = next_event(reader, &value_event, err);
	if (r < 0)
		return r;
	r = read_node(reader, &value_event, depth + 1, &value, err);
	if (r < 0)
		return r;
	map->keys[map->count] = TAKE_PTR(key);
	map->items[map->count++] = TAKE_PTR(value);
	return 0;
}

static int read_collection(struct reader *reader, unsigned int depth, struct byoh_yaml_node *node,
			   struct byoh_error *err)
{
	yaml_event_type_t end =
		node->type == BYOH_YAML_MAPPING ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	int r;

	for (;;) {
		CLEANUP(delete_event) yaml_event_t event = {0};

		r = next_event(reader, &event, err);
		if (r < 0)
			return r;
		if (event.type == end)
			return 0;
		if (grow(node) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		if (node->type == BYOH_YAML_MAPPING) {
			r = read_pair(reader, &event, depth, node, err);
		} else {
			r = read_node(reader, &event, depth + 1, &node->items[node->count], err);
			if (r == 0)
				node->count++;
		}
		if (r < 0)
			return r;
	}
}

static const char *refused_feature(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return "aliases are not allowed";
	case YAML_SCALAR_EVENT:
		if (event->data.scalar.anchor)
			return "anchors are not allowed";
		return event->data.scalar.tag ? "tags are not allowed" : NULL;
	case YAML_SEQUENCE_START_EVENT:
		if (event->data.sequence_start.anchor)
			return "anchors are not allowed";
		return event->data.sequence_start.tag ? "tags are not allowed" : NULL;
	case YAML_MAPPING_START_EVENT:
		if (event->data.mapping_start.anchor)
			return "anchors are not allowed";
		return event->data.mapping_start.tag ? "tags are not allowed" : NULL;
	default:
		return "not understood here";
	}
}

static int read_node(struct reader *reader, const yaml_event_t *event, unsigned int depth,
		     struct byoh_yaml_node **ret, struct byoh_error *err)
{
	CLEANUP(free_nodep) struct byoh_yaml_node *node = NULL;
	const char *refused = refused_feature(event);
	enum byoh_yaml_type type = BYOH_YAML_SCALAR;
	int r;

	if (refused)
		return fail_at(reader, event->start_mark, refused, err);
	if (depth > BYOH_YAML_MAX_DEPTH || reader->nodes >= MAX_NODES)
		return fail_at(reader, event->start_mark, "nested too deeply or too large", err);
	if (event->type == YAML_MAPPING_START_EVENT)
		type = BYOH_YAML_MAPPING;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		type = BYOH_YAML_SEQUENCE;
	node = new_node(reader, type, event->start_mark);
	if (!node)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = type == BYOH_YAML_SCALAR ? read_scalar(reader, event, node, err)
				     : read_collection(reader, depth, node, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(node);
	return 0;
}

static int read_stream(struct reader *reader, struct byoh_error *err)
{
	bool seen = false;
	int r;

	for (;;) {
		CLEANUP(delete_event) yaml_event_t event = {0};

		r = next_event(reader, &event, err);
		if (r < 0)
			return r;
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			return 0;
		case YAML_DOCUMENT_START_EVENT:
			if (seen)
				return fail_at(reader, event.start_mark,
					       "only one document is allowed in this file", err);
			seen = true;
			break;
		default:
			r = read_node(reader, &event, 0, &reader->doc->root, err);
			if (r < 0)
				return r;
		}
	}
}

int byoh_yaml_parse(const char *text, size_t size, const char *name, enum byoh_error_kind kind,
		    struct byoh_yaml **ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = calloc(1, sizeof(*doc));
	struct reader reader = { .doc = doc };
	int r;

	if (!doc)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	doc->kind = kind;
	doc->name = strdup(name);
	if (!doc->name)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (size > BYOH_YAML_MAX_SIZE)
		return byoh_fail(err, kind, EFBIG, "%s: larger than %zu MiB", name,
				 BYOH_YAML_MAX_SIZE >> 20);
	doc->root = byoh_yaml_read_flat(text, size);
	if (doc->root) {
		*ret = TAKE_PTR(doc);
		return 0;
	}
	if (!yaml_parser_initialize(&reader.parser))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
	r = read_stream(&reader, err);
	yaml_parser_delete(&reader.parser);
	if (r < 0)
		return r;
	if (doc->root && byoh_yaml_is_null(doc->root)) {
		free_node(doc->root);
		doc->root = NULL;
	}
	*ret = TAKE_PTR(doc);
	return 0;
}

void byoh_yaml_free(struct byoh_yaml *doc)
{
	if (!doc)
		return;
	free_node(doc->root);
	free(doc->name);
	free(doc);
}

void byoh_yaml_freep(struct byoh_yaml **doc)
{
	byoh_yaml_free(*doc);
}

const struct byoh_yaml_node *byoh_yaml_root(const struct byoh_yaml *doc)
{
	return doc->root;
}

const char *byoh_yaml_name(const struct byoh_yaml *doc)
{
	return doc->name;
}

const struct byoh_yaml_node *byoh_yaml_get(const struct byoh_yaml_node *map, const char *key)
{
	if (!map || map->type != BYOH_YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->items[i];
	return NULL;
}

bool byoh_yaml_is_null(const struct byoh_yaml_node *node)
{
	return node->type == BYOH_YAML_SCALAR && !node->quoted &&
	       (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
