/* SPDX-License-Identifier: Apache-2.0 */
/* What a transaction tells the ledger, and what may go once it holds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/arriving.h"
#include "installer/log.h"
#include "installer/restore.h"
#include "installer/state.h"
#include "installer/transaction-internal.h"

#define JOURNALS_KEPT 8 /* for people who ask what happened */

/* Our own folder goes as a whole. */
static bool is_ours(const char *path)
{
	size_t length = strlen(BYOH_HOME);

	return strncmp(path, BYOH_HOME, length) == 0 && (!path[length] || path[length] == '/');
}

bool byoh_transaction_remembers(const struct byoh_action *action)
{
	switch (action->kind) {
	case BYOH_ACTION_RELOAD:
	case BYOH_ACTION_RELABEL:
	case BYOH_ACTION_SAVE:
	case BYOH_ACTION_KILL:
	case BYOH_ACTION_UNMOUNT:
		return false;
	default:
		return !action->gives_back && !is_ours(action->subject);
	}
}

int byoh_transaction_add_ledger(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_action *action;
	int r;

	transaction->record.name = "ledger";
	r = byoh_step_file(&transaction->record, BYOH_LEDGER_PATH, 0600, "", 0, &action, err);
	if (r == 0)
		r = byoh_action_check(&transaction->context, action, err);
	if (r == 0 && action->state == BYOH_STATE_SAME)
		action->state = BYOH_STATE_DIFFERENT;
	return r;
}

static int note_written(struct byoh_transaction *transaction, const struct byoh_action *action,
			struct byoh_error *err)
{
	struct byoh_origin *origin = byoh_ledger_find(transaction->ledger, action->kind, action->subject);

	if (!origin || (action->create_only && !byoh_action_is_change(action)))
		return 0;
	origin->was_written = true;
	origin->written = action->digest;
	origin->stamp = byoh_stamp_of(transaction->host->root_fd, action->subject);
	if (action->kind != BYOH_ACTION_LINK)
		return 0;
	return byoh_digest_of(action->value, strlen(action->value), &origin->written, err);
}

static int note_actions(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_step *step;
	int r = 0;

	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++) {
		for (size_t j = 0; r == 0 && j < step->action_count; j++) {
			const struct byoh_action *action = &step->actions[j];

			if (action->gives_back)
				byoh_ledger_drop(transaction->ledger, action->kind, action->subject);
			else if (action->kind == BYOH_ACTION_FILE || action->kind == BYOH_ACTION_LINK)
				r = note_written(transaction, action, err);
		}
	}
	return r;
}

int byoh_transaction_stage_ledger(struct byoh_transaction *transaction, uint64_t number,
				  struct byoh_error *err)
{
	struct byoh_action *action = &transaction->record.actions[0];
	int r = note_actions(transaction, err);

	if (r == 0)
		r = byoh_ledger_write(transaction->ledger, &action->content, err);
	if (r < 0)
		return r;
	action->size = action->content.size;
	r = byoh_transaction_stage_one(transaction, number, action, err);
	/* Its bytes are on disk before its name is. */
	return r < 0 ? r : byoh_staging_sync(transaction->staging, err);
}

/*
 * When it holds
 */

static int finish_actions(const struct byoh_host *host, const struct byoh_journal_text *journal,
			  const struct byoh_observer *observer, struct byoh_error *err)
{
	const struct byoh_action_context context = { .host = host, .observer = observer };
	int r = 0;

	for (size_t i = 0; r == 0 && i < journal->count; i++) {
		struct byoh_before before = { 0 };

		if (strcmp(byoh_record_type(journal->records[i]), "before") != 0)
			continue;
		r = byoh_before_read(journal->records[i], &before, err);
		if (r == 0 && byoh_action_ops(before.kind)->finish)
			r = byoh_action_ops(before.kind)->finish(&context, &before, err);
		byoh_before_release(&before);
	}
	return r;
}

struct pruning {
	const struct byoh_host *host;
	const struct byoh_ledger *ledger;
	const struct byoh_state *state, *previous; /* previous: NULL where there is none */
	uint64_t journal; /* whose images are looked at; the newest of all */
};

static bool is_needed(const struct pruning *pruning, const char *image)
{
	for (size_t i = 0; i < pruning->ledger->count; i++) {
		const struct byoh_origin *origin = &pruning->ledger->origins[i];
		char name[32];

		byoh_staged_name(origin->before.number, name);
		if (origin->journal == pruning->journal && strcmp(name, image) == 0)
			return true;
	}
	return false;
}

static int prune_image(void *context, const char *name, struct byoh_error *err)
{
	const struct pruning *pruning = context;
	char path[96];

	if (is_needed(pruning, name))
		return 0;
	snprintf(path, sizeof(path), BYOH_BEFORE_FOLDER "/%08" PRIu64 "/%.20s", pruning->journal, name);
	return byoh_remove_file(pruning->host->root_fd, path, err);
}

static int prune_images(void *context, const char *name, struct byoh_error *err)
{
	struct pruning pruning = *(struct pruning *)context;
	char path[64];
	int r;

	pruning.journal = strtoull(name, NULL, 10);
	byoh_transaction_before_folder(pruning.journal, path);
	r = byoh_each_name(pruning.host->root_fd, path, prune_image, &pruning, err);
	if (r == 0)
		byoh_transaction_remove_empty(pruning.host, path);
	return r;
}

static int prune_journal(void *context, const char *name, struct byoh_error *err)
{
	const struct pruning *pruning = context;
	uint64_t number = strtoull(name, NULL, 10);

	if (!number || number + JOURNALS_KEPT > pruning->journal)
		return 0;
	return byoh_journal_remove(pruning->host, number, err);
}

/* A delta is nothing without what it builds on. */
static bool builds_on(const struct byoh_state *state, const char *id)
{
	return state && state->bases && strstr(state->bases, id);
}

static int prune_release(void *context, const char *name, struct byoh_error *err)
{
	const struct pruning *pruning = context;
	const struct byoh_state *state = pruning->state;
	CLEANUP_FREE char *path = NULL;

	if ((state->release_id && strcmp(name, state->release_id) == 0) ||
	    (state->previous_id && strcmp(name, state->previous_id) == 0) || builds_on(state, name) ||
	    builds_on(pruning->previous, name))
		return 0;
	if (asprintf(&path, BYOH_RELEASES_FOLDER "/%s", name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return byoh_remove_tree(pruning->host->root_fd, path, err);
}

static int prune(const struct byoh_host *host, uint64_t newest, struct byoh_error *err)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = NULL;
	CLEANUP_STATE struct byoh_state *state = NULL;
	CLEANUP_STATE struct byoh_state *previous = NULL;
	struct pruning pruning = { .host = host, .journal = newest };
	int r = byoh_ledger_read(host, &ledger, err);

	if (r == 0)
		r = byoh_state_read(host, &state, err);
	if (r < 0 || !state)
		return r;
	r = byoh_state_read_previous(host, &previous, err);
	if (r < 0)
		return r;
	pruning.previous = previous;
	pruning.ledger = ledger;
	pruning.state = state;
	r = byoh_each_name(host->root_fd, BYOH_BEFORE_FOLDER, prune_images, &pruning, err);
	if (r == 0)
		r = byoh_each_name(host->root_fd, BYOH_JOURNAL_FOLDER, prune_journal, &pruning, err);
	if (r == 0)
		r = byoh_arriving_drop(host, err);
	return r < 0 ? r : byoh_each_name(host->root_fd, BYOH_RELEASES_FOLDER, prune_release, &pruning, err);
}

static int remove_entry(void *context, const char *name, struct byoh_error *err)
{
	const struct pruning *pruning = context;
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	int r;

	if (strcmp(name, "lock") == 0 || strcmp(name, "journal") == 0)
		return 0;
	if (asprintf(&path, BYOH_HOME "/%s", name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_stat_beneath(pruning->host->root_fd, path, &st, err);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? byoh_remove_tree(pruning->host->root_fd, path, err) :
				     byoh_remove_file(pruning->host->root_fd, path, err);
}

/* The journal goes last of all: while it is there the next run goes on here. The lock's holder takes the
 * folder itself away. */
static int leave(const struct byoh_host *host, uint64_t number, struct byoh_error *err)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = NULL;
	struct pruning pruning = { .host = host };
	int r = byoh_ledger_read(host, &ledger, err), synced;

	if (r == 0 && byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, BYOH_LOG_FOLDER))
		r = byoh_remove_tree(host->root_fd, BYOH_LOG_FOLDER, err);
	if (r == 0)
		r = byoh_restore_last(host, ledger, err);
	if (r == 0)
		r = byoh_each_name(host->root_fd, BYOH_HOME, remove_entry, &pruning, err);
	for (uint64_t i = number > JOURNALS_KEPT ? number - JOURNALS_KEPT : 1; r == 0 && i < number; i++)
		r = byoh_journal_unlink(host, i, err);
	if (r < 0)
		return r;
	/* That this fails is told, and no reason to leave anything behind. */
	synced = byoh_journal_sync_folder(host, err);
	r = byoh_remove_tree(host->root_fd, BYOH_JOURNAL_FOLDER, synced < 0 ? NULL : err);
	return synced < 0 ? synced : r;
}

bool byoh_transaction_gives_back(const struct byoh_journal_text *journal)
{
	const struct byoh_yaml_node *node;

	if (!journal->count)
		return false;
	node = byoh_yaml_get(byoh_yaml_root(journal->records[0]), "leaves");
	return node && node->type == BYOH_YAML_SCALAR && strcmp(node->text, "1") == 0;
}

int byoh_transaction_finish(const struct byoh_host *host, uint64_t number,
			    const struct byoh_observer *observer, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *journal = NULL;
	int r = byoh_journal_read(host, number, &journal, err);

	if (r == 0)
		r = finish_actions(host, journal, observer, err);
	if (r < 0)
		return r;
	return byoh_transaction_gives_back(journal) ? leave(host, number, err) : prune(host, number, err);
}
