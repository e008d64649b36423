/* SPDX-License-Identifier: Apache-2.0 */
/* What tree.c and collect.c share. */
#ifndef BYOH_BUNDLE_TREE_PRIVATE_H
#define BYOH_BUNDLE_TREE_PRIVATE_H

#include "bundle/tree.h"

void byoh_tree_entry_release(struct byoh_tree_entry *entry);
/* Appends an entry and takes what it owns. The tree is in no order until byoh_tree_finish. */
BYOH_MUST_CHECK int byoh_tree_put(struct byoh_tree *tree, struct byoh_tree_entry *entry,
				  struct byoh_error *err);
/* Adds missing parents, sorts, and refuses a path that stands there twice. */
BYOH_MUST_CHECK int byoh_tree_finish(struct byoh_tree *tree, struct byoh_error *err);

#endif
