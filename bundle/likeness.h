/* SPDX-License-Identifier: Apache-2.0 */
/* How much two files have in common, estimated from samples of their content. */
#ifndef BYOH_BUNDLE_LIKENESS_H
#define BYOH_BUNDLE_LIKENESS_H

#include "bundle/base/error.h"

struct byoh_likeness; /* a sorted set of sampled fingerprints */

/* Reads the file once: about one sample every 4 KiB, chosen by content. Freed by byoh_likeness_free. */
BYOH_MUST_CHECK int byoh_likeness_of_file(const char *path, struct byoh_likeness **ret,
					  struct byoh_error *err);
/* The same for bytes in memory. */
BYOH_MUST_CHECK int byoh_likeness_of_bytes(const void *bytes, size_t size, struct byoh_likeness **ret,
					   struct byoh_error *err);
void byoh_likeness_free(struct byoh_likeness *likeness);

/* The share of the smaller one's samples that the other has too, 0 to 1. */
double byoh_likeness_compare(const struct byoh_likeness *a, const struct byoh_likeness *b);

/* into becomes the union. */
BYOH_MUST_CHECK int byoh_likeness_join(struct byoh_likeness *into, const struct byoh_likeness *from,
				       struct byoh_error *err);

#endif
