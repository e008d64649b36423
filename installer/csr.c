/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/csr.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/digest.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"
#include "installer/credentials.h"

#define HASH_DIGITS 12 /* a host has some keys in its life, not thousands */

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static int fail_crypto(const char *what, struct byoh_error *err)
{
	ERR_clear_error();
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s", what);
}

static int take_text(BIO *bio, struct byoh_buffer *ret, struct byoh_error *err)
{
	char *text = NULL;
	long size = BIO_get_mem_data(bio, &text);

	return byoh_buffer_add(ret, text, (size_t)size, err);
}

static BIO *text_of(const struct byoh_buffer *text)
{
	return text->size <= INT_MAX ? BIO_new_mem_buf(byoh_buffer_text(text), (int)text->size) : NULL;
}

static EVP_PKEY *read_key(const struct byoh_buffer *pem)
{
	CLEANUP(free_bio) BIO *bio = text_of(pem);
	/* An empty passphrase: OpenSSL would ask the terminal for one. */
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;

	ERR_clear_error();
	return key;
}

int byoh_csr_make_key(struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
	CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_secmem());

	if (!key || !bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		return fail_crypto("cannot make a key", err);
	return take_text(bio, ret, err);
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return !value || X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0);
}

int byoh_csr_make(const struct byoh_buffer *pem, const struct byoh_csr_subject *subject, struct byoh_buffer *ret,
		  struct byoh_error *err)
{
	CLEANUP(free_key) EVP_PKEY *key = read_key(pem);
	CLEANUP(free_request) X509_REQ *request = X509_REQ_new();
	CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());

	if (!key)
		return fail_crypto("the key cannot be read", err);
	if (!request || !bio || !X509_REQ_set_version(request, X509_REQ_VERSION_1) ||
	    !add_name(X509_REQ_get_subject_name(request), "O", subject->organization) ||
	    !add_name(X509_REQ_get_subject_name(request), "CN", subject->common_name) ||
	    !X509_REQ_set_pubkey(request, key) || !X509_REQ_sign(request, key, EVP_sha256()) ||
	    !PEM_write_bio_X509_REQ(bio, request))
		return fail_crypto("cannot make a certificate signing request", err);
	return take_text(bio, ret, err);
}

int byoh_csr_name(const char *prefix, const struct byoh_buffer *pem, char ret[BYOH_CSR_NAME_SIZE],
		  struct byoh_error *err)
{
	CLEANUP(free_key) EVP_PKEY *key = read_key(pem);
	unsigned char *der = NULL;
	int length = key ? i2d_PUBKEY(key, &der) : -1, r;
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest digest;

	if (length <= 0)
		return fail_crypto("the key cannot be read", err);
	r = byoh_digest_of(der, (size_t)length, &digest, err);
	OPENSSL_free(der);
	if (r < 0)
		return r;
	byoh_digest_hex(&digest, hex);
	snprintf(ret, BYOH_CSR_NAME_SIZE, "%.*s-%.*s", BYOH_CSR_NAME_SIZE - HASH_DIGITS - 2, prefix, HASH_DIGITS, hex);
	return 0;
}

int byoh_csr_object(const char *name, const char *signer, const struct byoh_buffer *request, struct byoh_buffer *ret,
		    struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer encoded = { 0 };
	struct byoh_json json = byoh_json_to(ret);
	int r = byoh_base64_encode(byoh_buffer_text(request), request->size, &encoded, err);

	if (r < 0)
		return r;
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "apiVersion", "certificates.k8s.io/v1");
	byoh_json_field_string(&json, "kind", "CertificateSigningRequest");
	byoh_json_key(&json, "metadata");
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "name", name);
	byoh_json_end_object(&json);
	byoh_json_key(&json, "spec");
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "request", byoh_buffer_text(&encoded));
	byoh_json_field_string(&json, "signerName", signer);
	byoh_json_key(&json, "usages");
	byoh_json_begin_array(&json);
	byoh_json_string(&json, "digital signature");
	byoh_json_string(&json, "client auth");
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

void byoh_csr_state_release(struct byoh_csr_state *state)
{
	free(state->message);
	byoh_buffer_release(&state->certificate);
	*state = (struct byoh_csr_state){ 0 };
}

static int take_message(const struct byoh_yaml *doc, const struct byoh_yaml_node *condition,
			struct byoh_csr_state *ret, struct byoh_error *err)
{
	const char *reason = NULL, *message = NULL;
	int r = byoh_yaml_read_string(doc, condition, "reason", false, &reason, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, condition, "message", false, &message, err);
	if (r < 0 || ret->message)
		return r;
	if (asprintf(&ret->message, "%.64s%s%.400s", reason ? reason : "", reason && message ? ": " : "",
		     message ? message : "") < 0) {
		ret->message = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	byoh_make_printable(ret->message);
	return 0;
}

static int read_condition(const struct byoh_yaml *doc, const struct byoh_yaml_node *condition,
			  struct byoh_csr_state *ret, struct byoh_error *err)
{
	const char *type = NULL;
	int r = byoh_yaml_read_string(doc, condition, "type", true, &type, err);

	if (r < 0)
		return r;
	if (strcmp(type, "Approved") == 0)
		ret->approved = true;
	if (strcmp(type, "Denied") != 0 && strcmp(type, "Failed") != 0)
		return 0;
	if (ret->phase != BYOH_CSR_DENIED)
		ret->phase = type[0] == 'D' ? BYOH_CSR_DENIED : BYOH_CSR_FAILED;
	return take_message(doc, condition, ret, err);
}

static int read_status(const struct byoh_yaml *doc, const struct byoh_yaml_node *status, struct byoh_csr_state *ret,
		       struct byoh_error *err)
{
	const struct byoh_yaml_node *conditions = NULL;
	const char *certificate = NULL;
	int r = byoh_yaml_read_node(doc, status, "conditions", BYOH_YAML_SEQUENCE, false, &conditions, err);

	for (size_t i = 0; r == 0 && conditions && i < conditions->count; i++)
		r = read_condition(doc, conditions->items[i], ret, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, status, "certificate", false, &certificate, err);
	if (r < 0 || ret->phase != BYOH_CSR_PENDING || !ret->approved || !certificate || !*certificate)
		return r;
	r = byoh_base64_decode(certificate, &ret->certificate, err);
	if (r == 0 && strlen(byoh_buffer_text(&ret->certificate)) != ret->certificate.size)
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, "the certificate that was issued is no PEM text");
	if (r == 0)
		ret->phase = BYOH_CSR_ISSUED;
	return r;
}

int byoh_csr_state_parse(const char *answer, size_t size, struct byoh_csr_state *ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_CSR_STATE struct byoh_csr_state state = { 0 };
	const struct byoh_yaml_node *root, *status = NULL;
	const char *kind = NULL;
	int r = byoh_yaml_parse(answer, size, "the answer", BYOH_ERROR_FORMAT, &doc, err);

	if (r < 0)
		return r;
	root = byoh_yaml_root(doc);
	r = byoh_yaml_read_string(doc, root, "kind", true, &kind, err);
	if (r == 0 && strcmp(kind, "CertificateSigningRequest") != 0)
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, "the answer is no certificate signing request");
	if (r == 0)
		r = byoh_yaml_read_node(doc, root, "status", BYOH_YAML_MAPPING, false, &status, err);
	if (r == 0 && status)
		r = read_status(doc, status, &state, err);
	if (r < 0)
		return r;
	*ret = state;
	state = (struct byoh_csr_state){ 0 };
	return 0;
}

static bool has_name(const X509 *certificate, const char *common_name)
{
	char name[256] = "";
	int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));

	return length > 0 && (size_t)length == strlen(common_name) && strcmp(name, common_name) == 0;
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

int byoh_csr_check_certificate(const struct byoh_buffer *pem, const struct byoh_buffer *key_pem, const char *common_name,
			       struct byoh_validity *ret, struct byoh_error *err)
{
	CLEANUP(free_key) EVP_PKEY *key = read_key(key_pem);
	CLEANUP(free_bio) BIO *bio = text_of(pem);
	CLEANUP(free_certificate) X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, (void *)"") : NULL;
	bool fits = key && certificate && X509_check_private_key(certificate, key) == 1 &&
		    has_name(certificate, common_name) && read_time(X509_get0_notBefore(certificate), &ret->from) &&
		    read_time(X509_get0_notAfter(certificate), &ret->until);

	ERR_clear_error();
	return fits ? 0 : byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				    "the certificate is not for %s with the key of this host", common_name);
}

bool byoh_validity_is_due(const struct byoh_validity *validity, uint64_t now)
{
	return now < validity->from || now >= validity->until ||
	       now - validity->from >= (validity->until - validity->from) / 5 * 4;
}
