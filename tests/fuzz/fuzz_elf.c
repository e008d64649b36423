/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "installer/preflight/elf.h"
#include "tests/fuzz/fuzz.h"

/* A string that ends within the program's bytes; strlen under the sanitizer reads all of it. */
static size_t check_text(const uint8_t *data, size_t size, const char *text)
{
	const uint8_t *start = (const uint8_t *)text;

	require(start >= data && start < data + size);
	return strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_elf_needs needs;
	int r = byoh_elf_read_needs(data, size, &needs, &err);

	if (r < 0) {
		require(r == -EBADMSG && err.kind == BYOH_ERROR_FORMAT && err.message[0]);
		return 0;
	}
	require(needs.count <= BYOH_ELF_NEEDS_MAX);
	if (needs.interpreter)
		require(needs.interpreter[0] == '/' &&
			check_text(data, size, needs.interpreter) <= BYOH_ELF_NAME_MAX);
	for (size_t i = 0; i < needs.count; i++)
		require(check_text(data, size, needs.libraries[i]) <= BYOH_ELF_NAME_MAX);
	if (needs.search)
		check_text(data, size, needs.search);
	return 0;
}
