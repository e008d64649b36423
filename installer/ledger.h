/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: /var/lib/byoh/ledger, what stood on the host before the first install, for all that any
 * transaction since has changed, and what was written last. A journal tells how to undo one run; the ledger
 * tells how to give the host back, and whether a file was changed by somebody else since. Written by every
 * transaction as its last file. Format: docs/journal.md.
 */
#ifndef BYOH_INSTALLER_LEDGER_H
#define BYOH_INSTALLER_LEDGER_H

#include "installer/actions/before.h"
#include "installer/host.h"
#include "installer/lock.h"

#define BYOH_LEDGER_PATH BYOH_HOME "/ledger"
#define BYOH_LEDGER_MAX_SIZE ((size_t)32 << 20)

/* What tells a file that nobody touched, without reading it: every write and every chmod moves ctime. */
struct byoh_stamp {
	uint64_t inode, size, changed_seconds, changed_nanoseconds;
};

struct byoh_origin {
	struct byoh_before before; /* at the first change of all; its before-image is that of its number */
	uint64_t journal;	   /* whose before-images hold it */
	char *step;		   /* that changed it last */
	bool was_written;	   /* a file that stands there by our doing */
	struct byoh_digest written; /* of its bytes */
	struct byoh_stamp stamp;   /* zero where unknown */
};

struct byoh_ledger {
	size_t count;
	struct byoh_origin *origins; /* oldest first */
};

/* *ret is empty where there is no ledger. */
BYOH_MUST_CHECK int byoh_ledger_read(const struct byoh_host *host, struct byoh_ledger **ret,
				     struct byoh_error *err);
/* What to do about one that is damaged or lost. */
void byoh_ledger_remedy(struct byoh_error *err);
/* Pure. BYOH_ERROR_SYSTEM with -EBADMSG for a damaged one. */
BYOH_MUST_CHECK int byoh_ledger_parse(const char *bytes, size_t size, struct byoh_ledger **ret,
				      struct byoh_error *err);
BYOH_MUST_CHECK int byoh_ledger_write(const struct byoh_ledger *ledger, struct byoh_buffer *ret,
				      struct byoh_error *err);
void byoh_ledger_free(struct byoh_ledger *ledger);
void byoh_ledger_freep(struct byoh_ledger **ledger);
#define CLEANUP_LEDGER __attribute__((cleanup(byoh_ledger_freep)))

/* NULL if nothing of ours was ever there. Files, links and removals share their names. ledger may be NULL. */
struct byoh_origin *byoh_ledger_find(const struct byoh_ledger *ledger, enum byoh_action_kind kind,
				     const char *subject);
/* Takes before's contents. Only the first of a subject is kept: later ones were our own doing. */
BYOH_MUST_CHECK int byoh_ledger_add(struct byoh_ledger *ledger, struct byoh_before *before,
				    uint64_t journal, const char *step, struct byoh_error *err);
void byoh_ledger_drop(struct byoh_ledger *ledger, enum byoh_action_kind kind, const char *subject);

/* Of a file's bytes or a link's target. */
BYOH_MUST_CHECK int byoh_digest_beneath(int root_fd, const char *path, struct byoh_digest *ret,
					struct byoh_error *err);
/* The stamp of a file as it stands; zero if it cannot be looked at. */
struct byoh_stamp byoh_stamp_of(int root_fd, const char *path);
bool byoh_stamp_equal(const struct byoh_stamp *a, const struct byoh_stamp *b);
/* Where the before-image of an origin lies. */
void byoh_origin_image(const struct byoh_origin *origin, char ret[static 96]);
/* Does a file stand there whose bytes are neither what we wrote last nor absent? 1, 0 or negative. */
BYOH_MUST_CHECK int byoh_origin_is_changed(const struct byoh_host *host, const struct byoh_origin *origin,
					   struct byoh_error *err);

#endif
