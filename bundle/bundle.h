/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a bundle: open, authenticate, then one pass over its bytes. The order is the promise: nothing
 * of the manifest is looked at before its signature holds, nothing of the index before the manifest
 * binds it, and no stored byte reaches a decoder before its block's digest holds.
 */
#ifndef BYOH_BUNDLE_BUNDLE_H
#define BYOH_BUNDLE_BUNDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/digest.h"
#include "bundle/base/error.h"
#include "bundle/index.h"
#include "bundle/manifest.h"
#include "bundle/reader.h"
#include "bundle/trust.h"

struct byoh_bundle; /* an open bundle; owns its descriptor, manifest and index */

/* Opens a .bundle or a .run (or any ELF executable that names its bundle), reads its header and checks
 * the superblock. Nothing in it is believed yet. -ENODATA with a clear message for an executable
 * without a bundle behind it. */
BYOH_MUST_CHECK int byoh_bundle_open(const char *path, struct byoh_bundle **ret, struct byoh_error *err);
/* The same where path may name a slice (X.bundle.001): the others lie beside it. */
BYOH_MUST_CHECK int byoh_bundle_open_any(const char *path, struct byoh_bundle **ret, struct byoh_error *err);
/* The same for a descriptor, which the bundle takes on success. name stands in messages. */
BYOH_MUST_CHECK int byoh_bundle_open_fd(int fd, const char *name, struct byoh_bundle **ret,
					struct byoh_error *err);
/* The same for bytes from anywhere; the reader is the bundle's on success. */
BYOH_MUST_CHECK int byoh_bundle_open_reader(struct byoh_reader *reader, const char *name,
					    struct byoh_bundle **ret, struct byoh_error *err);
void byoh_bundle_free(struct byoh_bundle *bundle);
void byoh_bundle_freep(struct byoh_bundle **bundle);
#define CLEANUP_BUNDLE __attribute__((cleanup(byoh_bundle_freep)))

/* SHA-256 of the manifest's bytes: the bundle's id. */
const struct byoh_digest *byoh_bundle_id(const struct byoh_bundle *bundle);
const char *byoh_bundle_name(const struct byoh_bundle *bundle);
/* Where the bundle begins in the file: 0, or behind the executable. */
uint64_t byoh_bundle_offset(const struct byoh_bundle *bundle);
/* Length of the bundle from its first frame, superblock included. */
uint64_t byoh_bundle_size(const struct byoh_bundle *bundle);
/* Lengths of what stands before the payload: superblock, signatures, manifest, index. */
uint64_t byoh_bundle_header_size(const struct byoh_bundle *bundle);
const struct byoh_signature *byoh_bundle_signatures(const struct byoh_bundle *bundle, size_t *ret_count);

/* Adds the keys that signed the file, which says nothing about who they are. */
BYOH_MUST_CHECK int byoh_bundle_add_signers(const struct byoh_bundle *bundle, struct byoh_keyring *keyring,
					    struct byoh_error *err);

/* Every signature in the file must hold, and `threshold` distinct keys of the keyring must be among
 * them; then the manifest and the index are read. BYOH_ERROR_TRUST or BYOH_ERROR_FORMAT. */
BYOH_MUST_CHECK int byoh_bundle_authenticate(struct byoh_bundle *bundle, const struct byoh_keyring *keyring,
					     unsigned int threshold, struct byoh_error *err);

/* For the publisher's side, about to sign or to compare: every signature that is there must hold, there may be
 * none, and nobody has to be trusted. Then the manifest and the index are read. */
BYOH_MUST_CHECK int byoh_bundle_examine(struct byoh_bundle *bundle, struct byoh_error *err);

/* NULL before byoh_bundle_authenticate or byoh_bundle_examine succeeded. Borrowed. */
const struct byoh_manifest *byoh_bundle_manifest(const struct byoh_bundle *bundle);
const struct byoh_index *byoh_bundle_index(const struct byoh_bundle *bundle);

struct byoh_progress {
	void (*report)(void *context, uint64_t done, uint64_t total); /* may be NULL; any thread, one at a time */
	void *context;
	const atomic_bool *cancel; /* may be NULL; when it turns true the pass ends with -EINTR */
};

/* Reads every stored byte once and checks its block, and the executable in front of a .run. threads 0
 * means one a core. */
BYOH_MUST_CHECK int byoh_bundle_check(struct byoh_bundle *bundle, unsigned int threads,
				      const struct byoh_progress *progress, struct byoh_error *err);

#define BYOH_UNPACK_SKIP (-1000) /* no errno is that large */

struct byoh_unpack {
	/* Opens the regular file that takes file's bytes (O_WRONLY, new, empty), or returns
	 * BYOH_UNPACK_SKIP or a negative errno. Called once a file, by any thread. The descriptor is
	 * closed by the unpacker when the last byte is in. */
	int (*open)(void *context, const struct byoh_file *file, struct byoh_error *err);
	/* Checked stored bytes in file order, offset from the start of the payload. May be NULL. */
	int (*stored)(void *context, uint64_t offset, const void *bytes, size_t size,
		      struct byoh_error *err);
	void *context;
	struct byoh_progress progress;
	unsigned int threads; /* decoders; 0: by cores and memory */
	/* The rest may be left out. One a frame: whether any file of it is asked for; the others are read for
	 * `stored` alone, or not at all. Whole files: all frames of one, or none. */
	const bool *decode;
	/* Where the file's bytes begin in what open gave; without it at 0. */
	uint64_t (*place)(void *context, const struct byoh_file *file);
	bool check_digests; /* of all files; those that build on a base are checked in any case */
	int scratch_fd;	    /* a folder on a disk: what a delta builds on is unpacked there, into files without names */
};

/* One sequential read of the payload: check, decode, write. Directories and links are the caller's. A delta needs
 * its base (byoh_bundle_set_base) for its prefixed frames. */
BYOH_MUST_CHECK int byoh_bundle_unpack(struct byoh_bundle *bundle, const struct byoh_unpack *unpack,
				       struct byoh_error *err);

/* Does it hold only what a base release has not? Its signature, index and blocks can be checked all the same. */
bool byoh_bundle_is_delta(const struct byoh_bundle *bundle);
/* The release that a delta builds on, or another one with the same files, authenticated; the delta's on success.
 * -ESTALE (BYOH_ERROR_PREFLIGHT) where it lacks a file, which is named. */
BYOH_MUST_CHECK int byoh_bundle_set_base(struct byoh_bundle *bundle, struct byoh_bundle *base,
					 struct byoh_error *err);
const struct byoh_bundle *byoh_bundle_base(const struct byoh_bundle *bundle);
/* Fails, and says to take a full one. */
BYOH_MUST_CHECK int byoh_bundle_lacks_base(const struct byoh_bundle *bundle, struct byoh_error *err);

/* The bytes of one regular file, decoded into memory (small files: the SBOM); -EFBIG over max. */
BYOH_MUST_CHECK int byoh_bundle_read(struct byoh_bundle *bundle, const char *path, size_t max,
				     struct byoh_buffer *ret, struct byoh_error *err);

/* Where its bytes come from. Borrowed. */
const struct byoh_reader *byoh_bundle_reader(const struct byoh_bundle *bundle);
/* The header's bytes (superblock to index), for a copy of the bundle. Borrowed. */
const void *byoh_bundle_header(const struct byoh_bundle *bundle);

#endif
