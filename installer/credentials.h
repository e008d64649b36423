/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, cluster CAs and pins: forms and checks. Pure. Messages never hold a secret. */
#ifndef BYOH_INSTALLER_CREDENTIALS_H
#define BYOH_INSTALLER_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_CA_MAX_SIZE ((size_t)1 << 20)
#define BYOH_STATIC_TOKEN_MAX 1024
#define BYOH_ACCOUNT_TOKEN_MAX 8192 /* a service account's token is a signed JSON of some kilobytes */
#define BYOH_PIN_SIZE 72	    /* "sha256:", 64 hexadecimal digits, zero */

struct x509_st;

/* [a-z0-9]{6}.[a-z0-9]{16}: the form that bootstrap tokens have and discovery needs. */
bool byoh_token_is_bootstrap(const char *token);
/* 1 to max printable ASCII characters, no space: what --token-auth-file and service accounts hand out. */
bool byoh_token_is_opaque(const char *token, size_t max);

/* PEM with at least one certificate of a CA and no private key; where pin is not NULL, one of the CAs
 * must have it. Errors are BYOH_ERROR_CONFIG and say "the CA ..." without file or line. */
BYOH_MUST_CHECK int byoh_ca_check(const char *pem, size_t size, const char *pin, struct byoh_error *err);

/* The certificates of CAs in pem that have the pin, appended as PEM; nothing if none has. */
BYOH_MUST_CHECK int byoh_ca_select(const char *pem, size_t size, const char *pin, struct byoh_buffer *ret,
				   struct byoh_error *err);

/* "sha256:" and the digest of the DER SubjectPublicKeyInfo, as kubeadm's --discovery-token-ca-cert-hash. */
BYOH_MUST_CHECK int byoh_spki_pin(const struct x509_st *certificate, char ret[BYOH_PIN_SIZE],
				  struct byoh_error *err);
bool byoh_pin_is_valid(const char *pin);

/* Does the certificate's subject belong to a group that may do everything in a cluster? pem is one
 * certificate; -EINVAL with BYOH_ERROR_CONFIG if it is none. */
BYOH_MUST_CHECK int byoh_certificate_is_admin(const char *pem, size_t size, bool *ret,
					      struct byoh_error *err);

/* Base64 (RFC 4648, section 4) on one line; decoding skips white space. BYOH_ERROR_CONFIG if it is none. */
BYOH_MUST_CHECK int byoh_base64_encode(const void *bytes, size_t size, struct byoh_buffer *ret,
				       struct byoh_error *err);
BYOH_MUST_CHECK int byoh_base64_decode(const char *text, struct byoh_buffer *ret, struct byoh_error *err);

/* Overwrites before it frees; NULL is fine. */
void byoh_secret_free(char *secret);
void byoh_secret_freep(char **secret);
void byoh_secret_buffer_release(struct byoh_buffer *buffer);
#define CLEANUP_SECRET __attribute__((cleanup(byoh_secret_freep)))
#define CLEANUP_SECRET_BUFFER __attribute__((cleanup(byoh_secret_buffer_release)))

#endif
