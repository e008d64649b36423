/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client certificates that this host asks its cluster for: keys, certificate signing requests (PKCS #10), the objects
 * of certificates.k8s.io/v1, and what became of them. Pure; installer/net/csr.h sends and asks.
 */
#ifndef BYOH_INSTALLER_CSR_H
#define BYOH_INSTALLER_CSR_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_CSR_CLIENT_SIGNER "kubernetes.io/kube-apiserver-client"
#define BYOH_CSR_NAME_SIZE 254 /* of a Kubernetes object, with its zero */

/* An ECDSA key on P-256, PKCS #8 as PEM, appended. Secret. */
BYOH_MUST_CHECK int byoh_csr_make_key(struct byoh_buffer *ret, struct byoh_error *err);

struct byoh_csr_subject {
	const char *common_name;
	const char *organization; /* NULL: none */
};

/* The request for that subject, PEM, appended. */
BYOH_MUST_CHECK int byoh_csr_make(const struct byoh_buffer *key, const struct byoh_csr_subject *subject,
				  struct byoh_buffer *ret, struct byoh_error *err);

/* "PREFIX-HASH", the hash being of the public key: the same key asks under the same name, however often, and
 * another one under another. Cut where the prefix is too long. */
BYOH_MUST_CHECK int byoh_csr_name(const char *prefix, const struct byoh_buffer *key, char ret[BYOH_CSR_NAME_SIZE],
				  struct byoh_error *err);

/* The object to be created, JSON, appended; for a client's certificate. */
BYOH_MUST_CHECK int byoh_csr_object(const char *name, const char *signer, const struct byoh_buffer *request,
				    struct byoh_buffer *ret, struct byoh_error *err);

enum byoh_csr_phase {
	BYOH_CSR_PENDING, /* nobody has decided, or the certificate is not there yet */
	BYOH_CSR_ISSUED,
	BYOH_CSR_DENIED,
	BYOH_CSR_FAILED, /* approved, and the signer refuses */
};

struct byoh_csr_state {
	enum byoh_csr_phase phase;
	bool approved;
	char *message;			/* of who denied or failed; printable; NULL: none */
	struct byoh_buffer certificate; /* PEM, where issued */
};

void byoh_csr_state_release(struct byoh_csr_state *state);
#define CLEANUP_CSR_STATE __attribute__((cleanup(byoh_csr_state_release)))

/* What the API server says about it. BYOH_ERROR_FORMAT. */
BYOH_MUST_CHECK int byoh_csr_state_parse(const char *answer, size_t size, struct byoh_csr_state *ret,
					 struct byoh_error *err);

struct byoh_validity {
	uint64_t from, until; /* seconds since 1970 */
};

/* Is the first certificate of pem for that key and that common name? Then its validity; else -EKEYREJECTED. */
BYOH_MUST_CHECK int byoh_csr_check_certificate(const struct byoh_buffer *pem, const struct byoh_buffer *key,
					       const char *common_name, struct byoh_validity *ret,
					       struct byoh_error *err);

/* Has four fifths of its time gone by, or has it not begun? */
bool byoh_validity_is_due(const struct byoh_validity *validity, uint64_t now);

#endif
