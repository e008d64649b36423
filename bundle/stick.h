/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files onto a mounted stick, so that it is known what lies there. All of them are written before any is read
 * back: a stick that is smaller than it says overwrites its beginning, and only then shows it. Names appear when
 * everything has been found good.
 */
#ifndef BYOH_BUNDLE_STICK_H
#define BYOH_BUNDLE_STICK_H

#include "bundle/bundle.h"
#include "bundle/medium.h"

#define BYOH_RECEIPT_NAME "byoh-receipt.json"

enum byoh_stick_kind { BYOH_STICK_FILE, BYOH_STICK_SLICE, BYOH_STICK_BUNDLE };

struct byoh_stick_file {
	const char *path; /* the source, borrowed */
	const char *name; /* on the stick; part of path */
	enum byoh_stick_kind kind; /* by the name: .run and .bundle have to be bundles, X.bundle.001 is a slice of one */
	uint64_t size;
	struct byoh_digest digest;   /* of what came back from the stick */
	struct byoh_bundle *bundle;  /* as read from the stick, of a slice what it is a part of; NULL: none */
	int fd;			     /* of the source; -1: closed */
	bool direct;		     /* read past the cache by O_DIRECT */
};

struct byoh_stick {
	const char *folder;		   /* where it is mounted, borrowed */
	const struct byoh_keyring *keys;   /* one of them has to have signed; empty: any */
	struct byoh_stick_file *files;
	size_t count;
	struct byoh_medium medium;
	int directory;
	uint64_t written;		   /* when, seconds since 1970 */
	/* "Copying", "Reading back": before each pass; then bytes of it. progress.context is for both. */
	void (*phase)(void *context, const char *label);
	struct byoh_progress progress;
	uint64_t done, total;
};

/* Opens and checks sources and stick: names, sizes, and every byte of the bundles. Writes nothing. */
BYOH_MUST_CHECK int byoh_stick_open(struct byoh_stick *stick, const char *const *paths, size_t count,
				    struct byoh_error *err);
/* Looks for room, copies, reads back, checks, gives the names, writes the receipt. A file that is not good gets no
 * name. */
BYOH_MUST_CHECK int byoh_stick_write(struct byoh_stick *stick, struct byoh_error *err);
void byoh_stick_release(struct byoh_stick *stick);

/* The receipt, as it lies on the stick, and for people. */
BYOH_MUST_CHECK int byoh_stick_receipt(const struct byoh_stick *stick, struct byoh_buffer *ret,
				       struct byoh_error *err);
BYOH_MUST_CHECK int byoh_stick_tell(const struct byoh_stick *stick, struct byoh_buffer *ret,
				    struct byoh_error *err);

#endif
