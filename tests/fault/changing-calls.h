/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that change something in a file system or in the running system, and whether one that a
 * traced thread is about to make is such a change. */
#ifndef BYOH_TESTS_FAULT_CHANGING_CALLS_H
#define BYOH_TESTS_FAULT_CHANGING_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct changing_call; /* a row of the table */

struct pending_call { /* what a stopped thread is about to do */
	pid_t thread;
	long number;
	uint64_t arguments[6];
};

/* The numbers of all rows, for a filter that stops at nothing else. */
size_t changing_call_numbers(const long **ret_numbers);

/* NULL if it changes nothing: a file opened to be read, bytes for a pipe or a terminal, the command's own
 * output. */
const struct changing_call *changing_call_find(const struct pending_call *call);
/* Does it need room that a full disk does not have? */
bool changing_call_allocates(const struct changing_call *row, const struct pending_call *call);
/* "renameat /a/b /a/c" */
void changing_call_describe(const struct changing_call *row, const struct pending_call *call, char *ret,
			    size_t size);

#endif
