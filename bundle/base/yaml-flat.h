/* SPDX-License-Identifier: Apache-2.0 */
/* The one kind of text that is read by the thousand: a journal's record. libyaml makes and clears 100 KiB of
 * buffers for each document, which took half of the time of a run that had little else to do. */
#ifndef BYOH_BASE_YAML_FLAT_H
#define BYOH_BASE_YAML_FLAT_H

#include "bundle/base/yaml.h"

/* The same tree that libyaml would give for one line of JSON as we write it, {"key": "text", "key": 1}, of plain
 * ASCII with nothing escaped. NULL for everything else, errors included: those are libyaml's to judge. The
 * caller frees it as any node. */
struct byoh_yaml_node *byoh_yaml_read_flat(const char *text, size_t size);

#endif
