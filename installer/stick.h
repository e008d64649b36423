/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder that somebody brings, in most cases on a stick: what of it a join can use. It may be hostile: only plain files
 * that lie in the folder itself are read, each once, with bounds, no link is followed and nothing is waited for.
 */
#ifndef BYOH_INSTALLER_STICK_H
#define BYOH_INSTALLER_STICK_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_STICK_FILE_MAX ((size_t)1 << 20)
#define BYOH_STICK_FILES_MAX 64
#define BYOH_STICK_NAMES_MAX 4096 /* looked at in one folder */
#define BYOH_STICK_TOTAL_MAX ((size_t)8 << 20)

struct byoh_stick {
	char *folder; /* as it was named */
	size_t count;
	struct byoh_stick_file {
		char *name;
		struct byoh_buffer bytes; /* may be a secret */
	} *files;
	/* Of those; -1 where there is none. */
	int token, ca, kubeconfig, config, signature;
};

/* token; ca.crt; bootstrap.conf or *.kubeconfig (two are BYOH_ERROR_CONFIG); byoh.yaml with byoh.yaml.sig, and with it all
 * small files, which it may name. A folder without any of these is BYOH_ERROR_CONFIG and says what is looked for. */
BYOH_MUST_CHECK int byoh_stick_read(const char *folder, struct byoh_stick *ret, struct byoh_error *err);
void byoh_stick_release(struct byoh_stick *stick); /* wipes */
#define CLEANUP_STICK __attribute__((cleanup(byoh_stick_release)))

/* Writes all files to a new folder that only root can read, for whoever reads files by their names. *ret (malloc) is its
 * path. */
BYOH_MUST_CHECK int byoh_stick_unpack(const struct byoh_stick *stick, char **ret, struct byoh_error *err);
/* Takes the folder away, with all in it; NULL is fine. */
void byoh_stick_clear(const struct byoh_stick *stick, const char *unpacked);

#endif
