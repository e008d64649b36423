/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of the running host, by how their paths begin (proc_pid_mountinfo(5)). */
#ifndef BYOH_INSTALLER_ACTIONS_MOUNTS_H
#define BYOH_INSTALLER_ACTIONS_MOUNTS_H

#include <stdbool.h>

#include "bundle/base/error.h"

/* Unmounts all whose mount point is path, is below it, or begins with it where it ends with "-" or "/";
 * deepest first. What is busy stays, and is the error. */
BYOH_MUST_CHECK int byoh_mounts_release(const char *path, struct byoh_error *err);
/* Fails if anything is mounted at or below path: nothing descends into it then. */
BYOH_MUST_CHECK int byoh_mounts_refuse(const char *path, struct byoh_error *err);
/* How many there are, or negative. */
BYOH_MUST_CHECK int byoh_mounts_count(const char *path, struct byoh_error *err);

/* Does the mount point lie there? Pure. */
bool byoh_mount_is_below(const char *mount_point, const char *path);
/* The fifth field of a line of mountinfo, its octal escapes decoded in place; NULL if there is none. Pure. */
char *byoh_mount_point_of(char *line);

#endif
