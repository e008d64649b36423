/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes that is always followed by a zero byte, so that text in it is a C string. */
#ifndef BYOH_BASE_BUFFER_H
#define BYOH_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

/* Starts as all zeros ({0}); data is NULL until the first byte. Owned by whoever declares it. */
struct byoh_buffer {
	char *data;
	size_t size;
	size_t capacity;
};

void byoh_buffer_release(struct byoh_buffer *buffer);
#define CLEANUP_BUFFER __attribute__((cleanup(byoh_buffer_release)))

/* Each of these fails only with -ENOMEM and then leaves the buffer as it was. */
BYOH_MUST_CHECK int byoh_buffer_reserve(struct byoh_buffer *buffer, size_t more, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_buffer_add(struct byoh_buffer *buffer, const void *bytes, size_t size,
				    struct byoh_error *err);
BYOH_MUST_CHECK int byoh_buffer_add_string(struct byoh_buffer *buffer, const char *text,
					   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_buffer_printf(struct byoh_buffer *buffer, struct byoh_error *err,
				       const char *fmt, ...) BYOH_PRINTF(3, 4);

/* Little-endian integers, for writing the on-disk structures. */
BYOH_MUST_CHECK int byoh_buffer_add_u32(struct byoh_buffer *buffer, uint32_t value, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_buffer_add_u64(struct byoh_buffer *buffer, uint64_t value, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_buffer_add_zeros(struct byoh_buffer *buffer, size_t size, struct byoh_error *err);

/* The text, "" if nothing was ever added. Valid until the next change. */
const char *byoh_buffer_text(const struct byoh_buffer *buffer);

#endif
