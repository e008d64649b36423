/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle in slices: NAME.001, NAME.002, ... are byte ranges of the file NAME, all but the last of one
 * length (docs/bundle-format.md, "Slices"). They lie in one folder or several, and not all need be there at
 * once. Nothing about them is signed; the blocks of the index tell which bytes are good.
 */
#ifndef BYOH_BUNDLE_SLICES_H
#define BYOH_BUNDLE_SLICES_H

#include "bundle/reader.h"

#define BYOH_SLICES_MAX 999
#define BYOH_SLICES_FOLDERS_MAX 16
/* The largest file that FAT32 takes. */
#define BYOH_SLICE_SIZE_MAX (((uint64_t)4 << 30) - 1)
#define BYOH_SLICE_SIZE_MIN ((uint64_t)64 << 10)

/* Bytes of an earlier run, which stand in for slices that are away: [start, start + size) of the whole. */
struct byoh_slices_kept {
	int fd;		 /* borrowed; -1: there are none */
	uint64_t size;
	uint64_t start;	 /* where the bundle begins in the whole */
	uint64_t length; /* of each slice but the last */
};

struct byoh_slices_input {
	const char *const *folders; /* in the order in which they are looked into */
	size_t folder_count;
	const char *name;		     /* of the whole: "X.bundle" */
	const struct byoh_slices_kept *kept; /* or NULL */
	/* Asked where the slice `name` is missing: 0 to look again, negative to give up. NULL: give up. No slice is
	 * open meanwhile, so that its medium can be taken away. */
	int (*ask)(void *context, const char *name, struct byoh_error *err);
	void *context;
};

/* Opens nothing yet. Strings are copied. */
BYOH_MUST_CHECK int byoh_slices_open(const struct byoh_slices_input *input, struct byoh_reader **ret,
				     struct byoh_error *err);

/* NAME of "DIR/NAME.001": true for any such path; *ret_length counts the bytes up to that dot. */
bool byoh_slice_is_name(const char *path, size_t *ret_length);
/* The name of the one bundle that folder holds slices of, NULL where it holds none; the caller frees it. -EEXIST
 * for slices of several. */
BYOH_MUST_CHECK int byoh_slices_find(const char *folder, char **ret, struct byoh_error *err);

/* For keeping what came: of a reader that byoh_slices_open made, the length of each slice but the last (0: not
 * known yet), and the bytes that were read before the one that was missing and belong to no whole block. */
uint64_t byoh_slices_length(const struct byoh_reader *reader);
const void *byoh_slices_tail(const struct byoh_reader *reader, uint64_t *ret_offset, size_t *ret_size);
/* Has anything of what was kept been read? */
bool byoh_slices_used_kept(const struct byoh_reader *reader);
const char *byoh_slices_name(const struct byoh_reader *reader);
bool byoh_reader_is_slices(const struct byoh_reader *reader);
/* What is kept may stand in from here on; lent as in the input. */
void byoh_slices_use_kept(struct byoh_reader *reader, const struct byoh_slices_kept *kept);

/* Cuts file into folder/NAME.001 and so on, each of at most size bytes, synced; *ret_count may be NULL. Refuses
 * where slices of that name lie already. */
BYOH_MUST_CHECK int byoh_slices_cut(const char *file, const char *folder, uint64_t size, size_t *ret_count,
				    struct byoh_error *err);

#endif
