/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: what happened, to which file, and what to do next, carried up as one sentence.
 *
 * Every function that can fail returns 0 or a negative errno and takes a struct byoh_error as its
 * last argument. The error is written only on failure and printed once, by the verb. Functions on
 * the way up wrap it with what they were doing.
 */
#ifndef BYOH_BASE_ERROR_H
#define BYOH_BASE_ERROR_H

#include <stddef.h>

#define BYOH_MUST_CHECK __attribute__((warn_unused_result))
#define BYOH_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Why it failed, in the terms that decide the exit code of a verb. */
enum byoh_error_kind {
	BYOH_ERROR_NONE = 0,
	BYOH_ERROR_SYSTEM,	/* an operation failed: disk, memory, network, a program */
	BYOH_ERROR_USAGE,	/* the command line */
	BYOH_ERROR_CONFIG,	/* a configuration or a spec: the operator's or publisher's text */
	BYOH_ERROR_FORMAT,	/* a bundle is damaged, hostile or of an unknown version */
	BYOH_ERROR_TRUST,	/* a bundle is not signed by whom the host trusts, or policy refuses it */
	BYOH_ERROR_PREFLIGHT,	/* the host is not fit */
	BYOH_ERROR_INTERRUPTED, /* the operator stopped it */
	BYOH_ERROR_UNRESTORED,	/* failed, and the host could not be brought back wholly */
	BYOH_ERROR_MEDIUM,	/* the next medium is missing */
};

struct byoh_error {
	enum byoh_error_kind kind;
	int errnum;		/* positive errno, 0 if none applies */
	char message[1024];	/* always terminated; a longer message is cut at the end */
};

#define BYOH_ERROR_INIT { BYOH_ERROR_NONE, 0, "" }

/* Sets kind and message; returns -errnum (-EINVAL if errnum is 0), so that callers write
 * `return byoh_fail(err, KIND, EBADMSG, "...")`. err may be NULL. */
int byoh_fail(struct byoh_error *err, enum byoh_error_kind kind, int errnum, const char *fmt, ...)
	BYOH_PRINTF(4, 5);

/* The same for a failed system call: BYOH_ERROR_SYSTEM, errno taken as it stands, ": strerror" added. */
int byoh_fail_errno(struct byoh_error *err, const char *fmt, ...) BYOH_PRINTF(2, 3);

/* Puts "what was being done: " in front of the message; returns rc unchanged. */
int byoh_error_wrap(struct byoh_error *err, int rc, const char *fmt, ...) BYOH_PRINTF(3, 4);

/* Adds "; remedy" behind the message unless it has been cut. */
void byoh_error_remedy(struct byoh_error *err, const char *fmt, ...) BYOH_PRINTF(2, 3);

/* Control characters become "?", line ends a space: names from a stick must not steer the terminal, nor
 * write lines that look like ours. */
void byoh_make_printable(char *text);

/* The exit code that design and manual promise for a kind: 1 system, 2 usage and configuration,
 * 3 format and trust, 4 preflight, 5 medium, 6 unrestored. */
int byoh_error_exit_code(const struct byoh_error *err);

#endif
