/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/json.h"

#include <string.h>

struct byoh_json byoh_json_to(struct byoh_buffer *out)
{
	return (struct byoh_json){ .out = out, .first = true };
}

static void put(struct byoh_json *json, const char *text)
{
	if (!json->failure)
		json->failure = byoh_buffer_add_string(json->out, text, NULL);
}

static void start_line(struct byoh_json *json)
{
	put(json, "\n");
	for (unsigned int i = 0; i < json->depth; i++)
		put(json, "  ");
}

/* What has to stand in front of the next value or key. */
static void separate(struct byoh_json *json)
{
	if (json->after_key) {
		json->after_key = false;
		return;
	}
	if (!json->first)
		put(json, ",");
	if (json->depth)
		start_line(json);
	json->first = false;
}

static void begin(struct byoh_json *json, const char *bracket)
{
	separate(json);
	put(json, bracket);
	json->depth++;
	json->first = true;
}

static void end(struct byoh_json *json, const char *bracket)
{
	json->depth--;
	if (!json->first)
		start_line(json);
	put(json, bracket);
	json->first = false;
}

void byoh_json_begin_object(struct byoh_json *json)
{
	begin(json, "{");
}

void byoh_json_end_object(struct byoh_json *json)
{
	end(json, "}");
}

void byoh_json_begin_array(struct byoh_json *json)
{
	begin(json, "[");
}

void byoh_json_end_array(struct byoh_json *json)
{
	end(json, "]");
}

/* Line ends and a mark of byte order to YAML, which folds the former into spaces; letters to JSON. */
static unsigned int escaped_character(const char *text, size_t *ret_length)
{
	static const struct {
		const char *bytes;
		unsigned int code;
	} characters[] = { { "\xc2\x85", 0x85 }, { "\xe2\x80\xa8", 0x2028 }, { "\xe2\x80\xa9", 0x2029 },
			   { "\xef\xbb\xbf", 0xfeff } };

	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		*ret_length = strlen(characters[i].bytes);
		if (strncmp(text, characters[i].bytes, *ret_length) == 0)
			return characters[i].code;
	}
	*ret_length = 1;
	return (unsigned char)*text < 0x20 || *text == 0x7f ? (unsigned char)*text : 0;
}

int byoh_json_quote(struct byoh_buffer *out, const char *text, struct byoh_error *err)
{
	int r = byoh_buffer_add_string(out, "\"", err);

	while (r == 0 && *text) {
		size_t length;
		unsigned int code = escaped_character(text, &length);

		if (*text == '"' || *text == '\\')
			r = byoh_buffer_printf(out, err, "\\%c", *text);
		else if (code)
			r = byoh_buffer_printf(out, err, "\\u%04x", code);
		else
			r = byoh_buffer_add(out, text, 1, err);
		text += length;
	}
	if (r == 0)
		r = byoh_buffer_add_string(out, "\"", err);
	return r;
}

static void quote(struct byoh_json *json, const char *text)
{
	if (!json->failure)
		json->failure = byoh_json_quote(json->out, text, NULL);
}

void byoh_json_key(struct byoh_json *json, const char *key)
{
	separate(json);
	quote(json, key);
	put(json, ": ");
	json->after_key = true;
}

void byoh_json_string(struct byoh_json *json, const char *text)
{
	separate(json);
	if (text)
		quote(json, text);
	else
		put(json, "null");
}

void byoh_json_u64(struct byoh_json *json, uint64_t value)
{
	separate(json);
	if (!json->failure)
		json->failure = byoh_buffer_printf(json->out, NULL, "%llu", (unsigned long long)value);
}

void byoh_json_bool(struct byoh_json *json, bool value)
{
	separate(json);
	put(json, value ? "true" : "false");
}

void byoh_json_field_string(struct byoh_json *json, const char *key, const char *text)
{
	byoh_json_key(json, key);
	byoh_json_string(json, text);
}

void byoh_json_field_u64(struct byoh_json *json, const char *key, uint64_t value)
{
	byoh_json_key(json, key);
	byoh_json_u64(json, value);
}

void byoh_json_field_bool(struct byoh_json *json, const char *key, bool value)
{
	byoh_json_key(json, key);
	byoh_json_bool(json, value);
}

int byoh_json_finish(struct byoh_json *json, struct byoh_error *err)
{
	put(json, "\n");
	if (json->failure)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -json->failure, "out of memory");
	return 0;
}
