/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has come of a bundle whose next slice is missing: /var/lib/byoh/arriving, from a run that ended with
 * exit code 5 until one that needs it no more. Its blocks are checked again when they are read.
 */
#ifndef BYOH_INSTALLER_ARRIVING_H
#define BYOH_INSTALLER_ARRIVING_H

#include "bundle/slices.h"
#include "installer/host.h"
#include "installer/lock.h"

#define BYOH_ARRIVING_FOLDER BYOH_HOME "/arriving"

struct byoh_arriving {
	char *name; /* of the whole: "X.bundle"; NULL: there is nothing */
	struct byoh_slices_kept kept;
};
void byoh_arriving_release(struct byoh_arriving *arriving);

/* What cannot be used counts as nothing. */
BYOH_MUST_CHECK int byoh_arriving_open(const struct byoh_host *host, struct byoh_arriving *ret,
				       struct byoh_error *err);
/* Gives the file that has come so far (a name in folder) its place, with what the reader knows of its slices. */
BYOH_MUST_CHECK int byoh_arriving_keep(const struct byoh_host *host, int folder, const char *file,
				       const struct byoh_reader *slices, uint64_t start, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_arriving_drop(const struct byoh_host *host, struct byoh_error *err);

#endif
