/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a host's joining is: what an API server answers to the question for this host's certificate request, and
 * what a person is told of it. Pure.
 */
#ifndef BYOH_INSTALLER_JOIN_ANSWER_H
#define BYOH_INSTALLER_JOIN_ANSWER_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

enum byoh_request_state {
	BYOH_REQUEST_NONE = 0, /* there is none */
	BYOH_REQUEST_PENDING,
	BYOH_REQUEST_APPROVED, /* and the certificate not made yet */
	BYOH_REQUEST_ISSUED,
	BYOH_REQUEST_DENIED,
	BYOH_REQUEST_FAILED,
	BYOH_REQUEST_FOREIGN, /* it has our name, and another's key */
};

/* certificates.k8s.io/v1: metadata.name, spec, status.conditions, status.certificate */
struct byoh_join_request {
	enum byoh_request_state state;
	char name[254];
	char created[32]; /* RFC 3339 in UTC: compares as text */
	char reason[256]; /* why denied or failed, as the cluster says; printable */
	char denied[254]; /* one before it that was: kubelets ask again at once, under another name */
};

/* Which request is this host's. */
struct byoh_request_wanted {
	const char *signer;
	const char *common_name;
	const char *username; /* who made it; NULL: unknown */
	const struct byoh_buffer *key; /* PEM, private: that it is made with; NULL or empty: unknown */
};

/* One request, or a list of which the newest wanted one is taken. */
BYOH_MUST_CHECK int byoh_request_find(const char *text, size_t size, const struct byoh_request_wanted *wanted,
				  struct byoh_join_request *ret, struct byoh_error *err);

enum byoh_join_reason {
	BYOH_JOIN_JOINED = 0,
	BYOH_JOIN_STARTED,	/* nobody has looked */
	BYOH_JOIN_NO_CREDENTIALS, /* server, CA or token are still missing */
	BYOH_JOIN_NO_REQUEST,	/* the cluster has none of this host's */
	BYOH_JOIN_FOREIGN,	/* one of an earlier life of this host has its name */
	BYOH_JOIN_UNAPPROVED,
	BYOH_JOIN_UNSIGNED,	/* approved, and its certificate has not come */
	BYOH_JOIN_DENIED,
	BYOH_JOIN_SIGNER_FAILED,
	BYOH_JOIN_TOKEN,	/* unknown or expired: 401 */
	BYOH_JOIN_RIGHTS,	/* 403 */
	BYOH_JOIN_UNREACHABLE,
	BYOH_JOIN_STRANGER,	/* the server does not prove itself by the CA */
	BYOH_JOIN_CLOCK,
	BYOH_JOIN_SERVER,	/* it answers, but not this question */
	BYOH_JOIN_STALE,	/* the agent goes by an old kubeconfig and does not look at the token */
};

struct byoh_join_look {
	enum byoh_join_reason reason;
	bool agent; /* whose request it is: the agent's, else the kubelet's */
	struct byoh_join_request csr;
	char detail[512]; /* an error, or what is wrong with the old kubeconfig */
};

/* What a failed request or a status other than 200 means. detail is filled from err. */
void byoh_join_look_fail(struct byoh_join_look *look, int rc, const struct byoh_error *err);
void byoh_join_look_status(struct byoh_join_look *look, unsigned int status);
/* A 200's body. */
BYOH_MUST_CHECK int byoh_join_look_answer(struct byoh_join_look *look, const struct byoh_buffer *body,
					  const struct byoh_request_wanted *wanted, struct byoh_error *err);

/* Will more time bring another answer? */
bool byoh_join_may_change(enum byoh_join_reason reason);
/* "joined", "pending", "denied", "failed": the field "join". */
const char *byoh_join_word(enum byoh_join_reason reason);
/* The field "joinReason"; NULL for joined. Both are stable, and in docs/join.md. */
const char *byoh_join_reason_word(enum byoh_join_reason reason);
/* One line that begins with "join: ", with what to do; for joined "joined: ...". */
BYOH_MUST_CHECK int byoh_join_sentence(const struct byoh_join_look *look, struct byoh_buffer *ret,
				       struct byoh_error *err);
/* `kubectl certificate approve NAME` where that is what it waits for; else empty. */
BYOH_MUST_CHECK int byoh_join_approve_command(const struct byoh_join_look *look, struct byoh_buffer *ret,
					      struct byoh_error *err);

#endif
