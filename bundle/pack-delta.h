/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into which frame of a delta. Files that the base has too cost a few bytes for each block of theirs; those
 * that changed have their old selves as prefix, by path, by name or by likeness; the rest are packed as ever.
 */
#ifndef BYOH_BUNDLE_PACK_DELTA_H
#define BYOH_BUNDLE_PACK_DELTA_H

#include "bundle/base-files.h"
#include "bundle/group.h"
#include "bundle/pack.h"

/* Groups whose extents borrow their paths from the base's index, and the files that they mean. */
BYOH_MUST_CHECK int byoh_pack_delta_group(const struct byoh_pack *pack, struct byoh_groups *ret,
					  struct byoh_base_files **ret_files, struct byoh_error *err);

#endif
