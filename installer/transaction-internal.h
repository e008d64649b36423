/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a transaction share: order (transaction.c), staging, putting back. */
#ifndef BYOH_INSTALLER_TRANSACTION_INTERNAL_H
#define BYOH_INSTALLER_TRANSACTION_INTERNAL_H

#include "installer/actions/actions.h"
#include "installer/journal.h"
#include "installer/staging.h"
#include "installer/transaction.h"

#define BYOH_BEFORE_FOLDER BYOH_HOME "/before"
#define BYOH_RELEASES_FOLDER BYOH_HOME "/releases"
#define BYOH_IMAGES_FOLDER BYOH_HOME "/images"

#define BYOH_NOT_STAGED UINT64_MAX

struct byoh_transaction {
	const struct byoh_transaction_input *input;
	const struct byoh_host *host;
	struct byoh_journal *journal;
	struct byoh_staging *staging;
	struct byoh_action_context context;
	char before_folder[64];
	struct byoh_ledger *ledger; /* as it will be */
	/* Steps of our own behind those of the plan. Actions are numbered through all of them. */
	struct byoh_step blobs;	  /* of the images that are wanted; live they are only staged */
	struct byoh_step release; /* the copy of the bundle, the release before, and state.json */
	struct byoh_step record;  /* the ledger, which is known only when all else is done */
	size_t total;		  /* actions */
	int *folders;		  /* by number: the staging folder; borrowed */
	uint64_t *numbers;	  /* by the bundle's file: which action it is staged for */
	int bundle_copy;	  /* descriptor; -1: not wanted */
	uint64_t copy_number;	  /* of the action that it is staged for */
	uint64_t copied;	  /* bytes of it, all of blocks that were checked */
	bool later;		  /* something is left for the boot */
};

/* Steps in order: those of the plan, blobs, release, record. NULL behind the last. */
struct byoh_step *byoh_transaction_step(struct byoh_transaction *transaction, size_t i);

/* byoh_plan_check for a transaction's own context (plan-check.c). progress may be NULL. */
BYOH_MUST_CHECK int byoh_plan_check_with(struct byoh_plan *plan, const struct byoh_action_context *context,
					 const struct byoh_progress *progress, size_t *ret_changes,
					 bool *ret_later, struct byoh_error *err);

/* Fills the steps of our own (transaction-release.c). */
BYOH_MUST_CHECK int byoh_transaction_add_blobs(struct byoh_transaction *transaction,
					       struct byoh_error *err);
BYOH_MUST_CHECK int byoh_transaction_add_release(struct byoh_transaction *transaction,
						 struct byoh_error *err);
/* The ledger's place, whose bytes come last. */
BYOH_MUST_CHECK int byoh_transaction_add_ledger(struct byoh_transaction *transaction,
						struct byoh_error *err);
/* What the actions have done so far goes into the ledger, and the ledger into staging. */
BYOH_MUST_CHECK int byoh_transaction_stage_ledger(struct byoh_transaction *transaction, uint64_t number,
						  struct byoh_error *err);
/* Is it a change that a host must be given back from? */
bool byoh_transaction_remembers(const struct byoh_action *action);
/* Writes what an action of that number is to put in place. */
BYOH_MUST_CHECK int byoh_transaction_stage_one(struct byoh_transaction *transaction, uint64_t number,
					       const struct byoh_action *action, struct byoh_error *err);
/* It is the journal of an uninstall. */
bool byoh_transaction_gives_back(const struct byoh_journal_text *journal);
/* After a commit: what was moved aside goes, and everything that no ledger, release or undo needs; after
 * one that gives the host back, all of ours. Can be done twice. */
BYOH_MUST_CHECK int byoh_transaction_finish(const struct byoh_host *host, uint64_t number,
					    const struct byoh_observer *observer, struct byoh_error *err);
/* For byoh_action_context.open_blob. */
int byoh_transaction_open_blob(void *context, const struct byoh_digest *digest, struct byoh_error *err);

/* Writes everything that is to get a name into the staging folders, and syncs it. */
BYOH_MUST_CHECK int byoh_transaction_stage(struct byoh_transaction *transaction, struct byoh_error *err);

/* Puts everything back that the journal of that number knows, and removes it. */
BYOH_MUST_CHECK int byoh_transaction_undo(const struct byoh_host *host, uint64_t number,
					  const struct byoh_observer *observer, struct byoh_error *err);
void byoh_transaction_remove_empty(const struct byoh_host *host, const char *path);
/* Removes empty folders of ours that no release needs. */
void byoh_transaction_tidy(const struct byoh_host *host);
void byoh_transaction_before_folder(uint64_t number, char ret[static 64]);
/* The kernel's id of this boot, "" where unknown. */
void byoh_transaction_boot_id(char ret[static 64]);

#endif
