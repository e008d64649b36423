/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML (and so JSON) read into a tree that remembers where each node stood, by libyaml's event parser.
 *
 * Stricter than YAML: one document; no anchors, aliases or tags; no key twice in a mapping (libyaml
 * lets it pass, and two readers would then disagree); bounded size, depth and node count; valid UTF-8
 * without NUL. Every error names the text, the line and the column.
 */
#ifndef BYOH_BASE_YAML_H
#define BYOH_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

#define BYOH_YAML_MAX_SIZE ((size_t)64 << 20) /* an API server's answer is the largest that is read */
#define BYOH_YAML_MAX_DEPTH 32

enum byoh_yaml_type { BYOH_YAML_SCALAR, BYOH_YAML_MAPPING, BYOH_YAML_SEQUENCE };

struct byoh_yaml_node {
	enum byoh_yaml_type type;
	unsigned int line, column; /* from 1 */
	bool quoted;		   /* scalar: stood in quotes or as a block, so never a number, bool or null */
	char *text;		   /* scalar: its value */
	size_t count;		   /* mapping: pairs; sequence: items */
	struct byoh_yaml_node **items; /* values */
	struct byoh_yaml_node **keys;  /* mapping: scalar nodes, NULL for a sequence */
};

struct byoh_yaml; /* a document; owns all its nodes */

/* name stands in messages (a file's path). kind is BYOH_ERROR_CONFIG for what people write and
 * BYOH_ERROR_FORMAT for what bundles carry; later errors about the document use the same. An empty
 * document is a NULL root. *ret is freed by byoh_yaml_free. Pure: reads nothing but text. */
BYOH_MUST_CHECK int byoh_yaml_parse(const char *text, size_t size, const char *name,
				    enum byoh_error_kind kind, struct byoh_yaml **ret,
				    struct byoh_error *err);
void byoh_yaml_free(struct byoh_yaml *doc);
void byoh_yaml_freep(struct byoh_yaml **doc);
#define CLEANUP_YAML __attribute__((cleanup(byoh_yaml_freep)))

const struct byoh_yaml_node *byoh_yaml_root(const struct byoh_yaml *doc);
const char *byoh_yaml_name(const struct byoh_yaml *doc);

/* The value of a key, NULL if absent or if map is NULL or no mapping. */
const struct byoh_yaml_node *byoh_yaml_get(const struct byoh_yaml_node *map, const char *key);

/* Fails with "NAME:LINE:COLUMN: message". node may be NULL: then only the name stands in front. */
int byoh_yaml_fail(const struct byoh_yaml *doc, const struct byoh_yaml_node *node,
		   struct byoh_error *err, const char *fmt, ...) BYOH_PRINTF(4, 5);

/* Refuses keys of map that are not in the NULL-terminated list and, if allow_extension, do not begin
 * with "x-". Refuses a node that is no mapping. A near miss is named in the message. */
BYOH_MUST_CHECK int byoh_yaml_only_keys(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
					const char *const *keys, bool allow_extension,
					struct byoh_error *err);

/* Typed reads of map[key]. An absent key leaves *ret as it was and returns 0, unless required.
 * An explicit null counts as absent. Strings point into the document. */
BYOH_MUST_CHECK int byoh_yaml_read_string(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
					  const char *key, bool required, const char **ret,
					  struct byoh_error *err);
BYOH_MUST_CHECK int byoh_yaml_read_bool(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
					const char *key, bool required, bool *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_yaml_read_u64(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
				       const char *key, bool required, uint64_t *ret,
				       struct byoh_error *err);
/* A mapping or sequence; *ret is NULL where absent. */
BYOH_MUST_CHECK int byoh_yaml_read_node(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
					const char *key, enum byoh_yaml_type type, bool required,
					const struct byoh_yaml_node **ret, struct byoh_error *err);

/* A plain scalar that YAML reads as null: empty, ~ or null, unquoted. */
bool byoh_yaml_is_null(const struct byoh_yaml_node *node);

#endif
