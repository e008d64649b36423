/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program: no shell, a clean environment (PATH, LC_ALL=C, no proxies), output caught. */
#ifndef BYOH_INSTALLER_RUN_H
#define BYOH_INSTALLER_RUN_H

#include <stdatomic.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

struct byoh_run {
	const char *const *argv; /* argv[0] is looked up in PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin */
	const char *input;	 /* bytes for stdin; NULL: /dev/null */
	size_t input_size;
	int input_fd;		 /* instead of input, if > 0: becomes stdin */
	const atomic_bool *cancel;    /* may be NULL; once true the program is killed: BYOH_ERROR_INTERRUPTED */
	unsigned int timeout_seconds; /* 0: 300; then SIGKILL and -ETIMEDOUT */
	struct byoh_buffer *output;   /* stdout, and stderr where errors is NULL; NULL: thrown away */
	struct byoh_buffer *errors;   /* stderr apart */
};

/* 0 and the exit status in *ret_status (128 + signal if killed). Output is cut at 1 MiB. Negative only if
 * the program could not be started, waited for, or timed out. */
BYOH_MUST_CHECK int byoh_run(const struct byoh_run *run, int *ret_status, struct byoh_error *err);

/* byoh_run that also fails on a status other than 0, with the last line of the output in the message. */
BYOH_MUST_CHECK int byoh_run_checked(const struct byoh_run *run, struct byoh_error *err);
/* The same for a plain argument list, ended by NULL. */
BYOH_MUST_CHECK int byoh_run_simple(struct byoh_error *err, const char *program, ...);

#endif
