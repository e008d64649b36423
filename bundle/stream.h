/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle that comes as a stream: forwards only. An executable in front is kept in memory, since it is looked
 * into before anybody knows where the bundle begins and is checked as a whole; all else is read once.
 */
#ifndef BYOH_BUNDLE_STREAM_H
#define BYOH_BUNDLE_STREAM_H

#include "bundle/reader.h"

#define BYOH_STREAM_FRONT_MAX ((uint64_t)64 << 20) /* a static installer has 6 MB */

struct byoh_stream_source {
	/* Exactly size bytes from offset, which never goes back. *ret_whole may be set to the length of the whole
	 * as soon as it is known; it begins as BYOH_READER_SIZE_UNKNOWN. */
	int (*read)(void *context, void *ret, size_t size, uint64_t offset, uint64_t *ret_whole,
		    struct byoh_error *err);
	void *context; /* borrowed: it outlives the reader */
};

BYOH_MUST_CHECK int byoh_stream_open(const struct byoh_stream_source *source, struct byoh_reader **ret,
				     struct byoh_error *err);

#endif
