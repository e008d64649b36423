/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of a CA bundle as a set, and one such set exchanged for another wherever it stands: as PEM, or in
 * base64 as a kubeconfig embeds it. Certificates are told by their bytes, not by how the PEM is broken into lines. Pure.
 */
#ifndef BYOH_INSTALLER_CA_LIST_H
#define BYOH_INSTALLER_CA_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_CA_LIST_MAX 256 /* as byoh_ca_check allows */

struct byoh_ca_list {
	size_t count;
	struct byoh_digest digests[BYOH_CA_LIST_MAX]; /* of the DER */
};

/* What stands in a PEM text beside certificates is skipped, and so is what is none. -E2BIG for too many. */
BYOH_MUST_CHECK int byoh_ca_list_read(const char *pem, size_t size, struct byoh_ca_list *ret,
				      struct byoh_error *err);
bool byoh_ca_list_holds(const struct byoh_ca_list *list, const struct byoh_digest *certificate);

/* Do two PEM texts have a certificate in common? A bundle of a rotation has one with either side of it. */
bool byoh_ca_is_shared(const struct byoh_buffer *a, const struct byoh_buffer *b);

/* The text with every certificate of old taken out where one trusts (PEM by itself, certificate-authority-data), and
 * those of new_ca in their place; all else stays byte for byte. *ret_changed: it is another text now. */
BYOH_MUST_CHECK int byoh_ca_exchange(const char *text, size_t size, const struct byoh_buffer *old,
				     const struct byoh_buffer *new_ca, struct byoh_buffer *ret, bool *ret_changed,
				     struct byoh_error *err);

/* notBefore and notAfter in seconds since 1970 of a PEM text's first certificate; the end that comes first of all of
 * them where whole is set. False if there is none that can be read. */
bool byoh_certificate_times(const char *pem, size_t size, bool whole, uint64_t *ret_begin, uint64_t *ret_end);

#endif
