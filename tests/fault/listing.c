/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"

#define NEW_SINCE 1577836800 /* 2020-01-01 */

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "listing: %s\n", what);
	exit(2);
}

/* PATH<tab>BYTES<tab>REASON, both extended regular expressions, of a whole path and of a part of a line.
 * BYTES of "-" leave out the file itself. */
static void add_row(struct listing_table *table, char *line)
{
	struct listing_row *row = &table->rows[table->count];
	char *path = strtok(line, "\t"), *bytes = strtok(NULL, "\t"), *reason = strtok(NULL, "\t\n");
	char whole[1024];

	require(path && bytes && reason, "a row of the table lacks something");
	require(table->count < LISTING_MAX_ROWS, "the table is too long: it is to be short");
	snprintf(whole, sizeof(whole), "^%s$", path);
	require(regcomp(&row->path, whole, REG_EXTENDED | REG_NOSUB) == 0, whole);
	require(regcomp(&row->bytes, bytes, REG_EXTENDED | REG_NEWLINE) == 0, bytes);
	row->left_out = strcmp(bytes, "-") == 0;
	table->count++;
}

void listing_read_table(const char *path, struct listing_table *table)
{
	CLEANUP_FILE FILE *file = path ? fopen(path, "re") : NULL;
	char line[1024];

	*table = (struct listing_table){ 0 };
	if (!path)
		return;
	require(file, path);
	while (fgets(line, sizeof(line), file))
		if (line[0] != '#' && line[0] != '\n')
			add_row(table, line);
}

/* A star stands for a match of any length. The text ends with a zero byte. */
static void mask_bytes(const regex_t *pattern, struct byoh_buffer *bytes)
{
	size_t at = 0;
	regmatch_t match;

	while (at < bytes->size && regexec(pattern, bytes->data + at, 1, &match, at ? REG_NOTBOL : 0) == 0) {
		size_t from = at + (size_t)match.rm_so, to = at + (size_t)match.rm_eo;

		require(to > from, "a row of the table matches nothing");
		bytes->data[from] = '*';
		memmove(bytes->data + from + 1, bytes->data + to, bytes->size - to + 1);
		bytes->size -= to - from - 1;
		at = from + 1;
	}
}

static void mask(void *context, const char *path, struct byoh_buffer *bytes)
{
	struct listing_table *table = context;
	size_t whole = bytes->size;

	for (size_t i = 0; i < table->count; i++) {
		if (table->rows[i].left_out || !bytes->size ||
		    regexec(&table->rows[i].path, path, 0, NULL, 0) != 0)
			continue;
		if (whole && table->whole) /* once, while all of it is there */
			byoh_hasher_add(table->whole, bytes->data, bytes->size);
		whole = 0;
		mask_bytes(&table->rows[i].bytes, bytes);
	}
}

static bool left_out(void *context, const char *path)
{
	struct listing_table *table = context;

	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].left_out && regexec(&table->rows[i].path, path, 0, NULL, 0) == 0)
			return true;
	return false;
}

void listing_make(const char *folder, struct listing_table *table, struct byoh_buffer *ret,
		  struct byoh_digest *ret_whole)
{
	const struct tree_snapshot_rules rules = {
		.new_since = NEW_SINCE, .mask = mask, .left_out = left_out, .context = table,
	};
	CLEANUP_HASHER struct byoh_hasher *whole = ret_whole ? byoh_hasher_new() : NULL;

	require(!ret_whole || whole, "memory");
	table->whole = whole;
	tree_snapshot_by_rules(folder, &rules, ret);
	table->whole = NULL;
	if (!ret_whole)
		return;
	byoh_hasher_add(whole, byoh_buffer_text(ret), ret->size);
	require(byoh_hasher_finish(whole, ret_whole, NULL) == 0, "digest");
}
