/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program of the bundle needs of the host before it can start: its interpreter and its
 * libraries. Its bytes are there once it is staged, so the transaction asks then, before anything
 * else changes.
 */
#ifndef BYOH_INSTALLER_PREFLIGHT_ELF_H
#define BYOH_INSTALLER_PREFLIGHT_ELF_H

#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_ELF_NEEDS_MAX 128 /* programs with a dozen are rare */
#define BYOH_ELF_NAME_MAX 255

struct byoh_elf_needs {
	const char *interpreter; /* NULL: a static program, a script, or no program at all */
	size_t count;
	const char *libraries[BYOH_ELF_NEEDS_MAX]; /* DT_NEEDED */
	const char *search; /* DT_RUNPATH or DT_RPATH, NULL if none */
};

/* Pure; strings point into bytes. What is no 64-bit little-endian ELF needs nothing.
 * BYOH_ERROR_FORMAT for one whose tables lead astray. */
BYOH_MUST_CHECK int byoh_elf_read_needs(const void *bytes, size_t size, struct byoh_elf_needs *ret,
					struct byoh_error *err);

/* Appends to ret_missing, with commas between, what the file at staged_path (below root_fd) needs
 * and the root does not have; leaves it as it was where nothing is missing. The libraries' own
 * needs are not followed. */
BYOH_MUST_CHECK int byoh_preflight_elf(int root_fd, const char *staged_path,
				       struct byoh_buffer *ret_missing, struct byoh_error *err);

#endif
