/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/credentials.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/digest.h"

#define TOKEN_ID_LENGTH 6
#define TOKEN_SECRET_LENGTH 16
#define MAX_PEM_BLOCKS 256 /* a system's whole trust store is some 150: that is no cluster CA either */
#define MAX_GROUP_LENGTH 256

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_openssl(void *p)
{
	OPENSSL_free(*(void **)p);
}

/* One block of a PEM text. */
struct pem_block {
	char *name, *header;
	unsigned char *data;
	long length;
};

static void release_block(struct pem_block *block)
{
	OPENSSL_free(block->name);
	OPENSSL_free(block->header);
	if (block->data)
		OPENSSL_clear_free(block->data, (size_t)block->length);
	*block = (struct pem_block){0};
}

static bool is_token_part(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9')))
			return false;
	return true;
}

bool byoh_token_is_bootstrap(const char *token)
{
	return strlen(token) == TOKEN_ID_LENGTH + 1 + TOKEN_SECRET_LENGTH &&
	       is_token_part(token, TOKEN_ID_LENGTH) && token[TOKEN_ID_LENGTH] == '.' &&
	       is_token_part(token + TOKEN_ID_LENGTH + 1, TOKEN_SECRET_LENGTH);
}

bool byoh_token_is_opaque(const char *token, size_t max)
{
	size_t length = strlen(token);

	if (length == 0 || length > max)
		return false;
	for (size_t i = 0; i < length; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return false;
	return true;
}

bool byoh_pin_is_valid(const char *pin)
{
	struct byoh_digest digest;

	return strncmp(pin, "sha256:", 7) == 0 && byoh_digest_parse(pin + 7, &digest);
}

int byoh_spki_pin(const struct x509_st *certificate, char ret[BYOH_PIN_SIZE], struct byoh_error *err)
{
	CLEANUP(free_openssl) unsigned char *der = NULL;
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	struct byoh_digest digest;
	int r;

	if (length <= 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "the certificate has no public key");
	r = byoh_digest_of(der, (size_t)length, &digest, err);
	if (r < 0)
		return r;
	memcpy(ret, "sha256:", 7);
	byoh_digest_hex(&digest, ret + 7);
	return 0;
}

/* 1: a block, 0: no more, negative: damaged. */
static int next_block(BIO *bio, struct pem_block *ret, struct byoh_error *err)
{
	unsigned long code;

	ERR_clear_error();
	if (PEM_read_bio(bio, &ret->name, &ret->header, &ret->data, &ret->length))
		return 1;
	code = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "the CA is damaged PEM; copy the file again, whole lines from BEGIN to END");
}

static X509 *decode_certificate(const struct pem_block *block)
{
	const unsigned char *next = block->data;
	X509 *certificate = d2i_X509(NULL, &next, block->length);

	ERR_clear_error();
	if (certificate && next != block->data + block->length) {
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

/* Self-signed certificates of version 1 count: Kubernetes' clients take them as roots. */
static bool is_ca(X509 *certificate)
{
	int kind = X509_check_ca(certificate);

	return kind == 1 || kind == 3;
}

static int check_block(const struct pem_block *block, const char *pin, bool *has_ca, bool *has_pin,
		       struct byoh_error *err)
{
	CLEANUP(free_certificate) X509 *certificate = NULL;
	char own[BYOH_PIN_SIZE];
	int r;

	if (strstr(block->name, "PRIVATE KEY"))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the CA file holds a private key, which must never reach a host; "
				 "give the certificate alone (/etc/kubernetes/pki/ca.crt of a control plane)");
	if (strcmp(block->name, PEM_STRING_X509) != 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the CA file holds a \"%.40s\" block; only CERTIFICATE blocks belong there",
				 block->name);
	certificate = decode_certificate(block);
	if (!certificate)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the CA file holds a CERTIFICATE block that is no X.509 certificate");
	if (!is_ca(certificate))
		return 0;
	*has_ca = true;
	r = pin ? byoh_spki_pin(certificate, own, err) : 0;
	if (r == 0 && pin && strcmp(own, pin) == 0)
		*has_pin = true;
	return r;
}

int byoh_ca_check(const char *pem, size_t size, const char *pin, struct byoh_error *err)
{
	CLEANUP(free_bio) BIO *bio = NULL;
	bool has_ca = false, has_pin = false;
	size_t count = 0;

	if (size > BYOH_CA_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "the CA is larger than 1 MiB");
	bio = BIO_new_mem_buf(size ? pem : "", (int)size);
	if (!bio)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (;;) {
		CLEANUP(release_block) struct pem_block block = {0};
		int r = next_block(bio, &block, err);

		if (r == 0)
			break;
		if (r > 0)
			r = check_block(&block, pin, &has_ca, &has_pin, err);
		if (r < 0)
			return r;
		if (++count > MAX_PEM_BLOCKS)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
					 "the CA holds more than %d certificates", MAX_PEM_BLOCKS);
	}
	if (!count)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the CA holds no PEM certificate; it begins with -----BEGIN CERTIFICATE-----");
	if (!has_ca)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the CA holds no certificate of a CA, only of servers or clients; give "
				 "/etc/kubernetes/pki/ca.crt of a control plane");
	if (pin && !has_pin)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "no certificate of the CA has the pin %s; one of the two is of another cluster",
				 pin);
	return 0;
}

static int add_pem(X509 *certificate, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long size;

	if (!bio || !PEM_write_bio_X509(bio, certificate))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	size = BIO_get_mem_data(bio, &text);
	return byoh_buffer_add(ret, text, (size_t)size, err);
}

int byoh_ca_select(const char *pem, size_t size, const char *pin, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP(free_bio) BIO *bio = size <= BYOH_CA_MAX_SIZE ? BIO_new_mem_buf(size ? pem : "", (int)size) : NULL;
	int r = bio ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	while (r == 0) {
		CLEANUP(free_certificate) X509 *certificate = NULL;
		CLEANUP(release_block) struct pem_block block = {0};
		char own[BYOH_PIN_SIZE];

		r = next_block(bio, &block, err);
		if (r <= 0)
			return r;
		certificate = decode_certificate(&block);
		r = certificate && is_ca(certificate) ? byoh_spki_pin(certificate, own, err) : -ENOENT;
		if (r == 0 && strcmp(own, pin) == 0)
			r = add_pem(certificate, ret, err);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static bool name_is_admin_group(const X509_NAME *subject, int position)
{
	static const char *const groups[] = { "system:masters", "kubeadm:cluster-admins" };
	const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, position));
	CLEANUP(free_openssl) unsigned char *text = NULL;
	int length = ASN1_STRING_to_UTF8(&text, value);

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (length >= 0 && (size_t)length == strlen(groups[i]) &&
		    memcmp(text, groups[i], (size_t)length) == 0)
			return true;
	return false;
}

int byoh_certificate_is_admin(const char *pem, size_t size, bool *ret, struct byoh_error *err)
{
	CLEANUP(free_bio) BIO *bio = size <= INT_MAX ? BIO_new_mem_buf(size ? pem : "", (int)size) : NULL;
	CLEANUP(free_certificate) X509 *certificate =
		bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	const X509_NAME *subject;
	int at = -1;

	ERR_clear_error();
	if (!certificate)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "no PEM certificate");
	subject = X509_get_subject_name(certificate);
	*ret = false;
	while ((at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_organizationName, at)) >= 0)
		if (name_is_admin_group(subject, at))
			*ret = true;
	return 0;
}

int byoh_base64_encode(const void *bytes, size_t size, struct byoh_buffer *ret, struct byoh_error *err)
{
	int r;

	if (size > (size_t)INT_MAX / 2)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EFBIG, "too large for base64");
	r = byoh_buffer_reserve(ret, size / 3 * 4 + 8, err);
	if (r < 0)
		return r;
	ret->size += (size_t)EVP_EncodeBlock((unsigned char *)ret->data + ret->size, bytes, (int)size);
	ret->data[ret->size] = '\0';
	return 0;
}

/* -1 for what is no digit; '=' is handled by the caller. */
static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int byoh_base64_decode(const char *text, struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t digits = 0, padding = 0, start = ret->size;
	uint32_t bits = 0;
	int r = byoh_buffer_reserve(ret, strlen(text) / 4 * 3 + 4, err);

	if (r < 0)
		return r;
	for (; *text; text++) {
		int digit = base64_digit(*text);

		if (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t')
			continue;
		if (*text == '=' && ++padding <= 2)
			continue;
		if (digit < 0 || padding)
			break;
		bits = bits << 6 | (uint32_t)digit;
		if (digits++ % 4)
			ret->data[ret->size++] = (char)(bits >> (8 - digits % 4 * 2) % 8);
	}
	ret->data[ret->size] = '\0';
	if (!*text && digits % 4 != 1 && (digits + padding) % 4 == 0)
		return 0;
	ret->size = start;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "not base64");
}

void byoh_secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}

void byoh_secret_freep(char **secret)
{
	byoh_secret_free(*secret);
}

void byoh_secret_buffer_release(struct byoh_buffer *buffer)
{
	if (buffer->data)
		explicit_bzero(buffer->data, buffer->size);
	byoh_buffer_release(buffer);
}
