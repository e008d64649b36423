/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as it lies on disk, and as a line of JSON a record, to which the checksums are added here: a
 * fuzzer would never find them. What is accepted is written and read again to the same bytes.
 */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ledger.h"
#include "tests/fuzz/fuzz.h"

#define SUM_LENGTH 16

static void add_record(struct byoh_buffer *ledger, const char *line, size_t length)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest digest;

	require(byoh_digest_of(line, length, &digest, NULL) == 0);
	byoh_digest_hex(&digest, hex);
	require(byoh_buffer_printf(ledger, NULL, "%.*s ", SUM_LENGTH, hex) == 0);
	require(byoh_buffer_add(ledger, line, length, NULL) == 0);
	require(byoh_buffer_add(ledger, "\n", 1, NULL) == 0);
}

static void rewrite(const struct byoh_ledger *ledger)
{
	CLEANUP_BUFFER struct byoh_buffer once = { 0 }, twice = { 0 };
	CLEANUP_LEDGER struct byoh_ledger *read = NULL;

	require(byoh_ledger_write(ledger, &once, NULL) == 0);
	require(byoh_ledger_parse(once.data, once.size, &read, NULL) == 0);
	require(read->count == ledger->count);
	require(byoh_ledger_write(read, &twice, NULL) == 0);
	require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
}

static void use(struct byoh_ledger *ledger)
{
	char image[96];

	for (size_t i = 0; i < ledger->count; i++) {
		const struct byoh_origin *origin = &ledger->origins[i];

		require(origin->before.subject && origin->step);
		require(byoh_ledger_find(ledger, origin->before.kind, origin->before.subject));
		byoh_origin_image(origin, image);
		require(strlen(image) < sizeof(image) - 1);
	}
	while (ledger->count) {
		size_t count = ledger->count;

		byoh_ledger_drop(ledger, ledger->origins[0].before.kind, ledger->origins[0].before.subject);
		require(ledger->count == count - 1);
	}
}

static void parse(const char *bytes, size_t size)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_ledger_parse(bytes, size, &ledger, &err) < 0) {
		require(!ledger && err.message[0]);
		return;
	}
	rewrite(ledger);
	use(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer ledger = { 0 };
	const char *next = (const char *)data, *end = next + size;

	parse(next, size);
	require(byoh_buffer_printf(&ledger, NULL, "byoh-ledger 1\n") == 0);
	while (next < end) {
		const char *newline = memchr(next, '\n', (size_t)(end - next));
		size_t length = (size_t)((newline ? newline : end) - next);

		add_record(&ledger, next, length);
		next += length + (newline != NULL);
	}
	parse(ledger.data, ledger.size);
	return 0;
}
