/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bundle's bytes come from: a file, slices of one, a stream. Positions are those of the whole file,
 * an executable in front included. The header is read first and kept by whoever opens the bundle; what
 * follows is read once, in order.
 */
#ifndef BYOH_BUNDLE_READER_H
#define BYOH_BUNDLE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

#define BYOH_READER_SIZE_UNKNOWN UINT64_MAX
#define BYOH_READER_NAME_MAX 1024

struct byoh_reader;

struct byoh_reader_ops {
	/* Exactly size bytes, or a failure: -ENODATA where the bytes end, -ENOMEDIUM (BYOH_ERROR_MEDIUM)
	 * where the next slice is missing. */
	int (*read)(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
		    struct byoh_error *err);
	/* The superblock has told how long the whole is. May be NULL. */
	int (*expect)(struct byoh_reader *reader, uint64_t whole, struct byoh_error *err);
	/* The bundle begins at start: what stands in front may be asked for again, the rest only forwards. May be
	 * NULL. */
	int (*settle)(struct byoh_reader *reader, uint64_t start, struct byoh_error *err);
	/* Which file or files hold these bytes, for a message. NULL: the bundle's name says it. */
	void (*name)(const struct byoh_reader *reader, uint64_t offset, size_t size,
		     char ret[BYOH_READER_NAME_MAX]);
	void (*free)(struct byoh_reader *reader);
};

struct byoh_reader { /* the first member of each kind's own struct */
	const struct byoh_reader_ops *ops;
	uint64_t size;	/* of the whole, or BYOH_READER_SIZE_UNKNOWN */
	uint64_t start; /* where the bundle begins, if that is known already; 0: its first bytes tell */
	bool in_order;	/* payload has to be read forwards, by one thread at a time */
};

void byoh_reader_free(struct byoh_reader *reader);
void byoh_reader_freep(struct byoh_reader **reader);
#define CLEANUP_READER __attribute__((cleanup(byoh_reader_freep)))

/* A regular file; the descriptor is the reader's on success. */
BYOH_MUST_CHECK int byoh_reader_of_fd(int fd, struct byoh_reader **ret, struct byoh_error *err);
/* The same for a name. */
BYOH_MUST_CHECK int byoh_reader_of_file(const char *path, struct byoh_reader **ret, struct byoh_error *err);

BYOH_MUST_CHECK int byoh_reader_read(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
				     struct byoh_error *err);

#endif
