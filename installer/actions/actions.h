/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of action, as a table. check looks, keep notes the state before (in memory, and before-images
 * on disk), apply changes, revert puts back from the notes alone, so that a later run can do it with
 * nothing but the journal. apply and revert are idempotent: a killed one is simply done again.
 */
#ifndef BYOH_INSTALLER_ACTIONS_ACTIONS_H
#define BYOH_INSTALLER_ACTIONS_ACTIONS_H

#include <sys/stat.h>

#include "installer/journal.h"
#include "installer/plan.h"
#include "installer/staging.h"
#include "installer/transaction.h"

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

struct byoh_action_context {
	const struct byoh_host *host;
	struct byoh_staging *staging;	/* NULL while only looking */
	const char *before_folder;	/* "/var/lib/byoh/before/NUMBER" */
	const struct byoh_plan *plan;	/* whose states tell what changes in this run; NULL on recovery */
	const struct byoh_observer *observer;
	const atomic_bool *cancel;	/* NULL on recovery: an undo is not interrupted */
	/* Opens an image blob for reading. NULL on recovery. */
	int (*open_blob)(void *context, const struct byoh_digest *digest, struct byoh_error *err);
	void *blob_context;
};

struct byoh_action_ops {
	bool on_disk; /* a change of names below the root: also below --root, and several at once */
	int (*check)(const struct byoh_action_context *context, struct byoh_action *action,
		     struct byoh_error *err);
	int (*keep)(const struct byoh_action_context *context, const struct byoh_action *action,
		    struct byoh_before *before, struct byoh_error *err);
	int (*apply)(const struct byoh_action_context *context, const struct byoh_action *action,
		     uint64_t number, struct byoh_error *err);
	int (*revert)(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err);
	/* After all reverts, in the order of the plan; may be NULL. */
	int (*settle)(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err);
};

extern const struct byoh_action_ops byoh_directory_ops, byoh_file_ops, byoh_link_ops, byoh_remove_ops,
	byoh_module_ops, byoh_sysctl_ops, byoh_swap_ops, byoh_hostname_ops, byoh_reload_ops, byoh_unit_ops,
	byoh_image_ops, byoh_relabel_ops;

const struct byoh_action_ops *byoh_action_ops(enum byoh_action_kind kind);

/* Sets action->state; BYOH_STATE_LATER for what a root that does not run cannot have. */
BYOH_MUST_CHECK int byoh_action_check(const struct byoh_action_context *context, struct byoh_action *action,
				      struct byoh_error *err);
/* Will it be carried out? */
bool byoh_action_is_change(const struct byoh_action *action);

void byoh_before_release(struct byoh_before *before);
BYOH_MUST_CHECK int byoh_before_write(const struct byoh_before *before, struct byoh_journal *journal,
				      struct byoh_error *err);
BYOH_MUST_CHECK int byoh_before_read(const struct byoh_yaml *record, struct byoh_before *ret,
				     struct byoh_error *err);

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

/* Writes an OCI archive (image-archive.c) with the image's blobs to fd. */
BYOH_MUST_CHECK int byoh_image_archive_write(const struct byoh_action_context *context,
					     const struct byoh_image *image, int fd,
					     struct byoh_error *err);

int byoh_before_set(char **field, const char *value, struct byoh_error *err) BYOH_MUST_CHECK;
/* What stood at a path; not its bytes or target. type: see struct byoh_before. */
BYOH_MUST_CHECK int byoh_before_set_path(struct byoh_before *before, const struct stat *st,
					 const char *type, struct byoh_error *err);

#endif
