/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between byoh_mirror_* and its helper: the caller sends an offset (u64), and gets a descriptor with one byte. On
 * that, the child that serves the connection writes records until it ends.
 */
#ifndef BYOH_INSTALLER_NET_MIRROR_PROTOCOL_H
#define BYOH_INSTALLER_NET_MIRROR_PROTOCOL_H

#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_MIRROR_RECORD_MAX ((uint32_t)1 << 20)

enum byoh_mirror_record_type {
	BYOH_MIRROR_HEAD = 1, /* number: length of the whole, or UINT64_MAX */
	BYOH_MIRROR_DATA,     /* size bytes follow; none: it is passing over what came before, and is well */
	BYOH_MIRROR_END,      /* all that the server had */
	BYOH_MIRROR_FAILURE,  /* size bytes of text follow; number: enum byoh_mirror_failure */
};

enum byoh_mirror_failure {
	BYOH_MIRROR_FINAL,   /* no other try would do better */
	BYOH_MIRROR_BROKEN,  /* may pass */
	BYOH_MIRROR_NOBODY,  /* nobody answers: passes if somebody did before */
	BYOH_MIRROR_STRANGER /* not who the CA says */
};

struct byoh_mirror_record {
	uint32_t type, size;
	uint64_t number;
};

struct byoh_mirror_job {
	const char *url;
	const struct byoh_buffer *ca; /* PEM; NULL: the host's store */
	uint64_t offset;
	int fd; /* where records go */
};

/* In the child, to its end. */
void byoh_mirror_perform(const struct byoh_mirror_job *job, int parent);
/* The helper itself. Never returns. */
_Noreturn void byoh_mirror_serve(int fd, int parent, const char *url, const struct byoh_buffer *ca);

#endif
