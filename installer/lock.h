/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run at a time: flock(2) on /var/lib/byoh/lock, which a dead process cannot hold. Whoever takes it
 * makes /var/lib/byoh where it is missing; releasing it takes away what was made and stayed empty.
 */
#ifndef BYOH_INSTALLER_LOCK_H
#define BYOH_INSTALLER_LOCK_H

#include "installer/host.h"

#define BYOH_HOME "/var/lib/byoh" /* 0700: state, journal, before-images and kept releases */

struct byoh_host_lock;

/* -EBUSY names the process that holds it. A process that holds it already gets it again. */
BYOH_MUST_CHECK int byoh_host_lock_take(const struct byoh_host *host, struct byoh_host_lock **ret,
				   struct byoh_error *err);
void byoh_host_lock_free(struct byoh_host_lock *lock);
void byoh_host_lock_freep(struct byoh_host_lock **lock);
#define CLEANUP_HOST_LOCK __attribute__((cleanup(byoh_host_lock_freep)))

/* Was BYOH_HOME not there before the lock was taken? */
bool byoh_host_lock_made_home(const struct byoh_host_lock *lock);
/* Did a killed process leave its lock file behind, or is one at work? */
bool byoh_host_lock_exists(const struct byoh_host *host);

#endif
