/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that gather facts. */
#ifndef BYOH_INSTALLER_HOST_INTERNAL_H
#define BYOH_INSTALLER_HOST_INTERNAL_H

#include "installer/host.h"

/* A small text file without the white space around it; "" where it cannot be read. NULL without
 * memory. */
char *byoh_host_word(int root_fd, const char *path);

/* What only a running host has. */
BYOH_MUST_CHECK int byoh_host_gather_live(struct byoh_host *host, struct byoh_error *err);

/* Container runtimes that are not ours. */
BYOH_MUST_CHECK int byoh_host_gather_runtime(struct byoh_host *host, struct byoh_error *err);

/* The version of an installed package, without its epoch, in the text of dpkg's status file; NULL if
 * it is not installed. Pure. */
char *byoh_host_dpkg_version(const char *status, const char *package);
/* The innermost service in the text of /proc/self/cgroup (cgroups(7)), of either version; NULL if it is in none, or
 * without memory. Pure. */
char *byoh_host_unit_of(const char *cgroup);
/* Text of /proc/swaps. Pure. */
BYOH_MUST_CHECK int byoh_host_parse_swaps(char *text, struct byoh_host *host,
					  struct byoh_error *err);
/* Lines "name mac". Pure. */
BYOH_MUST_CHECK int byoh_host_parse_interfaces(char *text, struct byoh_machine_identity *identity,
					       struct byoh_error *err);

#endif
