/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/ca-list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define EMBEDDED "certificate-authority-data"
#define BLOCK_MAX ((size_t)64 << 10) /* a certificate has some kilobytes at most */

/* A certificate in a text, from its first to its last line. */
struct block {
	const char *begin;
	size_t length;
};

static bool next_block(const char *text, const char *limit, struct block *ret)
{
	const char *begin = memmem(text, (size_t)(limit - text), BEGIN, strlen(BEGIN));
	const char *end = begin ? memmem(begin, (size_t)(limit - begin), END, strlen(END)) : NULL;

	if (!end)
		return false;
	ret->begin = begin;
	ret->length = (size_t)(end - begin) + strlen(END);
	return true;
}

static int decode(const struct block *block, struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t length = block->length - strlen(BEGIN END);
	CLEANUP_FREE char *text = length > BLOCK_MAX ? NULL : strndup(block->begin + strlen(BEGIN), length);

	if (length > BLOCK_MAX)
		return -EFBIG;
	if (!text)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return byoh_base64_decode(text, ret, NULL);
}

/* 1: read; 0: this is no certificate. */
static int digest_block(const struct block *block, struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer der = { 0 };
	int rc = decode(block, &der, err);

	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 || !der.size)
		return 0;
	rc = byoh_digest_of(der.data, der.size, ret, err);
	return rc < 0 ? rc : 1;
}

bool byoh_ca_list_holds(const struct byoh_ca_list *list, const struct byoh_digest *certificate)
{
	for (size_t i = 0; i < list->count; i++)
		if (byoh_digest_equal(&list->digests[i], certificate))
			return true;
	return false;
}

int byoh_ca_list_read(const char *pem, size_t size, struct byoh_ca_list *ret, struct byoh_error *err)
{
	const char *limit = pem + size;
	struct block block;

	ret->count = 0;
	for (const char *at = pem; size && next_block(at, limit, &block); at = block.begin + block.length) {
		struct byoh_digest digest;
		int rc = digest_block(&block, &digest, err);

		if (rc < 0)
			return rc;
		if (!rc || byoh_ca_list_holds(ret, &digest))
			continue;
		if (ret->count == BYOH_CA_LIST_MAX)
			return byoh_fail(err, BYOH_ERROR_CONFIG, E2BIG, "the CA holds more than %d certificates",
					 BYOH_CA_LIST_MAX);
		ret->digests[ret->count++] = digest;
	}
	return 0;
}

static bool is_in(const struct block *block, const struct byoh_ca_list *list)
{
	struct byoh_digest digest;

	return digest_block(block, &digest, NULL) > 0 && byoh_ca_list_holds(list, &digest);
}

bool byoh_ca_is_shared(const struct byoh_buffer *a, const struct byoh_buffer *b)
{
	CLEANUP_FREE struct byoh_ca_list *list = malloc(sizeof(*list));
	const char *text = byoh_buffer_text(b);
	struct block block;

	if (!list || byoh_ca_list_read(byoh_buffer_text(a), a->size, list, NULL) < 0)
		return false;
	for (; next_block(text, byoh_buffer_text(b) + b->size, &block); text = block.begin + block.length)
		if (is_in(&block, list))
			return true;
	return false;
}

/*
 * Exchange
 */

struct exchange {
	struct byoh_ca_list old, both; /* both: what goes from its place */
	const struct byoh_buffer *new_ca;
	struct byoh_error *err;
};

static int add_new(const struct exchange *exchange, struct byoh_buffer *ret)
{
	const char *at = byoh_buffer_text(exchange->new_ca), *limit = at + exchange->new_ca->size;
	struct block block;
	int rc = 0;

	for (; rc == 0 && next_block(at, limit, &block); at = block.begin + block.length) {
		rc = byoh_buffer_add(ret, block.begin, block.length, exchange->err);
		if (rc == 0)
			rc = byoh_buffer_add(ret, "\n", 1, exchange->err);
	}
	return rc;
}

static bool holds_old(const struct exchange *exchange, const char *text, const char *limit)
{
	struct block block;

	for (; next_block(text, limit, &block); text = block.begin + block.length)
		if (is_in(&block, &exchange->old))
			return true;
	return false;
}

/* A list of certificates, of which none is embedded in anything. */
static int exchange_pem(const struct exchange *exchange, const char *text, size_t size, struct byoh_buffer *ret)
{
	const char *limit = text + size;
	struct block block;
	bool placed = false;
	int rc = 0;

	if (!holds_old(exchange, text, limit))
		return byoh_buffer_add(ret, text, size, exchange->err);
	for (; rc == 0 && next_block(text, limit, &block); text = block.begin + block.length) {
		rc = byoh_buffer_add(ret, text, (size_t)(block.begin - text), exchange->err);
		if (rc < 0)
			break;
		if (!is_in(&block, &exchange->both)) {
			rc = byoh_buffer_add(ret, block.begin, block.length, exchange->err);
			continue;
		}
		if (!placed)
			rc = add_new(exchange, ret);
		placed = true;
		block.length += block.begin + block.length < limit && block.begin[block.length] == '\n';
	}
	return rc < 0 ? rc : byoh_buffer_add(ret, text, (size_t)(limit - text), exchange->err);
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
	       c == '=';
}

/* The value in base64 behind the next certificate-authority-data; in YAML and JSON alike it stands on one line. */
static bool next_embedded(const char *text, const char *limit, struct block *ret)
{
	const char *key = memmem(text, (size_t)(limit - text), EMBEDDED, strlen(EMBEDDED));
	const char *at = key ? key + strlen(EMBEDDED) : limit;

	while (at < limit && strchr(" \t\r\n\"':", *at))
		at++;
	ret->begin = at;
	while (at < limit && is_base64(*at))
		at++;
	ret->length = (size_t)(at - ret->begin);
	return key;
}

static int exchange_embedded(const struct exchange *exchange, const struct block *value, struct byoh_buffer *ret)
{
	CLEANUP_FREE char *text = strndup(value->begin, value->length);
	CLEANUP_BUFFER struct byoh_buffer pem = { 0 }, other = { 0 };
	int rc;

	if (!text)
		return byoh_fail(exchange->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_base64_decode(text, &pem, NULL);
	if (rc < 0 || !pem.size || !holds_old(exchange, pem.data, pem.data + pem.size))
		return byoh_buffer_add(ret, value->begin, value->length, exchange->err);
	rc = exchange_pem(exchange, pem.data, pem.size, &other);
	return rc < 0 ? rc : byoh_base64_encode(byoh_buffer_text(&other), other.size, ret, exchange->err);
}

static int exchange_kubeconfig(const struct exchange *exchange, const char *text, size_t size,
			       struct byoh_buffer *ret)
{
	const char *limit = text + size;
	struct block value;
	int rc = 0;

	for (; rc == 0 && next_embedded(text, limit, &value); text = value.begin + value.length) {
		rc = byoh_buffer_add(ret, text, (size_t)(value.begin - text), exchange->err);
		if (rc == 0)
			rc = exchange_embedded(exchange, &value, ret);
	}
	return rc < 0 ? rc : byoh_buffer_add(ret, text, (size_t)(limit - text), exchange->err);
}

static int read_lists(struct exchange *exchange, const struct byoh_buffer *old)
{
	CLEANUP_FREE struct byoh_ca_list *list = malloc(sizeof(*list));
	int rc;

	if (!list)
		return byoh_fail(exchange->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_ca_list_read(byoh_buffer_text(old), old->size, &exchange->old, exchange->err);
	if (rc == 0)
		rc = byoh_ca_list_read(byoh_buffer_text(exchange->new_ca), exchange->new_ca->size, list,
				       exchange->err);
	if (rc < 0)
		return rc;
	exchange->both = exchange->old;
	for (size_t i = 0; i < list->count && exchange->both.count < BYOH_CA_LIST_MAX; i++)
		if (!byoh_ca_list_holds(&exchange->old, &list->digests[i]))
			exchange->both.digests[exchange->both.count++] = list->digests[i];
	return 0;
}

int byoh_ca_exchange(const char *text, size_t size, const struct byoh_buffer *old, const struct byoh_buffer *new_ca,
		     struct byoh_buffer *ret, bool *ret_changed, struct byoh_error *err)
{
	CLEANUP_FREE struct exchange *exchange = calloc(1, sizeof(*exchange));
	size_t start = ret->size;
	int rc;

	*ret_changed = false;
	if (!exchange)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	exchange->new_ca = new_ca;
	exchange->err = err;
	rc = read_lists(exchange, old);
	if (rc < 0 || !size)
		return rc;
	if (memmem(text, size, EMBEDDED, strlen(EMBEDDED)))
		rc = exchange_kubeconfig(exchange, text, size, ret);
	else
		rc = exchange_pem(exchange, text, size, ret);
	if (rc == 0)
		*ret_changed = ret->size - start != size || memcmp(ret->data + start, text, size) != 0;
	return rc;
}

/*
 * Times
 */

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static bool read_time(const ASN1_TIME *time, uint64_t *ret)
{
	struct tm parts = { 0 };
	time_t seconds;

	if (ASN1_TIME_to_tm(time, &parts) != 1)
		return false;
	seconds = timegm(&parts);
	*ret = seconds < 0 ? 0 : (uint64_t)seconds;
	return true;
}

static bool block_times(const struct block *block, uint64_t *ret_begin, uint64_t *ret_end)
{
	CLEANUP_BUFFER struct byoh_buffer der = { 0 };
	CLEANUP(free_certificate) X509 *certificate = NULL;
	const unsigned char *at;

	if (decode(block, &der, NULL) < 0 || !der.size)
		return false;
	at = (const unsigned char *)der.data;
	certificate = d2i_X509(NULL, &at, (long)der.size);
	ERR_clear_error();
	return certificate && read_time(X509_get0_notBefore(certificate), ret_begin) &&
	       read_time(X509_get0_notAfter(certificate), ret_end);
}

bool byoh_certificate_times(const char *pem, size_t size, bool whole, uint64_t *ret_begin, uint64_t *ret_end)
{
	const char *limit = pem + size;
	struct block block;
	bool found = false;

	for (; size && (whole || !found) && next_block(pem, limit, &block); pem = block.begin + block.length) {
		uint64_t begin, end;

		if (!block_times(&block, &begin, &end))
			return false;
		if (!found || end < *ret_end) {
			*ret_begin = begin;
			*ret_end = end;
		}
		found = true;
	}
	return found;
}
