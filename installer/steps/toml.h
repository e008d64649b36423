/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML (toml.io, v1.0.0) as a list of what it says and where: enough to change an operator's file and keep
 * every byte that is not meant. What is not understood is an error with its line, never a guess.
 */
#ifndef BYOH_INSTALLER_STEPS_TOML_H
#define BYOH_INSTALLER_STEPS_TOML_H

#include <stdbool.h>

#include "bundle/base/buffer.h"

/* Between the parts of a path: it cannot stand in a key unescaped. */
#define BYOH_TOML_DOT "\037"

enum byoh_toml_kind {
	BYOH_TOML_TABLE,	/* [a.b] */
	BYOH_TOML_TABLES,	/* [[a.b]] */
	BYOH_TOML_KEY,		/* a.b = value */
};

struct byoh_toml_item {
	enum byoh_toml_kind kind;
	char *path;		/* whole, that of its table in front, parts with BYOH_TOML_DOT between */
	unsigned int line;	/* of its first byte, from 1 */
	size_t start, end;	/* bytes of the statement, comment and line end behind it included */
	size_t value, value_end; /* a key's: bytes of its value */
};

struct byoh_toml {
	const char *text;	/* borrowed */
	size_t size;
	size_t count;
	struct byoh_toml_item *items;
};

/* An element of an array of strings. */
struct byoh_toml_string {
	size_t start, end;	/* its bytes, quotes included */
	size_t comma;		/* where the comma behind it stands; 0: there is none */
	char *text;
};

struct byoh_toml_strings {
	size_t count;
	struct byoh_toml_string *items;
};

/* Errors are BYOH_ERROR_PREFLIGHT, "line N: ...". */
BYOH_MUST_CHECK int byoh_toml_read(const char *text, size_t size, struct byoh_toml **ret,
				   struct byoh_error *err);
void byoh_toml_free(struct byoh_toml *toml);
void byoh_toml_freep(struct byoh_toml **toml);
#define CLEANUP_TOML __attribute__((cleanup(byoh_toml_freep)))

/* The key of that path; NULL if there is none. */
const struct byoh_toml_item *byoh_toml_find(const struct byoh_toml *toml, const char *path);
/* Does path lie below top, or is it top? */
bool byoh_toml_is_below(const char *path, const char *top);

/* A key's value where it is a string; an error where it is anything else, or escaped. */
BYOH_MUST_CHECK int byoh_toml_text(const struct byoh_toml *toml, const struct byoh_toml_item *item,
				   char **ret, struct byoh_error *err);
/* The same for an array of strings. */
BYOH_MUST_CHECK int byoh_toml_list(const struct byoh_toml *toml, const struct byoh_toml_item *item,
				   struct byoh_toml_strings *ret, struct byoh_error *err);
void byoh_toml_strings_release(struct byoh_toml_strings *strings);
#define CLEANUP_TOML_STRINGS __attribute__((cleanup(byoh_toml_strings_release)))

#endif
