/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BYOH_TESTS_FAULT_COPY_TREE_H
#define BYOH_TESTS_FAULT_COPY_TREE_H

/* As `cp -a`: modes, owners, times, attributes, links, hard links to each other. The copy must not be there
 * yet. Knows folders, files and symbolic links; ends the program on all else, and on any failure. */
void copy_tree(const char *from, const char *to);

#endif
