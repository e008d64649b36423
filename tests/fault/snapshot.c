/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `snapshot FOLDER [TABLE]` prints a folder as text: a line for each path with type and mode, owner, digest
 * or link target, time, extended attributes. TABLE (tests/fault/may-differ) lists what two runs that did
 * the same may write differently. Times of 2020 and later are "new": the trees are
 * prepared with an older one, so that what was put back shows it.
 */
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "bundle/base/cleanup.h"
#include "tests/unit/tree-snapshot.h"

#define NEW_SINCE 1577836800 /* 2020-01-01 */
#define MAX_ROWS 16

struct row {
	regex_t path, bytes;
	bool left_out;
};

struct table {
	size_t count;
	struct row rows[MAX_ROWS];
};

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "snapshot: %s\n", what);
	exit(2);
}

/* PATH<tab>BYTES<tab>REASON, both extended regular expressions, of a whole path and of a part of a line.
 * BYTES of "-" leave out the file itself. */
static void add_row(struct table *table, char *line)
{
	struct row *row = &table->rows[table->count];
	char *path = strtok(line, "\t"), *bytes = strtok(NULL, "\t"), *reason = strtok(NULL, "\t\n");
	char whole[1024];

	require(path && bytes && reason, "a row of the table lacks something");
	require(table->count < MAX_ROWS, "the table is too long: it is to be short");
	snprintf(whole, sizeof(whole), "^%s$", path);
	require(regcomp(&row->path, whole, REG_EXTENDED | REG_NOSUB) == 0, whole);
	require(regcomp(&row->bytes, bytes, REG_EXTENDED | REG_NEWLINE) == 0, bytes);
	row->left_out = strcmp(bytes, "-") == 0;
	table->count++;
}

static void read_table(const char *path, struct table *table)
{
	CLEANUP_FILE FILE *file = fopen(path, "re");
	char line[1024];

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
	struct table *table = context;

	for (size_t i = 0; i < table->count; i++)
		if (!table->rows[i].left_out && bytes->size &&
		    regexec(&table->rows[i].path, path, 0, NULL, 0) == 0)
			mask_bytes(&table->rows[i].bytes, bytes);
}

static bool left_out(void *context, const char *path)
{
	struct table *table = context;

	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].left_out && regexec(&table->rows[i].path, path, 0, NULL, 0) == 0)
			return true;
	return false;
}

int main(int argc, char *argv[])
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	static struct table table;
	const struct tree_snapshot_rules rules = {
		.new_since = NEW_SINCE, .mask = mask, .left_out = left_out, .context = &table,
	};

	if (argc != 2 && argc != 3) {
		fputs("usage: snapshot FOLDER [TABLE]\n", stderr);
		return 2;
	}
	if (argc == 3)
		read_table(argv[2], &table);
	tree_snapshot_by_rules(argv[1], &rules, &text);
	return fputs(byoh_buffer_text(&text), stdout) < 0 || fflush(stdout) ? 2 : 0;
}
