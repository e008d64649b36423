/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction carries out a plan: old or new and nothing between, whatever moment it ends at, once
 * recovery has run. Order: stage every file on the file system of its target, sync once, write the
 * intent to the journal, then for each action: the state before into the journal (on disk), the change.
 * A failure or an interrupt reverts what was done, latest first.
 */
#ifndef BYOH_INSTALLER_TRANSACTION_H
#define BYOH_INSTALLER_TRANSACTION_H

#include "bundle/bundle.h"
#include "installer/plan.h"

struct byoh_observer { /* all may be NULL; called on the calling thread except bytes */
	void (*step)(void *context, const struct byoh_step *step, size_t number, size_t total);
	void (*bytes)(void *context, uint64_t done, uint64_t total);
	void (*warning)(void *context, const char *message);
	void (*note)(void *context, const char *message); /* for --verbose */
	void *context;
};
/* The observer may be NULL. */
void byoh_observer_warn(const struct byoh_observer *observer, const char *fmt, ...) BYOH_PRINTF(2, 3);
void byoh_observer_note(const struct byoh_observer *observer, const char *fmt, ...) BYOH_PRINTF(2, 3);

struct byoh_transaction_input {
	const struct byoh_plan_input *plan_input;
	struct byoh_plan *plan;		/* states are updated */
	struct byoh_bundle *bundle;	/* authenticated; where bytes come from. NULL: a plan that needs none */
	const char *verb;		/* for the journal */
	const char *ignored_preflight;	/* recorded; may be NULL */
	const struct byoh_observer *observer;
	const atomic_bool *cancel;	/* Ctrl-C */
	/* Called for each staged file of the bundle before anything changes; a failure ends the run with
	 * the host as it was. staged_path is below the root. May be NULL. */
	int (*staged)(void *context, int root_fd, const char *staged_path, const struct byoh_file *file,
		      struct byoh_error *err);
	void *staged_context;
	/* The plan gives the host back: afterwards nothing of ours is left, journal and ledger included. */
	bool leaves;
	/* The release and configuration that are there now are kept to go back to. */
	bool keeps_previous;
	/* The copy of the bundle that is kept is lost or damaged, whatever its size. */
	bool renews_copy;
};

/* Sets state of every action by looking at the host; changes nothing. *ret_changes counts those not SAME
 * and not LATER. With thorough, digests of all files are computed, on all cores; otherwise size, mode and
 * recorded stamps decide where they can. */
BYOH_MUST_CHECK int byoh_plan_check(struct byoh_plan *plan, const struct byoh_plan_input *input,
				    size_t *ret_changes, struct byoh_error *err);

/* How many bytes of files a thorough check reads. */
uint64_t byoh_plan_bytes(const struct byoh_plan *plan);

/* Carries it out. On failure everything is reverted; BYOH_ERROR_UNRESTORED if that failed too. */
BYOH_MUST_CHECK int byoh_transaction_run(const struct byoh_transaction_input *input,
					 struct byoh_error *err);

/* Settles a transaction that an earlier run left open (power cut, SIGKILL): reverts it. *ret_settled says
 * whether there was one. Every verb calls it first, byoh-settle.service at boot. */
BYOH_MUST_CHECK int byoh_transaction_recover(const struct byoh_host *host,
					     const struct byoh_observer *observer, bool *ret_settled,
					     struct byoh_error *err);

#endif
