/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the API server on its way to the helper: its nine fields in the order of the struct, each a length
 * (little-endian u32; UINT32_MAX: absent), the bytes and a zero byte. */
#ifndef BYOH_INSTALLER_NET_API_PROTOCOL_H
#define BYOH_INSTALLER_NET_API_PROTOCOL_H

#include "installer/net/api.h"

#define BYOH_API_PATH_MAX 1024
#define BYOH_API_WORD_MAX 16384 /* a token, a certificate, a key */

/* Refuses what would not be one HTTP request, and secrets for a server that is not verified. Both ends check. */
BYOH_MUST_CHECK int byoh_api_request_check(const struct byoh_api_request *request, struct byoh_error *err);

/* Holds tokens and keys: the caller wipes it. */
BYOH_MUST_CHECK int byoh_api_request_pack(const struct byoh_api_request *request, struct byoh_buffer *ret,
					  struct byoh_error *err);

/* What was unpacked; all of it points into the bytes. */
struct byoh_api_unpacked {
	struct byoh_api_request request;
	struct byoh_buffer ca, body; /* not to be released */
};

BYOH_MUST_CHECK int byoh_api_request_unpack(char *bytes, size_t size, struct byoh_api_unpacked *ret,
					    struct byoh_error *err);

/* In the child: connects, shuts itself in, asks. Its parent must be alive. */
BYOH_MUST_CHECK int byoh_api_request_perform(const struct byoh_api_request *request, int parent,
					     unsigned int *ret_status, struct byoh_buffer *ret_body,
					     struct byoh_error *err);

#endif
