/* SPDX-License-Identifier: Apache-2.0 */
/* A system that has just been unpacked onto a disk becomes this machine's own: names, accounts, network, and nothing that
 * two machines may not share. */
#ifndef BYOH_INSTALLER_DISK_TARGET_H
#define BYOH_INSTALLER_DISK_TARGET_H

#include "installer/config.h"
#include "installer/host.h"

struct byoh_target {
	int root_fd; /* of the system on the disk */
	const struct byoh_config *config;
	const struct byoh_machine_identity *identity;
	const char *fstab, *id; /* of this installation */
};
BYOH_MUST_CHECK int byoh_target_settle(const struct byoh_target *target, struct byoh_error *err);

/* What `byoh-install install --root` on it is to know of the machine, which it cannot see; taken away afterwards. */
BYOH_MUST_CHECK int byoh_target_lend_identity(const struct byoh_target *target, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_target_take_identity(const struct byoh_target *target, struct byoh_error *err);

#endif
