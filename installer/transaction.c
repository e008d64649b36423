/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a transaction: check, journal, stage, then keep and change, then commit. */
#include "installer/transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/arriving.h"
#include "installer/transaction-internal.h"

struct byoh_step *byoh_transaction_step(struct byoh_transaction *transaction, size_t i)
{
	struct byoh_plan *plan = transaction->input->plan;

	if (i < plan->step_count)
		return &plan->steps[i];
	if (i == plan->step_count)
		return &transaction->blobs;
	if (i == plan->step_count + 1)
		return &transaction->release;
	return i == plan->step_count + 2 ? &transaction->record : NULL;
}

static int check_cancel(const struct byoh_transaction *transaction, struct byoh_error *err)
{
	if (!transaction->input->cancel || !atomic_load(transaction->input->cancel))
		return 0;
	return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
}

static int plan_digest(const struct byoh_transaction_input *input, char ret[BYOH_DIGEST_HEX_SIZE],
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_digest digest;
	int r = byoh_plan_json(input->plan, input->plan_input, &text, err);

	if (r == 0)
		r = byoh_digest_of(byoh_buffer_text(&text), text.size, &digest, err);
	if (r == 0)
		byoh_digest_hex(&digest, ret);
	return r;
}

static int write_begin(struct byoh_transaction *transaction, struct byoh_error *err)
{
	const struct byoh_transaction_input *input = transaction->input;
	CLEANUP_RECORD struct byoh_record record = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE], boot_id[64];
	int r = plan_digest(input, hex, err);

	if (r < 0)
		return r;
	byoh_record_begin(&record, "begin");
	byoh_record_string(&record, "verb", input->verb);
	byoh_record_string(&record, "plan", hex);
	if (input->bundle) {
		byoh_digest_hex(byoh_bundle_id(input->bundle), hex);
		byoh_record_string(&record, "release", hex);
	}
	if (input->plan_input->manifest) {
		byoh_record_string(&record, "name", input->plan_input->manifest->name);
		byoh_record_string(&record, "version", input->plan_input->manifest->version);
	}
	byoh_record_u64(&record, "time", (uint64_t)time(NULL));
	byoh_record_string(&record, "tool", BYOH_VERSION);
	byoh_record_string(&record, "ignored", input->ignored_preflight);
	if (input->leaves)
		byoh_record_u64(&record, "leaves", 1);
	if (transaction->host->live) {
		byoh_transaction_boot_id(boot_id);
		byoh_record_string(&record, "boot", boot_id);
	}
	r = byoh_journal_add(transaction->journal, &record, err);
	return r < 0 ? r : byoh_journal_sync(transaction->journal, err);
}

/* A record that says no more than its type. */
static int write_mark(struct byoh_transaction *transaction, const char *type, struct byoh_error *err)
{
	CLEANUP_RECORD struct byoh_record record = { 0 };
	int r;

	byoh_record_begin(&record, type);
	r = byoh_journal_add(transaction->journal, &record, err);
	return r < 0 ? r : byoh_journal_sync(transaction->journal, err);
}

static int write_done(struct byoh_transaction *transaction, uint64_t number, struct byoh_error *err)
{
	CLEANUP_RECORD struct byoh_record record = { 0 };

	byoh_record_begin(&record, "done");
	byoh_record_u64(&record, "action", number);
	return byoh_journal_add(transaction->journal, &record, err);
}

static int announce_staging(void *context, const char *path, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;
	CLEANUP_RECORD struct byoh_record record = { 0 };
	int r;

	byoh_record_begin(&record, "staging");
	byoh_record_string(&record, "path", path);
	r = byoh_journal_add(transaction->journal, &record, err);
	return r < 0 ? r : byoh_journal_sync(transaction->journal, err);
}

/* The before-images, by name, on disk: a journal must not speak of what a power cut can take. */
static int sync_before(struct byoh_transaction *transaction, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;

	if (!byoh_exists_beneath(transaction->host->root_fd, transaction->before_folder))
		return 0;
	fd = byoh_open_beneath(transaction->host->root_fd, transaction->before_folder,
			       O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		return byoh_fail_errno(err, "cannot sync the before-images");
	if (byoh_sync_parent(transaction->host->root_fd, transaction->before_folder, err) < 0)
		return -EIO;
	return byoh_sync_parent(transaction->host->root_fd, BYOH_BEFORE_FOLDER, err);
}

static int keep_one(struct byoh_transaction *transaction, const struct byoh_step *step,
		    const struct byoh_action *action, uint64_t number, struct byoh_error *err)
{
	struct byoh_before before = { .number = number, .kind = action->kind };
	int r = byoh_before_set(&before.subject, action->subject, err);

	if (r == 0)
		r = byoh_action_ops(action->kind)->keep(&transaction->context, action, &before, err);
	if (r == 0)
		r = byoh_before_write(&before, transaction->journal, err);
	if (r == 0 && byoh_transaction_remembers(action))
		r = byoh_ledger_add(transaction->ledger, &before,
				    byoh_journal_number(transaction->journal), step->name, err);
	byoh_before_release(&before);
	return r;
}

/* A warning. The journal has the state before it, so that an undo covers what it did half way. */
static int skip_optional(struct byoh_transaction *transaction, const struct byoh_action *action, int r,
			 struct byoh_error *err)
{
	if (r >= 0 || !action->optional || (err && err->kind == BYOH_ERROR_INTERRUPTED))
		return r;
	byoh_observer_warn(transaction->input->observer, "%s", err ? err->message : action->subject);
	if (err)
		*err = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

static int apply_one(struct byoh_transaction *transaction, const struct byoh_action *action,
		     uint64_t number, struct byoh_error *err)
{
	int r = check_cancel(transaction, err);

	if (r < 0)
		return r;
	byoh_observer_note(transaction->input->observer, "%s %s", byoh_action_kind_name(action->kind),
			   action->subject);
	r = byoh_action_ops(action->kind)->apply(&transaction->context, action, number, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s %s", byoh_action_kind_name(action->kind),
				       action->subject);
	return write_done(transaction, number, err);
}

/* Names on disk, several at once: all before-images, one sync, all renames. */
static int run_batch(struct byoh_transaction *transaction, const struct byoh_step *step, size_t first,
		     size_t count, uint64_t number, struct byoh_error *err)
{
	const struct byoh_action *actions = step->actions + first;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		if (byoh_action_is_change(&actions[i]))
			r = keep_one(transaction, step, &actions[i], number + i, err);
	if (r == 0)
		r = sync_before(transaction, err);
	if (r == 0)
		r = byoh_journal_sync(transaction->journal, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (byoh_action_is_change(&actions[i]))
			r = skip_optional(transaction, &actions[i],
					  apply_one(transaction, &actions[i], number + i, err), err);
	return r;
}

/* What an action before it may have changed is looked at once more. */
static int run_single(struct byoh_transaction *transaction, const struct byoh_step *step,
		      struct byoh_action *action, uint64_t number, struct byoh_error *err)
{
	int r = check_cancel(transaction, err);

	if (r == 0)
		r = byoh_action_check(&transaction->context, action, err);
	if (r < 0 || !byoh_action_is_change(action))
		return r;
	r = keep_one(transaction, step, action, number, err);
	if (r == 0)
		r = byoh_journal_sync(transaction->journal, err);
	return r < 0 ? r : apply_one(transaction, action, number, err);
}

static bool is_due(const struct byoh_action *action)
{
	return byoh_action_is_change(action) ||
	       (byoh_action_ops(action->kind)->late && action->state != BYOH_STATE_LATER);
}

static int run_step(struct byoh_transaction *transaction, struct byoh_step *step, uint64_t number,
		    struct byoh_error *err)
{
	size_t i = 0;

	while (i < step->action_count) {
		size_t end = i;
		int r;

		while (end < step->action_count && byoh_action_ops(step->actions[end].kind)->on_disk)
			end++;
		if (end > i) {
			r = run_batch(transaction, step, i, end - i, number + i, err);
			i = end;
		} else {
			r = is_due(&step->actions[i]) ?
				    skip_optional(transaction, &step->actions[i],
						  run_single(transaction, step, &step->actions[i],
							     number + i, err), err) : 0;
			i++;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_steps(struct byoh_transaction *transaction, struct byoh_error *err)
{
	const struct byoh_observer *observer = transaction->input->observer;
	size_t total = transaction->input->plan->step_count;
	struct byoh_step *step;
	uint64_t number = 0;

	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++) {
		bool only_staged = step == &transaction->blobs && transaction->host->live;
		int r;

		if (i < total && observer && observer->step)
			observer->step(observer->context, step, i + 1, total);
		r = step == &transaction->record && step->action_count ?
			    byoh_transaction_stage_ledger(transaction, number, err) : 0;
		if (r == 0 && !only_staged)
			r = run_step(transaction, step, number, err);
		if (r < 0)
			return byoh_error_wrap(err, r, "step \"%s\"", step->name);
		number += step->action_count;
	}
	return check_cancel(transaction, err);
}

static int sync_all(struct byoh_transaction *transaction, struct byoh_error *err)
{
	CLEANUP_FD int home = byoh_open_beneath(transaction->host->root_fd, BYOH_HOME,
						O_RDONLY | O_DIRECTORY, 0, err);

	if (home < 0)
		return home;
	if (syncfs(home) < 0)
		return byoh_fail_errno(err, "cannot sync the file system of %s", BYOH_HOME);
	return byoh_staging_sync(transaction->staging, err);
}

static int carry_out(struct byoh_transaction *transaction, struct byoh_error *err)
{
	int r = write_begin(transaction, err);

	if (r == 0)
		r = byoh_staging_new(transaction->host, announce_staging, transaction,
				     &transaction->staging, err);
	if (r < 0)
		return r;
	transaction->context.staging = transaction->staging;
	r = byoh_transaction_stage(transaction, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "staging");
	r = check_cancel(transaction, err);
	if (r == 0)
		r = write_mark(transaction, "intent", err);
	if (r == 0)
		r = run_steps(transaction, err);
	if (r == 0)
		r = byoh_units_stay_up(&transaction->context, err);
	if (r == 0)
		r = sync_all(transaction, err);
	return r < 0 ? r : write_mark(transaction, "commit", err);
}

/* Everything holds already; what cannot be cleared away is a warning and no failure. */
static void clear_up(struct byoh_transaction *transaction)
{
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r = byoh_staging_clear(transaction->staging, &failure);
	if (r == 0 && transaction->host->live && !transaction->later)
		r = byoh_remove_tree(transaction->host->root_fd, BYOH_IMAGES_FOLDER, &failure);
	if (r == 0)
		r = byoh_transaction_finish(transaction->host, byoh_journal_number(transaction->journal),
					    transaction->input->observer, &failure);
	if (r < 0)
		byoh_observer_warn(transaction->input->observer, "%s", failure.message);
}

/* After a commit record that could not be stored, only a rollback record makes an undo safe to be cut off:
 * the next run would take what is half undone for done. */
static int announce_undo(struct byoh_transaction *transaction, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
	uint64_t number = byoh_journal_number(transaction->journal);
	int r = write_mark(transaction, "rollback", err);

	if (r < 0 && byoh_journal_read(transaction->host, number, &text, NULL) == 0 &&
	    !byoh_journal_is_committed(text))
		return 0;
	return r;
}

/* Keeps the failure that led here, and says how the host is. */
static int roll_back(struct byoh_transaction *transaction, int failed, struct byoh_error *err)
{
	uint64_t number = byoh_journal_number(transaction->journal);
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r;

	if (failed == -EINTR && err && transaction->input->cancel &&
	    atomic_load(transaction->input->cancel))
		err->kind = BYOH_ERROR_INTERRUPTED;
	r = announce_undo(transaction, &failure);
	if (r == 0)
		r = byoh_transaction_undo(transaction->host, number, transaction->input->observer, &failure);
	if (r == 0 && err && err->kind == BYOH_ERROR_INTERRUPTED) /* Ctrl-C gives up what slices brought, too */
		r = byoh_arriving_drop(transaction->host, &failure);
	if (r == 0) {
		byoh_transaction_tidy(transaction->host);
		byoh_error_remedy(err, "the host is as before");
		return failed;
	}
	if (err)
		err->kind = BYOH_ERROR_UNRESTORED;
	byoh_error_remedy(err, "and not everything could be put back: %s; run any verb again to go on",
			  failure.message);
	return failed;
}

static bool has_changes(struct byoh_transaction *transaction)
{
	struct byoh_step *step;

	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++)
		for (size_t j = 0; j < step->action_count; j++)
			if (byoh_action_is_change(&step->actions[j]))
				return true;
	return false;
}

static int prepare(struct byoh_transaction *transaction, struct byoh_error *err)
{
	bool settled;
	size_t changes;
	int r = byoh_transaction_recover(transaction->host, transaction->input->observer, &settled, err);

	if (r == 0)
		r = byoh_ledger_read(transaction->host, &transaction->ledger, err);
	transaction->context.ledger = transaction->ledger;
	if (r == 0)
		r = byoh_plan_check_with(transaction->input->plan, &transaction->context, NULL, &changes,
					 &transaction->later, err);
	if (r < 0 || transaction->input->leaves)
		return r;
	r = byoh_transaction_add_blobs(transaction, err);
	return r < 0 ? r : byoh_transaction_add_release(transaction, err);
}

static int begin(struct byoh_transaction *transaction, struct byoh_error *err)
{
	int r = byoh_journal_create(transaction->host, &transaction->journal, err);

	if (r < 0)
		return r;
	byoh_transaction_before_folder(byoh_journal_number(transaction->journal),
				       transaction->before_folder);
	r = byoh_remove_tree(transaction->host->root_fd, transaction->before_folder, err);
	return r < 0 ? r : carry_out(transaction, err);
}

static int run_locked(struct byoh_transaction *transaction, struct byoh_error *err)
{
	int r = prepare(transaction, err);

	if (r < 0 || (!has_changes(transaction) && !transaction->input->leaves))
		return r;
	if (!transaction->input->leaves)
		r = byoh_transaction_add_ledger(transaction, err);
	if (r == 0)
		r = begin(transaction, err);
	if (r == 0) {
		clear_up(transaction);
		return 0;
	}
	if (!transaction->journal) {
		byoh_transaction_tidy(transaction->host);
		return r;
	}
	return roll_back(transaction, r, err);
}

int byoh_transaction_run(const struct byoh_transaction_input *input, struct byoh_error *err)
{
	CLEANUP_HOST_LOCK struct byoh_host_lock *lock = NULL;
	struct byoh_transaction transaction = {
		.input = input,
		.host = input->plan_input->host,
		.bundle_copy = -1,
	};
	mode_t old_mask;
	int r = byoh_host_lock_take(transaction.host, &lock, err);

	if (r < 0)
		return r;
	transaction.context = (struct byoh_action_context){
		.host = transaction.host,
		.plan = input->plan,
		.observer = input->observer,
		.cancel = input->cancel,
		.before_folder = transaction.before_folder,
		.thorough = input->plan_input->thorough,
		.open_blob = byoh_transaction_open_blob,
		.blob_context = &transaction,
	};
	old_mask = umask(022);
	r = run_locked(&transaction, err);
	umask(old_mask);
	byoh_journal_free(transaction.journal);
	byoh_staging_free(transaction.staging);
	byoh_step_release(&transaction.blobs);
	byoh_step_release(&transaction.release);
	byoh_step_release(&transaction.record);
	byoh_ledger_free(transaction.ledger);
	free(transaction.folders);
	free(transaction.numbers);
	return r;
}
