/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of action, as a table. check looks, keep notes the state before (in memory, and before-images
 * on disk), apply changes, revert puts back from the notes alone, so that a later run can do it with
 * nothing but the journal. apply and revert are idempotent: a killed one is simply done again.
 */
#ifndef BYOH_INSTALLER_ACTIONS_ACTIONS_H
#define BYOH_INSTALLER_ACTIONS_ACTIONS_H

#include <sys/stat.h>

#include "installer/actions/before.h"
#include "installer/ledger.h"
#include "installer/plan.h"
#include "installer/staging.h"
#include "installer/transaction.h"

struct byoh_action_context {
	const struct byoh_host *host;
	struct byoh_staging *staging;	/* NULL while only looking */
	const char *before_folder;	/* "/var/lib/byoh/before/NUMBER" */
	const struct byoh_ledger *ledger; /* NULL on recovery */
	bool thorough;			/* read files that nobody seems to have touched as well */
	const struct byoh_plan *plan;	/* whose states tell what changes in this run; NULL on recovery */
	const struct byoh_observer *observer;
	const atomic_bool *cancel;	/* NULL on recovery: an undo is not interrupted */
	/* Opens an image blob for reading. NULL on recovery. */
	int (*open_blob)(void *context, const struct byoh_digest *digest, struct byoh_error *err);
	void *blob_context;
};

struct byoh_action_ops {
	bool on_disk; /* a change of names below the root: also below --root, and several at once */
	bool any_boot; /* what runs: to be turned back after a reboot too, which has read the new files */
	bool late;    /* what it finds depends on actions before it: looked at again when its turn comes */
	int (*check)(const struct byoh_action_context *context, struct byoh_action *action,
		     struct byoh_error *err);
	int (*keep)(const struct byoh_action_context *context, const struct byoh_action *action,
		    struct byoh_before *before, struct byoh_error *err);
	int (*apply)(const struct byoh_action_context *context, const struct byoh_action *action,
		     uint64_t number, struct byoh_error *err);
	int (*revert)(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err);
	/* When the transaction holds, or by the next run where it was killed then; may be NULL. */
	int (*finish)(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err);
	/* After all reverts, in the order of the plan; may be NULL. */
	int (*settle)(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err);
};

extern const struct byoh_action_ops byoh_directory_ops, byoh_file_ops, byoh_link_ops, byoh_remove_ops,
	byoh_module_ops, byoh_sysctl_ops, byoh_swap_ops, byoh_hostname_ops, byoh_reload_ops, byoh_unit_ops,
	byoh_image_ops, byoh_relabel_ops, byoh_restore_ops, byoh_save_ops, byoh_remove_directory_ops,
	byoh_data_ops, byoh_remove_data_ops, byoh_kill_ops, byoh_unmount_ops;

const struct byoh_action_ops *byoh_action_ops(enum byoh_action_kind kind);

/* Sets action->state; BYOH_STATE_LATER for what a root that does not run cannot have. */
BYOH_MUST_CHECK int byoh_action_check(const struct byoh_action_context *context, struct byoh_action *action,
				      struct byoh_error *err);
/* Is that its value? */
bool byoh_action_wants(const struct byoh_action *action, const char *value);
/* Will it be carried out? */
bool byoh_action_is_change(const struct byoh_action *action);

/* For the kinds whose state before is nobody's to keep (table.c). */
BYOH_MUST_CHECK int byoh_keep_nothing(const struct byoh_action_context *context,
				      const struct byoh_action *action, struct byoh_before *before,
				      struct byoh_error *err);
BYOH_MUST_CHECK int byoh_revert_nothing(const struct byoh_action_context *context,
					const struct byoh_before *before, struct byoh_error *err);

/* For the kinds that are paths (path.c). */
BYOH_MUST_CHECK int byoh_path_check_absent(const struct byoh_action_context *context, const char *path,
					   struct stat *ret, bool *ret_absent, struct byoh_error *err);
/* The same for an action, whose state becomes "absent" or, for the caller to look closer, "same". */
BYOH_MUST_CHECK int byoh_path_look(const struct byoh_action_context *context,
				   struct byoh_action *action, struct stat *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_path_keep(const struct byoh_action_context *context,
				   const struct byoh_action *action, struct byoh_before *before,
				   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_path_revert(const struct byoh_action_context *context,
				     const struct byoh_before *before, struct byoh_error *err);
/* Renames what is staged under number over path, missing folders made. */
BYOH_MUST_CHECK int byoh_path_publish(const struct byoh_action_context *context, const char *path,
				      uint64_t number, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_path_make_parents(const struct byoh_action_context *context, const char *path,
					   struct byoh_error *err);
/* Removes path's folders from `path` up to `top` as long as they are empty. */
BYOH_MUST_CHECK int byoh_path_remove_made(int root_fd, const char *path, const char *top,
					  struct byoh_error *err);
/* The topmost missing folder at or above path into ret; NULL if path exists. */
BYOH_MUST_CHECK int byoh_path_topmost_missing(int root_fd, const char *path, char **ret,
					      struct byoh_error *err);
/* Whom the files that are installed belong to: root, or the caller where root is not at work. */
uid_t byoh_path_owner(void);
gid_t byoh_path_group(void);
/* Are they the mode that is asked for and that owner? */
bool byoh_path_has_rights(const struct stat *st, mode_t mode);
void byoh_staged_name(uint64_t number, char ret[static 32]);
/* The file or link at path under another name of another folder: the same inode where the file system
 * allows it, a faithful copy elsewhere. What stands there already is replaced. */
BYOH_MUST_CHECK int byoh_path_duplicate(int root_fd, const char *path, int to_folder, const char *to_name,
					struct byoh_error *err);

/* Services that ran when this run began and that it has restarted: do they stay up? (health.c) */
BYOH_MUST_CHECK int byoh_units_stay_up(const struct byoh_action_context *context, struct byoh_error *err);
/* Adds the last line that a unit wrote into the system's journal to a message (unit.c). */
void byoh_run_add_last_words(const char *unit, struct byoh_error *err);

/* Writes an OCI archive (image-archive.c) with the image's blobs to fd. */
BYOH_MUST_CHECK int byoh_image_archive_write(const struct byoh_action_context *context,
					     const struct byoh_image *image, int fd,
					     struct byoh_error *err);

#endif
