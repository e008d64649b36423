/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Did a medium keep what was written to it? Read back past the page cache, which would answer with what this
 * computer remembers: O_DIRECT where the file system allows it, else after the pages were dropped.
 */
#ifndef BYOH_BUNDLE_READ_BACK_H
#define BYOH_BUNDLE_READ_BACK_H

#include "bundle/bundle.h"

#define BYOH_READ_BACK_CHUNK ((size_t)1 << 20)

/* Where the bytes come from; like pread, with a buffer that is aligned to pages and has room for a whole chunk. */
struct byoh_read_at {
	ssize_t (*read)(void *context, void *ret, size_t size, uint64_t offset);
	void *context;
};

struct byoh_raw_file {
	int fd;
	bool direct; /* still; false: pages were dropped instead */
};
/* A written and synced file, for reading past the cache. *ret->fd is the caller's to close. */
BYOH_MUST_CHECK int byoh_raw_open(int directory, const char *name, struct byoh_raw_file *ret,
				  struct byoh_error *err);
/* Fits byoh_read_at.read with a struct byoh_raw_file as context. */
ssize_t byoh_raw_read(void *file, void *ret, size_t size, uint64_t offset);

/* Compares size bytes of source_fd with what the medium gives; *ret_digest is that of the medium's bytes. -EIO, and
 * *ret_offset says where, for the first byte that differs, is missing or cannot be read. done counts bytes. */
BYOH_MUST_CHECK int byoh_read_back(int source_fd, const struct byoh_read_at *medium, uint64_t size,
				   struct byoh_digest *ret_digest, uint64_t *ret_offset,
				   void (*done)(void *context, uint64_t bytes), void *context,
				   struct byoh_error *err);

#endif
