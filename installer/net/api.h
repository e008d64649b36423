/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the one API server that this host belongs to, from within the empty network namespace. A helper
 * that was forked before the network was left has a child of its own do each: the child connects, gives up what
 * it may do, loads the filter of every other process here and only then reads what a stranger sends. The first
 * request of a run fixes the server; one to another address is refused with -EACCES.
 */
#ifndef BYOH_INSTALLER_NET_API_H
#define BYOH_INSTALLER_NET_API_H

#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_API_BODY_MAX ((size_t)1 << 20) /* etcd takes no larger object: neither sent nor received */

/* How byoh_outside_api fails, beside -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT, -ECONNRESET and what
 * else connect(2) knows, -EFBIG (the answer exceeds the cap) and -EPROTO (no HTTP, no TLS). */
#define BYOH_API_NAME_UNKNOWN EADDRNOTAVAIL /* the server's name leads to no address */
#define BYOH_API_STRANGER EKEYREJECTED	    /* the server's certificate is not from that CA */
#define BYOH_API_OTHER_NAME EREMCHG	    /* it is, but for other names than the one that was asked for */
#define BYOH_API_CLOCK EKEYEXPIRED	    /* by this host's clock it is not valid yet, or no more */

struct byoh_outside;

struct byoh_api_request {
	const char *server;	      /* https://HOST:PORT */
	const struct byoh_buffer *ca; /* PEM; NULL: whoever answers is believed, and nothing secret may be sent */
	const char *token;	      /* a bearer token, or NULL */
	const char *certificate, *key; /* of a client, PEM texts, or NULL both */
	const char *method;	      /* GET, POST, PUT, PATCH, DELETE */
	const char *path;	      /* "/api/v1/nodes/x?..." */
	const char *content_type;     /* of body; NULL without one */
	const struct byoh_buffer *body; /* or NULL */
};

/* The answer's status, whichever it is, and its body, appended to ret_body (asked for as application/yaml).
 * Tokens and keys stand in no message; the caller wipes its own. A proxy of the environment is not used. */
BYOH_MUST_CHECK int byoh_outside_api(struct byoh_outside *outside, const struct byoh_api_request *request,
				     unsigned int *ret_status, struct byoh_buffer *ret_body,
				     struct byoh_error *err);

#endif
