/* SPDX-License-Identifier: Apache-2.0 */
/* Typed reads of a mapping's fields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/yaml.h"

#define MAX_SUGGESTED_KEY 63 /* longer keys get no suggestion: the table below stays small */

/* Levenshtein distance, for "did you mean". */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[MAX_SUGGESTED_KEY + 2];
	size_t length = strlen(b);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[length];
}

static const char *nearest(const char *key, const char *const *keys)
{
	size_t best_distance = 3;
	const char *best = NULL;

	if (strlen(key) > MAX_SUGGESTED_KEY)
		return NULL;
	for (; *keys; keys++) {
		size_t distance = edit_distance(key, *keys);

		if (distance < best_distance) {
			best_distance = distance;
			best = *keys;
		}
	}
	return best;
}

static bool is_listed(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (strcmp(key, *keys) == 0)
			return true;
	return false;
}

int byoh_yaml_only_keys(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			const char *const *keys, bool allow_extension, struct byoh_error *err)
{
	if (!map || map->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(doc, map, err, "expected a mapping (key: value)");
	for (size_t i = 0; i < map->count; i++) {
		const char *key = map->keys[i]->text;
		const char *meant;

		if (is_listed(key, keys) || (allow_extension && strncmp(key, "x-", 2) == 0))
			continue;
		meant = nearest(key, keys);
		if (meant)
			return byoh_yaml_fail(doc, map->keys[i], err,
					      "unknown key \"%s\", did you mean \"%s\"?", key, meant);
		return byoh_yaml_fail(doc, map->keys[i], err, "unknown key \"%s\"", key);
	}
	return 0;
}

/* The value of a key that is present and not null; *ret is NULL where it is allowed to be absent. */
static int find(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		bool required, const struct byoh_yaml_node **ret, struct byoh_error *err)
{
	*ret = byoh_yaml_get(map, key);
	if (*ret && byoh_yaml_is_null(*ret))
		*ret = NULL;
	if (!*ret && required)
		return byoh_yaml_fail(doc, map, err, "the key \"%s\" is missing", key);
	return 0;
}

static int find_scalar(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		       bool required, const struct byoh_yaml_node **ret, struct byoh_error *err)
{
	int r = find(doc, map, key, required, ret, err);

	if (r == 0 && *ret && (*ret)->type != BYOH_YAML_SCALAR)
		return byoh_yaml_fail(doc, *ret, err, "\"%s\" must be a single value", key);
	return r;
}

int byoh_yaml_read_string(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
			  bool required, const char **ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *node;
	int r = find_scalar(doc, map, key, required, &node, err);

	if (r < 0)
		return r;
	if (node && required && !*node->text)
		return byoh_yaml_fail(doc, node, err, "\"%s\" may not be empty", key);
	if (node)
		*ret = node->text;
	return 0;
}

int byoh_yaml_read_bool(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
			bool required, bool *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *node;
	int r = find_scalar(doc, map, key, required, &node, err);

	if (r < 0 || !node)
		return r;
	if (node->quoted || (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
		return byoh_yaml_fail(doc, node, err, "\"%s\" must be true or false", key);
	*ret = node->text[0] == 't';
	return 0;
}

int byoh_yaml_read_u64(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		       bool required, uint64_t *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *node;
	uint64_t value = 0;
	int r = find_scalar(doc, map, key, required, &node, err);

	if (r < 0 || !node)
		return r;
	for (const char *p = node->text; *p; p++) {
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return byoh_yaml_fail(doc, node, err, "\"%s\" must be a whole number", key);
	}
	if (!*node->text || node->quoted || (node->text[0] == '0' && node->text[1]))
		return byoh_yaml_fail(doc, node, err, "\"%s\" must be a whole number", key);
	*ret = value;
	return 0;
}

int byoh_yaml_read_node(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
			enum byoh_yaml_type type, bool required, const struct byoh_yaml_node **ret,
			struct byoh_error *err)
{
	int r = find(doc, map, key, required, ret, err);

	if (r < 0 || !*ret || (*ret)->type == type)
		return r;
	return byoh_yaml_fail(doc, *ret, err, "\"%s\" must be a %s", key,
			      type == BYOH_YAML_MAPPING	   ? "mapping (key: value)"
			      : type == BYOH_YAML_SEQUENCE ? "list"
							   : "single value");
}
