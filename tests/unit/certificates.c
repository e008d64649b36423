/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "installer/credentials.h"

/* A setup that fails is no result of a test. */
#define REQUIRE(condition)       \
	do {                     \
		if (!(condition)) \
			abort(); \
	} while (0)

static char *take_text(BIO *bio)
{
	char *data, *copy;
	long size = BIO_get_mem_data(bio, &data);

	copy = strndup(data, (size_t)size);
	REQUIRE(copy);
	BIO_free(bio);
	return copy;
}

static void add_name(X509 *certificate, const char *organization)
{
	X509_NAME *name = X509_get_subject_name(certificate);

	if (organization)
		REQUIRE(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
						   (const unsigned char *)organization, -1, -1, 0));
	REQUIRE(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1,
					   0));
	REQUIRE(X509_set_issuer_name(certificate, name));
}

char *test_certificate(bool ca, const char *organization)
{
	return test_certificate_between(ca, organization, 0, 3600);
}

char *test_certificate_between(bool ca, const char *organization, long begin, long end)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_EXTENSION *constraints =
		X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
	BIO *bio = BIO_new(BIO_s_mem());

	REQUIRE(key && certificate && constraints && bio);
	REQUIRE(X509_set_version(certificate, X509_VERSION_3));
	REQUIRE(X509_gmtime_adj(X509_getm_notBefore(certificate), begin));
	REQUIRE(X509_gmtime_adj(X509_getm_notAfter(certificate), end));
	REQUIRE(X509_set_pubkey(certificate, key));
	add_name(certificate, organization);
	REQUIRE(X509_add_ext(certificate, constraints, -1));
	REQUIRE(X509_sign(certificate, key, EVP_sha256()));
	REQUIRE(PEM_write_bio_X509(bio, certificate));
	X509_EXTENSION_free(constraints);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return take_text(bio);
}

void test_pin_of(const char *pem, char *ret)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	REQUIRE(certificate && byoh_spki_pin(certificate, ret, NULL) == 0);
	X509_free(certificate);
	BIO_free(bio);
}

char *test_private_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());

	REQUIRE(key && bio);
	REQUIRE(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	EVP_PKEY_free(key);
	return take_text(bio);
}

char *test_base64(const char *text)
{
	size_t size = strlen(text);
	char *encoded = malloc(size / 3 * 4 + 8);

	REQUIRE(encoded);
	EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)text, (int)size);
	return encoded;
}
