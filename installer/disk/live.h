/* SPDX-License-Identifier: Apache-2.0 */
/* The system that runs from a boot medium: where the medium is, and the configuration that somebody brought with it. */
#ifndef BYOH_INSTALLER_DISK_LIVE_H
#define BYOH_INSTALLER_DISK_LIVE_H

#include "installer/config.h"
#include "installer/host.h"
#include "installer/session.h"
#include "installer/stick.h"

#define BYOH_LIVE_MEDIUM "/run/live/medium" /* where live-boot mounts it */
#define BYOH_LIVE_RUN BYOH_LIVE_MEDIUM "/byoh/byoh-install.run"

/* Is it such a system? */
bool byoh_live_is_here(const struct byoh_host *host);
/* A path of the system, with the folder of --root in front. malloc; NULL without memory. */
char *byoh_live_path(const struct byoh_host *host, const char *path);

struct byoh_live_config {
	struct byoh_config *config; /* NULL: there is none anywhere */
	char *path;		    /* where it can be read, its files beside it */
	char *where;		    /* the same for people */
	char *unpacked;		    /* a folder in memory */
	struct byoh_stick stick;    /* what is in it */
};
/* Once nobody needs path any more: leaves nothing behind. */
void byoh_live_config_release(struct byoh_live_config *live);

/*
 * --config; the kernel argument byoh.config= (a path, of the medium where the system has none of that name); a volume
 * BYOHCFG, whose files are taken into memory; on the medium, byoh/byoh.yaml and the slot byoh/site.img. The first counts;
 * all that are found are told, and so is what is wrong with one behind the first. Two different ones that would both
 * be the first are BYOH_ERROR_CONFIG.
 */
BYOH_MUST_CHECK int byoh_live_config_find(const struct byoh_session *session, struct byoh_live_config *ret,
					  struct byoh_error *err);

#endif
