/* SPDX-License-Identifier: Apache-2.0 */
/* What all fuzz targets share: the entry point, for libFuzzer and for replay.c, and a way to object. */
#ifndef BYOH_TESTS_FUZZ_H
#define BYOH_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

#endif
