/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/toml.h"

#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"

#define MAX_DEPTH 32	 /* of arrays and inline tables: no stack is to be used up */
#define MAX_ITEMS 100000 /* a configuration beyond this is a mistake */

struct scan {
	const char *text;
	size_t size, at;
	unsigned int line;
};

/* The byte at the cursor, or further on; 0 at the end, and the text holds no zero. */
static char peek(const struct scan *scan, size_t ahead)
{
	return scan->at + ahead < scan->size ? scan->text[scan->at + ahead] : 0;
}

static void step(struct scan *scan, size_t count)
{
	while (count-- && scan->at < scan->size)
		scan->line += scan->text[scan->at++] == '\n';
}

static int fail_at(unsigned int line, struct byoh_error *err, const char *what)
{
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EBADMSG, "line %u: %s", line, what);
}

static int fail(const struct scan *scan, struct byoh_error *err, const char *what)
{
	return fail_at(scan->line, err, what);
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static void skip_spaces(struct scan *scan)
{
	while (peek(scan, 0) == ' ' || peek(scan, 0) == '\t')
		step(scan, 1);
}

static void skip_comment(struct scan *scan)
{
	if (peek(scan, 0) != '#')
		return;
	while (scan->at < scan->size && peek(scan, 0) != '\n')
		step(scan, 1);
}

/* Between the elements of an array lines and comments count for nothing. */
static void skip_blank(struct scan *scan)
{
	for (;;) {
		size_t before = scan->at;

		skip_spaces(scan);
		skip_comment(scan);
		while (peek(scan, 0) == '\n' || (peek(scan, 0) == '\r' && peek(scan, 1) == '\n'))
			step(scan, 1);
		if (scan->at == before)
			return;
	}
}

/* The comment and the end of the line behind a statement. */
static int skip_line_end(struct scan *scan, struct byoh_error *err)
{
	skip_spaces(scan);
	skip_comment(scan);
	if (peek(scan, 0) == '\r')
		step(scan, 1);
	if (scan->at == scan->size)
		return 0;
	if (peek(scan, 0) != '\n')
		return fail(scan, err, "something that is not understood stands behind a value");
	step(scan, 1);
	return 0;
}

static int skip_long_string(struct scan *scan, char quote, struct byoh_error *err)
{
	unsigned int line = scan->line;

	step(scan, 3);
	while (peek(scan, 0)) {
		if (quote == '"' && peek(scan, 0) == '\\') {
			step(scan, 2);
			continue;
		}
		if (peek(scan, 0) == quote && peek(scan, 1) == quote && peek(scan, 2) == quote) {
			step(scan, 3);
			/* One or two quotes may stand right before the closing three. */
			while (peek(scan, 0) == quote)
				step(scan, 1);
			return 0;
		}
		step(scan, 1);
	}
	return fail_at(line, err, "a string has no end");
}

static int skip_string(struct scan *scan, struct byoh_error *err)
{
	char quote = peek(scan, 0);

	if (peek(scan, 1) == quote && peek(scan, 2) == quote)
		return skip_long_string(scan, quote, err);
	for (step(scan, 1); peek(scan, 0) && peek(scan, 0) != '\n'; step(scan, 1)) {
		if (peek(scan, 0) == quote) {
			step(scan, 1);
			return 0;
		}
		if (quote == '"' && peek(scan, 0) == '\\' && peek(scan, 1) != '\n')
			step(scan, 1);
	}
	return fail(scan, err, "a string has no end");
}

/* Numbers, truth values, dates. */
static int skip_bare(struct scan *scan, struct byoh_error *err)
{
	size_t start = scan->at;

	while (peek(scan, 0) && !strchr(",]}#\n\r=[{\"'", peek(scan, 0)))
		step(scan, 1);
	while (scan->at > start && strchr(" \t", scan->text[scan->at - 1]))
		scan->at--;
	return scan->at > start ? 0 : fail(scan, err, "a value is missing");
}

static int read_key(struct scan *scan, struct byoh_buffer *path, struct byoh_error *err);
static int skip_value(struct scan *scan, unsigned int depth, struct byoh_error *err);

static int skip_array(struct scan *scan, unsigned int depth, struct byoh_error *err)
{
	unsigned int line = scan->line;

	step(scan, 1);
	for (;;) {
		int rc;

		skip_blank(scan);
		if (peek(scan, 0) == ']') {
			step(scan, 1);
			return 0;
		}
		rc = skip_value(scan, depth + 1, err);
		if (rc)
			return rc;
		skip_blank(scan);
		if (peek(scan, 0) == ',')
			step(scan, 1);
		else if (peek(scan, 0) != ']')
			return fail_at(line, err, "the array that begins here is not understood");
	}
}

static int skip_inline_table(struct scan *scan, unsigned int depth, struct byoh_error *err)
{
	step(scan, 1);
	skip_spaces(scan);
	while (peek(scan, 0) != '}') {
		CLEANUP_BUFFER struct byoh_buffer key = { 0 };
		int rc = read_key(scan, &key, err);

		if (rc)
			return rc;
		if (peek(scan, 0) != '=')
			return fail(scan, err, "an inline table is not understood");
		step(scan, 1);
		skip_spaces(scan);
		rc = skip_value(scan, depth + 1, err);
		if (rc)
			return rc;
		skip_spaces(scan);
		if (peek(scan, 0) == ',')
			step(scan, 1);
		else if (peek(scan, 0) != '}')
			return fail(scan, err, "an inline table is not understood");
		skip_spaces(scan);
	}
	step(scan, 1);
	return 0;
}

static int skip_value(struct scan *scan, unsigned int depth, struct byoh_error *err)
{
	if (depth > MAX_DEPTH)
		return fail(scan, err, "arrays or tables are nested too deep");
	switch (peek(scan, 0)) {
	case '"':
	case '\'':
		return skip_string(scan, err);
	case '[':
		return skip_array(scan, depth, err);
	case '{':
		return skip_inline_table(scan, depth, err);
	default:
		return skip_bare(scan, err);
	}
}

static bool is_bare(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

/* One part of a key: its text without quotes. */
static int read_part(struct scan *scan, struct byoh_buffer *path, struct byoh_error *err)
{
	char quote = peek(scan, 0);
	size_t start = scan->at, length;

	if (quote != '"' && quote != '\'') {
		while (is_bare(peek(scan, 0)))
			step(scan, 1);
		if (scan->at == start)
			return fail(scan, err, "a key was expected");
		return byoh_buffer_add(path, scan->text + start, scan->at - start, err);
	}
	if (peek(scan, 1) == quote) /* empty, or of several lines */
		return fail(scan, err, "a key was expected");
	if (skip_string(scan, err))
		return -EBADMSG;
	length = scan->at - start - 2;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)scan->text[start + 1 + i];

		if ((byte == '\\' && quote == '"') || byte < ' ')
			return fail(scan, err, "a key with an escape is not understood");
	}
	return byoh_buffer_add(path, scan->text + start + 1, length, err);
}

/* Parts with dots between, added to what path holds; ends behind the spaces after it. */
static int read_key(struct scan *scan, struct byoh_buffer *path, struct byoh_error *err)
{
	for (;;) {
		int rc = path->size ? byoh_buffer_add_string(path, BYOH_TOML_DOT, err) : 0;

		if (!rc)
			rc = read_part(scan, path, err);
		if (rc)
			return rc;
		skip_spaces(scan);
		if (peek(scan, 0) != '.')
			return 0;
		step(scan, 1);
		skip_spaces(scan);
	}
}

/* Takes the path. */
static int add_item(struct byoh_toml *toml, struct byoh_toml_item item, struct byoh_buffer *path,
		    struct byoh_error *err)
{
	struct byoh_toml_item *grown;

	if (toml->count >= MAX_ITEMS)
		return fail_at(item.line, err, "the file is too long to be a configuration");
	grown = reallocarray(toml->items, toml->count + 1, sizeof(*grown));
	if (!grown)
		return out_of_memory(err);
	toml->items = grown;
	item.path = TAKE_PTR(path->data);
	*path = (struct byoh_buffer){ 0 };
	grown[toml->count++] = item;
	return 0;
}

static int read_table(struct scan *scan, struct byoh_toml *toml, struct byoh_buffer *table,
		      struct byoh_error *err)
{
	bool several = peek(scan, 1) == '[';
	struct byoh_toml_item item = {
		.kind = several ? BYOH_TOML_TABLES : BYOH_TOML_TABLE,
		.line = scan->line,
		.start = scan->at,
	};
	CLEANUP_BUFFER struct byoh_buffer path = { 0 };
	int rc;

	step(scan, several ? 2 : 1);
	skip_spaces(scan);
	rc = read_key(scan, &path, err);
	if (!rc && (peek(scan, 0) != ']' || (several && peek(scan, 1) != ']')))
		rc = fail(scan, err, "the name of a table is not understood");
	if (rc)
		return rc;
	step(scan, several ? 2 : 1);
	rc = skip_line_end(scan, err);
	item.end = scan->at;
	table->size = 0;
	if (!rc)
		rc = byoh_buffer_add(table, path.data, path.size, err);
	return rc ? rc : add_item(toml, item, &path, err);
}

static int read_pair(struct scan *scan, struct byoh_toml *toml, const struct byoh_buffer *table,
		     struct byoh_error *err)
{
	struct byoh_toml_item item = {
		.kind = BYOH_TOML_KEY,
		.line = scan->line,
		.start = scan->at,
	};
	CLEANUP_BUFFER struct byoh_buffer path = { 0 };
	int rc = byoh_buffer_add(&path, byoh_buffer_text(table), table->size, err);

	if (!rc)
		rc = read_key(scan, &path, err);
	if (!rc && peek(scan, 0) != '=')
		rc = fail(scan, err, "a key without a value");
	if (rc)
		return rc;
	step(scan, 1);
	skip_spaces(scan);
	item.value = scan->at;
	rc = skip_value(scan, 0, err);
	item.value_end = scan->at;
	if (!rc)
		rc = skip_line_end(scan, err);
	item.end = scan->at;
	return rc ? rc : add_item(toml, item, &path, err);
}

static int read_all(struct scan *scan, struct byoh_toml *toml, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer table = { 0 };

	for (;;) {
		int rc;

		skip_blank(scan);
		if (scan->at == scan->size)
			return 0;
		rc = peek(scan, 0) == '[' ? read_table(scan, toml, &table, err)
					  : read_pair(scan, toml, &table, err);
		if (rc)
			return rc;
	}
}

int byoh_toml_read(const char *text, size_t size, struct byoh_toml **ret, struct byoh_error *err)
{
	CLEANUP_TOML struct byoh_toml *toml = calloc(1, sizeof(*toml));
	struct scan scan = { .text = text, .size = size, .line = 1 };
	int rc;

	if (!toml)
		return out_of_memory(err);
	if (size && memchr(text, 0, size))
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EBADMSG, "it is no text");
	toml->text = text;
	toml->size = size;
	rc = read_all(&scan, toml, err);
	if (!rc)
		*ret = TAKE_PTR(toml);
	return rc;
}

void byoh_toml_free(struct byoh_toml *toml)
{
	if (!toml)
		return;
	for (size_t i = 0; i < toml->count; i++)
		free(toml->items[i].path);
	free(toml->items);
	free(toml);
}

void byoh_toml_freep(struct byoh_toml **toml)
{
	byoh_toml_free(*toml);
}

const struct byoh_toml_item *byoh_toml_find(const struct byoh_toml *toml, const char *path)
{
	for (size_t i = 0; i < toml->count; i++)
		if (toml->items[i].kind == BYOH_TOML_KEY && !strcmp(toml->items[i].path, path))
			return &toml->items[i];
	return NULL;
}

bool byoh_toml_is_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	return !strncmp(path, top, length) && (!path[length] || path[length] == BYOH_TOML_DOT[0]);
}

/* The string from start to end, quotes included, where it stands for itself. */
static int plain_string(const struct byoh_toml *toml, size_t start, size_t end, unsigned int line,
			char **ret, struct byoh_error *err)
{
	const char *text = toml->text + start;
	size_t length = end - start;

	if (length < 2 || (text[0] != '"' && text[0] != '\'') ||
	    (length > 2 && text[1] == text[0]) ||
	    (text[0] == '"' && memchr(text, '\\', length)))
		return fail_at(line, err, "a plain string in quotes was expected");
	*ret = strndup(text + 1, length - 2);
	return *ret ? 0 : out_of_memory(err);
}

int byoh_toml_text(const struct byoh_toml *toml, const struct byoh_toml_item *item, char **ret,
		   struct byoh_error *err)
{
	return plain_string(toml, item->value, item->value_end, item->line, ret, err);
}

static int add_string(struct byoh_toml_strings *strings, struct byoh_toml_string string,
		      struct byoh_error *err)
{
	struct byoh_toml_string *grown =
		reallocarray(strings->items, strings->count + 1, sizeof(*grown));

	if (!grown) {
		free(string.text);
		return out_of_memory(err);
	}
	strings->items = grown;
	grown[strings->count++] = string;
	return 0;
}

int byoh_toml_list(const struct byoh_toml *toml, const struct byoh_toml_item *item,
		   struct byoh_toml_strings *ret, struct byoh_error *err)
{
	struct scan scan = { toml->text, item->value_end, item->value, item->line };

	if (peek(&scan, 0) != '[')
		return fail_at(item->line, err, "a list in brackets was expected");
	step(&scan, 1);
	for (skip_blank(&scan); peek(&scan, 0) != ']'; skip_blank(&scan)) {
		struct byoh_toml_string string = { .start = scan.at };
		int rc = skip_value(&scan, 0, err);

		string.end = scan.at;
		if (!rc)
			rc = plain_string(toml, string.start, string.end, scan.line, &string.text, err);
		if (rc)
			return rc;
		skip_blank(&scan);
		if (peek(&scan, 0) == ',') {
			string.comma = scan.at;
			step(&scan, 1);
		}
		rc = add_string(ret, string, err);
		if (rc)
			return rc;
	}
	return 0;
}

void byoh_toml_strings_release(struct byoh_toml_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i].text);
	free(strings->items);
	*strings = (struct byoh_toml_strings){ 0 };
}
