/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that does what parses and decompresses a bundle's bytes, confined (bundle/base/confine.h), while this process
 * keeps journal, host and the rights to change it.
 */
#ifndef BYOH_INSTALLER_WORKER_H
#define BYOH_INSTALLER_WORKER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

struct byoh_worker;

struct byoh_work {
	int (*run)(void *context, struct byoh_worker *worker, struct byoh_error *err); /* in the worker */
	void *context;
	const int *folders; /* below which it may write; what is open already it may write in any case */
	size_t folder_count;
	const atomic_bool *cancel; /* passed on as SIGINT; may be NULL */
	/* In this process. May be NULL. */
	void (*bytes)(void *context, uint64_t done, uint64_t total);
	void (*note)(void *context, const char *message);
	void *observer;
};

/* What run returned. The worker ends with this process, whatever ends it. The caller has one thread. */
BYOH_MUST_CHECK int byoh_worker_run(const struct byoh_work *work, struct byoh_error *err);

/* In the worker, by any thread: context is the worker. */
void byoh_worker_bytes(void *context, uint64_t done, uint64_t total);

#endif
