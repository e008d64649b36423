/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON that is also YAML (RFC 8259; two spaces a level, one field a line), for manifests, locks
 * and --json. Errors are sticky: write everything, then ask byoh_json_finish once.
 */
#ifndef BYOH_BASE_JSON_H
#define BYOH_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"

struct byoh_json {
	struct byoh_buffer *out; /* borrowed */
	unsigned int depth;
	bool first; /* nothing stands yet in the innermost object or array */
	bool after_key;
	int failure;
};

struct byoh_json byoh_json_to(struct byoh_buffer *out);

void byoh_json_begin_object(struct byoh_json *json);
void byoh_json_end_object(struct byoh_json *json);
void byoh_json_begin_array(struct byoh_json *json);
void byoh_json_end_array(struct byoh_json *json);
void byoh_json_key(struct byoh_json *json, const char *key);
void byoh_json_string(struct byoh_json *json, const char *text); /* NULL is null */
void byoh_json_u64(struct byoh_json *json, uint64_t value);
void byoh_json_bool(struct byoh_json *json, bool value);

/* key and value at once */
void byoh_json_field_string(struct byoh_json *json, const char *key, const char *text);
void byoh_json_field_u64(struct byoh_json *json, const char *key, uint64_t value);
void byoh_json_field_bool(struct byoh_json *json, const char *key, bool value);

/* Adds the final newline; -ENOMEM if any write failed. */
BYOH_MUST_CHECK int byoh_json_finish(struct byoh_json *json, struct byoh_error *err);

/* Appends text in double quotes, good for JSON and for YAML's double-quoted style. */
BYOH_MUST_CHECK int byoh_json_quote(struct byoh_buffer *out, const char *text, struct byoh_error *err);

#endif
