/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging folders, root-only, one for each file system that a plan writes to, so that a name appears by
 * rename(2) alone. It is /var/lib/byoh/staging on that file system, and elsewhere .byoh-staging in the
 * top folder of the mount: the one place of a mount that no program reads as configuration.
 */
#ifndef BYOH_INSTALLER_STAGING_H
#define BYOH_INSTALLER_STAGING_H

#include "installer/host.h"
#include "installer/lock.h"

#define BYOH_STAGING_PATH BYOH_HOME "/staging"

struct byoh_staging;

/* announce is called with the path of a folder before it is made, and must have it on disk when it
 * returns, so that a later run finds what a killed one left; may be NULL. */
BYOH_MUST_CHECK int byoh_staging_new(const struct byoh_host *host,
				     int (*announce)(void *context, const char *path, struct byoh_error *err),
				     void *context, struct byoh_staging **ret, struct byoh_error *err);
/* The folders stay; see byoh_staging_clear. */
void byoh_staging_free(struct byoh_staging *staging);
void byoh_staging_freep(struct byoh_staging **staging);
#define CLEANUP_STAGING __attribute__((cleanup(byoh_staging_freep)))

/* The folder for what shall stand at path; made empty at its first use. *ret_fd and *ret_path (both may
 * be NULL) are borrowed. Not for use by several threads. */
BYOH_MUST_CHECK int byoh_staging_for(struct byoh_staging *staging, const char *path, int *ret_fd,
				     const char **ret_path, struct byoh_error *err);
/* The folders in use, borrowed. */
#define BYOH_STAGING_MAX 64
size_t byoh_staging_folders(const struct byoh_staging *staging, int ret[static BYOH_STAGING_MAX]);
/* syncfs(2) of every file system in use. */
BYOH_MUST_CHECK int byoh_staging_sync(struct byoh_staging *staging, struct byoh_error *err);
/* Removes the folders with all in them. */
BYOH_MUST_CHECK int byoh_staging_clear(struct byoh_staging *staging, struct byoh_error *err);

#endif
