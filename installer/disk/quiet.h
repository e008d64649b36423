/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a machine's block devices have stopped to come. Controllers and USB scan on their own, and udev's queue
 * says nothing of a disk that has not appeared yet: who chooses while they come chooses by chance.
 */
#ifndef BYOH_INSTALLER_DISK_QUIET_H
#define BYOH_INSTALLER_DISK_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#define BYOH_QUIET_FOR_MS 5000	     /* without a change */
#define BYOH_QUIET_EARLIEST_MS 30000 /* since the kernel started: a RAID controller may be silent until then */
#define BYOH_QUIET_LONGEST_MS 60000  /* of waiting; one that comes and goes for ever keeps nobody from anything */

enum byoh_quiet {
	BYOH_QUIET,
	BYOH_QUIET_NEVER,     /* something still changes */
	BYOH_QUIET_CANCELLED,
};

/* What it sees the world through. */
struct byoh_quiet_world {
	uint64_t (*now)(void *context); /* milliseconds since the kernel started */
	/* A number that is another one when the devices are other ones; false: some are being looked at by udev. */
	bool (*look)(void *context, uint64_t *ret);
	bool (*rest)(void *context); /* for some tenths of a second; false: cancelled */
	void *context;
};
enum byoh_quiet byoh_quiet_await(const struct byoh_quiet_world *world);

/* look() of the system below root_fd: /sys/class/block, and what udev has written of it. */
bool byoh_quiet_look(int root_fd, uint64_t *ret);

#endif
