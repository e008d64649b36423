/* SPDX-License-Identifier: Apache-2.0 */
/* The state before an action, as journals and the ledger keep it. */
#ifndef BYOH_INSTALLER_ACTIONS_BEFORE_H
#define BYOH_INSTALLER_ACTIONS_BEFORE_H

#include <sys/stat.h>

#include "installer/action.h"
#include "installer/journal.h"

/* What there was before an action. Strings are owned. */
struct byoh_before {
	uint64_t number;
	enum byoh_action_kind kind;
	char *subject;
	bool existed; /* path: something stood there; module: loaded; swap: on; unit: active; image: there */
	char *type;   /* path: "file", "link", "directory", "other" */
	uint64_t mode, uid, gid; /* path */
	char *value;  /* link: target; sysctl: value; host name; unit: active state; image: digest */
	char *made;   /* path: the topmost folder that was missing above (directory: or at) it */
	uint64_t priority; /* swap: as swapon takes it, 0: the kernel's choice */
};

void byoh_before_release(struct byoh_before *before);
BYOH_MUST_CHECK int byoh_before_write(const struct byoh_before *before, struct byoh_journal *journal,
				      struct byoh_error *err);
/* Adds the fields to a record that has begun. */
void byoh_before_describe(const struct byoh_before *before, struct byoh_record *record);
BYOH_MUST_CHECK int byoh_before_read(const struct byoh_yaml *record, struct byoh_before *ret,
				     struct byoh_error *err);
BYOH_MUST_CHECK int byoh_before_copy(const struct byoh_before *before, struct byoh_before *ret,
				     struct byoh_error *err);
/* What stood at a path; not its bytes or target. type: see struct byoh_before. */
BYOH_MUST_CHECK int byoh_before_set_path(struct byoh_before *before, const struct stat *st,
					 const char *type, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_before_set(char **field, const char *value, struct byoh_error *err);

#endif
