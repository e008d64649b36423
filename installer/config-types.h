/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and maps of texts, as a configuration has them. */
#ifndef BYOH_INSTALLER_CONFIG_TYPES_H
#define BYOH_INSTALLER_CONFIG_TYPES_H

#include <stddef.h>

struct byoh_pair {
	char *key, *value;
};

struct byoh_pairs {
	size_t count;
	struct byoh_pair *items;
};

struct byoh_strings {
	size_t count;
	char **items;
};

#endif
