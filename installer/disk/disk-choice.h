/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which disk is written: a pure function over a description of the machine's devices and what the configuration says.
 * Exactly one disk must match, and every doubt is a no: nothing brings back what stood on the wrong one.
 */
#ifndef BYOH_INSTALLER_DISK_CHOICE_H
#define BYOH_INSTALLER_DISK_CHOICE_H

#include "installer/disk/devices.h"

#define BYOH_DISK_SMALL UINT64_C(16000000000) /* below that only if minSize says so */

enum byoh_disk_outcome {
	BYOH_DISK_CHOSEN,
	BYOH_DISK_REFUSED,
	BYOH_DISK_INSTALLED, /* an installation of ours is there and stays */
};

struct byoh_disk_choice {
	enum byoh_disk_outcome outcome;
	const struct byoh_device *disk; /* that is chosen, or was and is refused, or holds what is installed; or NULL */
	const char *id;			/* of the installation that is there, or that is replaced; NULL: none */
	bool unfinished;		/* it holds what an installation left that was cut off */
	char sentence[768];		/* why not, and what to write; "" where one is chosen */
};

/* Borrows from devices. */
void byoh_disk_choose(const struct byoh_devices *devices, const struct byoh_iso *iso, struct byoh_disk_choice *ret);

/* Of the same machine, read later: is the same disk chosen, by name, serial, WWN, size and table id? Else *ret says what is
 * different now. Pure. */
bool byoh_disk_same_choice(const struct byoh_disk_choice *before, const struct byoh_disk_choice *after, char *ret, size_t size);

/* Why a disk is never taken, whatever is written: "the boot medium", "mounted on /srv"...; "" where it may be. */
void byoh_disk_unfit(const struct byoh_devices *devices, const struct byoh_disk_match *match,
		     const struct byoh_device *disk, char *ret, size_t size);
/* Is it all that the match asks for? */
bool byoh_disk_matches(const struct byoh_disk_match *match, const struct byoh_device *disk);
/* What lies on it, in words: "a gpt table with 3 partitions: ext4 \"root\", ..."; "empty". */
void byoh_disk_content(const struct byoh_devices *devices, const struct byoh_device *disk, char *ret, size_t size);
/* The id of a finished installation of ours on it, or NULL. */
const char *byoh_disk_installation(const struct byoh_devices *devices, const struct byoh_device *disk);

/* A line for each disk and each device that might be taken for one, with the by-id name under it. */
BYOH_MUST_CHECK int byoh_disk_table(const struct byoh_devices *devices, const struct byoh_iso *iso,
				    struct byoh_buffer *ret, struct byoh_error *err);

#endif
