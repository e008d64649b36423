/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/yaml-flat.h"

#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"

#define MAX_SIZE 65536
#define MAX_PAIRS 64
#define MAX_KEY 128 /* libyaml's own limit is 1024 */

struct line {
	const char *text;
	size_t size, at;
};

static void free_flat(struct byoh_yaml_node **root)
{
	struct byoh_yaml_node *node = *root;

	for (size_t i = 0; node && i < 2 * node->count; i++) {
		struct byoh_yaml_node *leaf = i % 2 ? node->keys[i / 2] : node->items[i / 2];

		if (leaf)
			free(leaf->text);
		free(leaf);
	}
	if (node) {
		free(node->keys);
		free(node->items);
	}
	free(node);
}

static bool take(struct line *line, const char *word)
{
	size_t length = strlen(word);

	if (line->size - line->at < length || memcmp(line->text + line->at, word, length) != 0)
		return false;
	line->at += length;
	return true;
}

static struct byoh_yaml_node *new_leaf(size_t column, bool quoted, const char *text, size_t length)
{
	struct byoh_yaml_node *leaf = calloc(1, sizeof(*leaf));

	if (!leaf)
		return NULL;
	leaf->type = BYOH_YAML_SCALAR;
	leaf->line = 1;
	leaf->column = (unsigned int)column + 1;
	leaf->quoted = quoted;
	leaf->text = strndup(text, length);
	if (leaf->text)
		return leaf;
	free(leaf);
	return NULL;
}

static struct byoh_yaml_node *take_text(struct line *line, size_t limit)
{
	size_t column = line->at, from;

	if (!take(line, "\""))
		return NULL;
	for (from = line->at; line->at < line->size && line->text[line->at] != '"'; line->at++) {
		char c = line->text[line->at];

		if (c < ' ' || c > '~' || c == '\\' || line->at - from >= limit)
			return NULL;
	}
	if (line->at == line->size)
		return NULL;
	line->at++;
	return new_leaf(column, true, line->text + from, line->at - 1 - from);
}

static struct byoh_yaml_node *take_number(struct line *line)
{
	size_t from = line->at;

	while (line->at < line->size && line->text[line->at] >= '0' && line->text[line->at] <= '9')
		line->at++;
	return line->at > from ? new_leaf(from, false, line->text + from, line->at - from) : NULL;
}

static bool take_pair(struct line *line, struct byoh_yaml_node *map)
{
	struct byoh_yaml_node *key;
	size_t i = map->count;

	if (i == MAX_PAIRS)
		return false;
	key = take_text(line, MAX_KEY);
	if (!key)
		return false;
	map->keys[i] = key;
	map->count++; /* from here on it is freed with the map */
	for (size_t j = 0; j < i; j++)
		if (strcmp(map->keys[j]->text, key->text) == 0)
			return false;
	if (!take(line, ": "))
		return false;
	map->items[i] = line->at < line->size && line->text[line->at] == '"' ? take_text(line, MAX_SIZE)
									     : take_number(line);
	return map->items[i];
}

struct byoh_yaml_node *byoh_yaml_read_flat(const char *text, size_t size)
{
	CLEANUP(free_flat) struct byoh_yaml_node *map = NULL;
	struct line line = { .text = text, .size = size };

	if (size > MAX_SIZE || !take(&line, "{"))
		return NULL;
	map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->type = BYOH_YAML_MAPPING;
	map->line = map->column = 1;
	map->keys = calloc(MAX_PAIRS, sizeof(*map->keys));
	map->items = calloc(MAX_PAIRS, sizeof(*map->items));
	if (!map->keys || !map->items)
		return NULL;
	do {
		if (!take_pair(&line, map))
			return NULL;
	} while (take(&line, ", "));
	if (!take(&line, "}") || line.at != line.size)
		return NULL;
	return TAKE_PTR(map);
}
