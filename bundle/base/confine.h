/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that reads strangers' bytes can do without, taken from it by the kernel: new privileges
 * (no_new_privs), writing outside of some folders (Landlock), programs, other processes, mounts, modules, sockets
 * (seccomp). What is open already stays open.
 */
#ifndef BYOH_BASE_CONFINE_H
#define BYOH_BASE_CONFINE_H

#include "bundle/base/error.h"

/* What this kernel does not have, and the process therefore goes without. */
enum byoh_confine_lack {
	BYOH_CONFINE_NO_LANDLOCK = 1, /* before 5.19, or switched off */
	BYOH_CONFINE_NO_SECCOMP = 2,
};

/* For a process with one thread; those that it starts inherit all of it. Descriptors of folders below which files may
 * be made, written, moved and removed; everything may be read. Returns a set of byoh_confine_lack, or fails. */
BYOH_MUST_CHECK int byoh_confine(const int *folders, size_t count, struct byoh_error *err);

#endif
