/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back: steps that bring the host to what it was before us, made from the ledger. All of it for
 * uninstall; for an upgrade what an older release or configuration wanted and the new one does not.
 */
#ifndef BYOH_INSTALLER_RESTORE_H
#define BYOH_INSTALLER_RESTORE_H

#include "bundle/base/path.h"
#include "installer/ledger.h"
#include "installer/plan.h"

struct byoh_restore_input {
	const struct byoh_host *host;
	const struct byoh_ledger *ledger;
	bool keep_data; /* folders that services filled stay */
	/* Told of every file that is left as somebody changed it, and why; may be NULL. */
	void (*note)(void *context, const char *message);
	void *context;
};

/* A plan that gives all of the host back. */
BYOH_MUST_CHECK int byoh_restore_all(const struct byoh_restore_input *input, struct byoh_plan **ret,
				     struct byoh_error *err);
/* Puts steps in front of plan that give back what it does not name any more. */
BYOH_MUST_CHECK int byoh_restore_rest(const struct byoh_restore_input *input, struct byoh_plan *plan,
				      struct byoh_error *err);
/* Puts a step in front of plan that saves files which somebody changed since we wrote them, and which the
 * plan (checked) is going to replace. */
BYOH_MUST_CHECK int byoh_restore_save_changed(const struct byoh_restore_input *input,
					      struct byoh_plan *plan, struct byoh_error *err);
/* A free name beside path to save it under; empty where a file with these bytes has been saved before. */
BYOH_MUST_CHECK int byoh_restore_saved_name(const struct byoh_host *host, const char *path,
					    char ret[static BYOH_PATH_MAX], struct byoh_error *err);
/* What mends an interrupted run, the installed tool and its units, is given back when nothing can be
 * interrupted any more. Can be done twice. */
BYOH_MUST_CHECK int byoh_restore_last(const struct byoh_host *host, const struct byoh_ledger *ledger,
				      struct byoh_error *err);

#endif
