/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

#define READ_SIZE ((size_t)256 << 10)

struct byoh_hasher {
	EVP_MD_CTX *context;
	bool failed;
};

struct byoh_hasher *byoh_hasher_new(void)
{
	struct byoh_hasher *hasher = calloc(1, sizeof(*hasher));

	if (!hasher)
		return NULL;
	hasher->context = EVP_MD_CTX_new();
	if (!hasher->context || EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1) {
		byoh_hasher_free(hasher);
		return NULL;
	}
	return hasher;
}

void byoh_hasher_free(struct byoh_hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->context);
	free(hasher);
}

void byoh_hasher_freep(struct byoh_hasher **hasher)
{
	byoh_hasher_free(*hasher);
}

void byoh_hasher_add(struct byoh_hasher *hasher, const void *bytes, size_t size)
{
	if (size && EVP_DigestUpdate(hasher->context, bytes, size) != 1)
		hasher->failed = true;
}

int byoh_hasher_finish(struct byoh_hasher *hasher, struct byoh_digest *ret, struct byoh_error *err)
{
	if (EVP_DigestFinal_ex(hasher->context, ret->bytes, NULL) != 1)
		hasher->failed = true;
	if (EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1)
		hasher->failed = true;
	if (hasher->failed)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "libcrypto cannot compute SHA-256");
	return 0;
}

int byoh_digest_of(const void *bytes, size_t size, struct byoh_digest *ret, struct byoh_error *err)
{
	if (EVP_Digest(bytes, size, ret->bytes, NULL, EVP_sha256(), NULL) != 1)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "libcrypto cannot compute SHA-256");
	return 0;
}

int byoh_digest_fd(int fd, uint64_t size, struct byoh_digest *ret, uint64_t *ret_size,
		   struct byoh_error *err)
{
	CLEANUP_HASHER struct byoh_hasher *hasher = byoh_hasher_new();
	CLEANUP_FREE unsigned char *chunk = malloc(READ_SIZE);
	uint64_t done = 0;

	if (!hasher || !chunk)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (done < size) {
		size_t want = size - done < READ_SIZE ? (size_t)(size - done) : READ_SIZE;
		ssize_t n = read(fd, chunk, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot read");
		if (n == 0)
			break;
		byoh_hasher_add(hasher, chunk, (size_t)n);
		done += (uint64_t)n;
	}
	if (size != UINT64_MAX && done < size)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENODATA, "the file ends early");
	if (ret_size)
		*ret_size = done;
	return byoh_hasher_finish(hasher, ret, err);
}

bool byoh_digest_equal(const struct byoh_digest *a, const struct byoh_digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool byoh_digest_is_zero(const struct byoh_digest *digest)
{
	static const struct byoh_digest zero;

	return byoh_digest_equal(digest, &zero);
}

void byoh_digest_hex(const struct byoh_digest *digest, char ret[BYOH_DIGEST_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < BYOH_DIGEST_SIZE; i++) {
		ret[2 * i] = digits[digest->bytes[i] >> 4];
		ret[2 * i + 1] = digits[digest->bytes[i] & 15];
	}
	ret[2 * BYOH_DIGEST_SIZE] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool byoh_digest_parse(const char *hex, struct byoh_digest *ret)
{
	if (strlen(hex) != 2 * BYOH_DIGEST_SIZE)
		return false;
	for (size_t i = 0; i < BYOH_DIGEST_SIZE; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret->bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
