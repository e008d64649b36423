/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal as it lies on disk, and as a line of JSON a record, to which the checksums are added here: a
 * fuzzer would never find them.
 */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/journal.h"
#include "tests/fuzz/fuzz.h"

#define SUM_LENGTH 16

static void add_record(struct byoh_buffer *journal, const char *line, size_t length)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest digest;

	require(byoh_digest_of(line, length, &digest, NULL) == 0);
	byoh_digest_hex(&digest, hex);
	require(byoh_buffer_printf(journal, NULL, "%.*s ", SUM_LENGTH, hex) == 0);
	require(byoh_buffer_add(journal, line, length, NULL) == 0);
	require(byoh_buffer_add(journal, "\n", 1, NULL) == 0);
}

/* A record that the undo accepts says whom it is about. */
static void read_before(const struct byoh_yaml *record)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_before before = { 0 };

	if (byoh_before_read(record, &before, &err) == 0)
		require(before.subject && byoh_action_ops(before.kind));
	else
		require(err.message[0]);
	byoh_before_release(&before);
}

/* Returns the number of records; torn where they are refused as well. */
static size_t parse(const char *bytes, size_t size, bool *ret_torn)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	*ret_torn = true;
	if (byoh_journal_parse(bytes, size, "fuzz", &text, &err) < 0) {
		require(!text && err.message[0]);
		return 0;
	}
	*ret_torn = text->torn;
	for (size_t i = 0; i < text->count; i++) {
		require(byoh_record_type(text->records[i]) != NULL);
		read_before(text->records[i]);
	}
	byoh_journal_is_committed(text);
	return text->count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer journal = { 0 };
	const char *next = (const char *)data, *end = next + size;
	bool torn;
	size_t whole;

	parse(next, size, &torn);
	require(byoh_buffer_printf(&journal, NULL, "byoh-journal 1\n") == 0);
	while (next < end) {
		const char *newline = memchr(next, '\n', (size_t)(end - next));
		size_t length = (size_t)((newline ? newline : end) - next);

		add_record(&journal, next, length);
		next += length + (newline != NULL);
	}
	whole = parse(journal.data, journal.size, &torn);
	/* Without its last byte it is what a power cut leaves: the same records but for the last. */
	if (!torn && whole)
		require(parse(journal.data, journal.size - 1, &torn) == whole - 1 && torn);
	return 0;
}
