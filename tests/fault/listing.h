/* SPDX-License-Identifier: Apache-2.0 */
/* A root as text, by the rules of tests/fault/may-differ, which lists what two runs that did the same may
 * write differently. Times of 2020 and later are "new": the trees are prepared with an older one, so that what
 * was put back shows it. */
#ifndef BYOH_TESTS_FAULT_LISTING_H
#define BYOH_TESTS_FAULT_LISTING_H

#include <regex.h>

#include "bundle/base/digest.h"
#include "tests/unit/tree-snapshot.h"

#define LISTING_MAX_ROWS 16

struct listing_row {
	regex_t path, bytes;
	bool left_out;
};

struct listing_table {
	size_t count;
	struct listing_row rows[LISTING_MAX_ROWS];
	struct byoh_hasher *whole; /* of the listing in the making: what its rows leave out */
};

/* Ends the program if that is no table. NULL is an empty one. */
void listing_read_table(const char *path, struct listing_table *ret);

/* A line for each path below folder. ret_whole, unless NULL, is a digest of all that may matter: of the lines,
 * and of every byte of the files in which rows leave out some. */
void listing_make(const char *folder, struct listing_table *table, struct byoh_buffer *ret,
		  struct byoh_digest *ret_whole);

#endif
