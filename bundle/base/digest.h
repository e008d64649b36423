/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) by OpenSSL, and its hexadecimal form. */
#ifndef BYOH_BASE_DIGEST_H
#define BYOH_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

#define BYOH_DIGEST_SIZE 32
#define BYOH_DIGEST_HEX_SIZE (2 * BYOH_DIGEST_SIZE + 1)

struct byoh_digest {
	unsigned char bytes[BYOH_DIGEST_SIZE];
};

BYOH_MUST_CHECK int byoh_digest_of(const void *bytes, size_t size, struct byoh_digest *ret,
				   struct byoh_error *err);

/* From fd's current offset to its end, or size bytes if size is not UINT64_MAX (fewer is an error).
 * *ret_size may be NULL. */
BYOH_MUST_CHECK int byoh_digest_fd(int fd, uint64_t size, struct byoh_digest *ret, uint64_t *ret_size,
				   struct byoh_error *err);

bool byoh_digest_equal(const struct byoh_digest *a, const struct byoh_digest *b);
bool byoh_digest_is_zero(const struct byoh_digest *digest);

void byoh_digest_hex(const struct byoh_digest *digest, char ret[BYOH_DIGEST_HEX_SIZE]);
/* Exactly 64 lower-case hexadecimal digits; false otherwise. */
bool byoh_digest_parse(const char *hex, struct byoh_digest *ret);

struct byoh_hasher; /* a digest in the making */
struct byoh_hasher *byoh_hasher_new(void); /* NULL without memory */
void byoh_hasher_free(struct byoh_hasher *hasher);
void byoh_hasher_freep(struct byoh_hasher **hasher);
#define CLEANUP_HASHER __attribute__((cleanup(byoh_hasher_freep)))
/* Fails only if libcrypto does, which is sticky and reported by byoh_hasher_finish. */
void byoh_hasher_add(struct byoh_hasher *hasher, const void *bytes, size_t size);
/* Starts anew afterwards. */
BYOH_MUST_CHECK int byoh_hasher_finish(struct byoh_hasher *hasher, struct byoh_digest *ret,
				       struct byoh_error *err);

#endif
