/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A support bundle: what a stranger needs to help with a host, in one .tar.zst, and none of its secrets. What goes into
 * it is a table of files and commands (collect.c); every text passes the redactor on its way.
 */
#ifndef BYOH_INSTALLER_SUPPORT_SUPPORT_BUNDLE_H
#define BYOH_INSTALLER_SUPPORT_SUPPORT_BUNDLE_H

#include <stdint.h>

#include "installer/doctor/consult.h"
#include "installer/session.h"
#include "installer/support/redact.h"

#define BYOH_SUPPORT_TEXT_MAX ((size_t)2 << 20) /* of one text; of a longer one the end, where the news is */

struct byoh_support_archive; /* open for writing */

/* A new file, 0600; -EEXIST where there is one. */
BYOH_MUST_CHECK int byoh_support_archive_create(const char *path, const struct byoh_redactor *redactor,
						struct byoh_support_archive **ret, struct byoh_error *err);
/* Redacts the text and adds it as a file of that name. */
BYOH_MUST_CHECK int byoh_support_archive_add(struct byoh_support_archive *archive, const char *name, const char *text,
					     size_t size, struct byoh_error *err);
/* On disk when it returns. */
BYOH_MUST_CHECK int byoh_support_archive_finish(struct byoh_support_archive *archive, uint64_t *ret_size,
						size_t *ret_count, struct byoh_error *err);
/* One that was not finished is removed. */
void byoh_support_archive_free(struct byoh_support_archive *archive);
void byoh_support_archive_freep(struct byoh_support_archive **archive);
#define CLEANUP_SUPPORT_ARCHIVE __attribute__((cleanup(byoh_support_archive_freep)))

/* Every secret that is known to lie on this host. config may be NULL. */
BYOH_MUST_CHECK int byoh_support_learn(const struct byoh_host *host, const struct byoh_config *config,
				       struct byoh_redactor *redactor, struct byoh_error *err);
/* All that there is to collect. What cannot be had is noted in the place of its text. */
BYOH_MUST_CHECK int byoh_support_collect(struct byoh_session *session, const struct byoh_consultation *consultation,
					 struct byoh_support_archive *archive, struct byoh_error *err);

#endif
