/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a system onto a disk that has been chosen: partitions, file systems, the system of the medium, this machine's own
 * settings, the release, the loader. Until the very end the disk is labelled as unfinished, and whatever ends it before
 * that leaves a disk that the next try takes as it is.
 */
#ifndef BYOH_INSTALLER_DISK_LAY_DOWN_H
#define BYOH_INSTALLER_DISK_LAY_DOWN_H

#include "installer/disk/disk-choice.h"
#include "installer/disk/live.h"

struct byoh_lay_down {
	struct byoh_session *session;
	const struct byoh_device *disk;
	const struct byoh_live_config *live;
	/* Asked when the medium has been read, which takes minutes: is disk still the one to take? */
	int (*look_again)(void *context, struct byoh_error *err);
	void *context;
};

/* Progress is told; *ret_id (40 bytes) is the new installation's. */
BYOH_MUST_CHECK int byoh_lay_down(const struct byoh_lay_down *input, char ret_id[40], struct byoh_error *err);
/* What a run that was cut off has left mounted: before the devices are looked at. */
void byoh_lay_down_clear(const struct byoh_host *host);

#endif
