/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting back what a transaction did, from its journal alone: the same for a failure, an interrupt and a
 * run that was killed. Every part can be done twice, so a killed undo is simply done again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/arriving.h"
#include "installer/run.h"
#include "installer/steps/leave.h"
#include "installer/transaction-internal.h"

struct undo {
	struct byoh_action_context context;
	const struct byoh_journal_text *journal;
	bool live, same_boot; /* services are as the transaction left them */
	size_t failures;
	struct byoh_error *err; /* gets the first failure */
};

static void observe(void (*function)(void *context, const char *message), void *context, const char *fmt,
		    va_list args)
{
	char message[1024];

	if (!function)
		return;
	vsnprintf(message, sizeof(message), fmt, args);
	function(context, message);
}

void byoh_observer_warn(const struct byoh_observer *observer, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (observer)
		observe(observer->warning, observer->context, fmt, args);
	va_end(args);
}

void byoh_observer_note(const struct byoh_observer *observer, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (observer)
		observe(observer->note, observer->context, fmt, args);
	va_end(args);
}

void byoh_transaction_before_folder(uint64_t number, char ret[static 64])
{
	snprintf(ret, 64, BYOH_BEFORE_FOLDER "/%08" PRIu64, number);
}

void byoh_transaction_boot_id(char ret[static 64])
{
	CLEANUP_FILE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || !fgets(ret, 64, file))
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static const char *record_text(const struct byoh_yaml *record, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(byoh_yaml_root(record), key);

	return node && node->type == BYOH_YAML_SCALAR ? node->text : "";
}

/* After a reboot services are not as the transaction left them: the boot starts what its files say. */
static bool is_same_boot(const struct byoh_host *host, const struct byoh_journal_text *journal)
{
	char boot_id[64];

	if (!host->live || !journal->count)
		return false;
	byoh_transaction_boot_id(boot_id);
	return boot_id[0] && strcmp(record_text(journal->records[0], "boot"), boot_id) == 0;
}

static void fail(struct undo *undo, const struct byoh_error *failure)
{
	if (!undo->failures++ && undo->err)
		*undo->err = *failure;
	byoh_observer_warn(undo->context.observer, "%s", failure->message);
}

static bool is_due(const struct undo *undo, const struct byoh_action_ops *ops)
{
	return ops->on_disk || (undo->live && (undo->same_boot || ops->any_boot));
}

static void undo_one(struct undo *undo, const struct byoh_yaml *record, bool settle)
{
	struct byoh_error failure = BYOH_ERROR_INIT;
	struct byoh_before before = { 0 };
	const struct byoh_action_ops *ops;
	int r;

	if (strcmp(byoh_record_type(record), "before") != 0)
		return;
	r = byoh_before_read(record, &before, &failure);
	ops = r == 0 ? byoh_action_ops(before.kind) : NULL;
	if (ops && !settle && is_due(undo, ops))
		r = ops->revert(&undo->context, &before, &failure);
	if (r < 0)
		fail(undo, &failure);
	/* Everything is back; a service that does not come up for another reason must not keep every later
	 * run from its work. */
	if (r == 0 && ops && settle && ops->settle && is_due(undo, ops) &&
	    ops->settle(&undo->context, &before, &failure) < 0)
		byoh_observer_warn(undo->context.observer, "%s", failure.message);
	byoh_before_release(&before);
}

static bool is_staging_path(const char *path)
{
	const char *name = strrchr(path, '/');

	return strcmp(path, BYOH_STAGING_PATH) == 0 || (name && strcmp(name, "/.byoh-staging") == 0);
}

static int clear_staging(const struct byoh_host *host, const struct byoh_journal_text *journal,
			 struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < journal->count; i++) {
		const char *path = record_text(journal->records[i], "path");

		if (strcmp(byoh_record_type(journal->records[i]), "staging") == 0 && is_staging_path(path))
			r = byoh_remove_tree(host->root_fd, path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Every name is back on disk before the journal that could bring it back goes. */
static int finish_undo(const struct byoh_host *host, uint64_t number, struct byoh_staging *staging,
		       struct byoh_error *err)
{
	CLEANUP_FD int root = byoh_open_beneath(host->root_fd, BYOH_HOME, O_RDONLY | O_DIRECTORY, 0, err);
	char folder[64];
	int r;

	if (root < 0)
		return root;
	r = byoh_staging_sync(staging, err);
	if (r == 0)
		r = byoh_staging_clear(staging, err);
	if (r == 0 && syncfs(root) < 0)
		r = byoh_fail_errno(err, "cannot sync");
	if (r == 0)
		r = byoh_journal_remove(host, number, err);
	byoh_transaction_before_folder(number, folder);
	return r < 0 ? r : byoh_remove_tree(host->root_fd, folder, err);
}

/* Makes sure that every file system with a name to put back is synced in the end. */
static void touch_volumes(struct undo *undo)
{
	for (size_t i = 0; i < undo->journal->count; i++) {
		const struct byoh_yaml *record = undo->journal->records[i];
		const char *subject = record_text(record, "subject");

		if (strcmp(byoh_record_type(record), "before") == 0 && subject[0] == '/')
			(void)!byoh_staging_for(undo->context.staging, subject, NULL, NULL, NULL);
	}
}

/* The name of the unit that such a link enables; NULL for other paths. */
static const char *enabled_unit(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && name - path > 6 && strncmp(name - 6, ".wants", 6) == 0 ? name + 1 : NULL;
}

/* This boot has read units that are gone now, and wants to start those that were enabled: their jobs wait for
 * us, and would find no program. */
static void forget_units(const struct undo *undo)
{
	struct byoh_error failure = BYOH_ERROR_INIT;

	if (byoh_run_simple(&failure, "systemctl", "daemon-reload", NULL) < 0)
		byoh_observer_warn(undo->context.observer, "%s", failure.message);
	for (size_t i = 0; i < undo->journal->count; i++) {
		const struct byoh_yaml *record = undo->journal->records[i];
		const char *path = record_text(record, "subject");
		const char *unit = enabled_unit(path);

		if (unit && strcmp(byoh_record_type(record), "before") == 0 &&
		    strcmp(record_text(record, "kind"), "link") == 0 &&
		    strcmp(record_text(record, "existed"), "0") == 0 && !byoh_leave_is_last(path) &&
		    !byoh_host_is_part_of(undo->context.host, unit))
			(void)!byoh_run_simple(NULL, "systemctl", "--no-block", "stop", "--", unit, NULL);
	}
}

int byoh_transaction_undo(const struct byoh_host *host, uint64_t number,
			  const struct byoh_observer *observer, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *journal = NULL;
	CLEANUP_STAGING struct byoh_staging *staging = NULL;
	char folder[64];
	struct undo undo = { .context = { .host = host, .observer = observer, .before_folder = folder },
			     .err = err };
	int r = byoh_journal_read(host, number, &journal, err);

	if (r == 0)
		r = clear_staging(host, journal, err);
	if (r == 0)
		r = byoh_staging_new(host, NULL, NULL, &staging, err);
	if (r < 0)
		return r;
	byoh_transaction_before_folder(number, folder);
	undo.context.staging = staging;
	undo.journal = journal;
	undo.live = host->live;
	undo.same_boot = is_same_boot(host, journal);
	touch_volumes(&undo);
	for (size_t i = journal->count; i > 0; i--)
		undo_one(&undo, journal->records[i - 1], false);
	for (size_t i = 0; i < journal->count; i++)
		undo_one(&undo, journal->records[i], true);
	if (undo.live && !undo.same_boot && host->systemd_running)
		forget_units(&undo);
	return undo.failures ? -EIO : finish_undo(host, number, staging, err);
}

void byoh_transaction_remove_empty(const struct byoh_host *host, const char *path)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(host->root_fd, path, &name, NULL);

	if (parent >= 0)
		unlinkat(parent, name, AT_REMOVEDIR);
}

void byoh_transaction_tidy(const struct byoh_host *host)
{
	uint64_t newest = 0;
	char folder[64];

	/* Images of a transaction whose journal is gone: its undo was killed at the very end. */
	if (byoh_journal_newest(host, &newest, NULL) == 0) {
		byoh_transaction_before_folder(newest + 1, folder);
		(void)!byoh_remove_tree(host->root_fd, folder, NULL);
	}
	(void)!byoh_remove_tree(host->root_fd, BYOH_STAGING_PATH, NULL);
	byoh_transaction_remove_empty(host, BYOH_JOURNAL_FOLDER);
	byoh_transaction_remove_empty(host, BYOH_BEFORE_FOLDER);
	byoh_transaction_remove_empty(host, BYOH_ARRIVING_FOLDER);
}

static int recover_locked(const struct byoh_host *host, const struct byoh_observer *observer,
			  bool *ret_settled, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *journal = NULL;
	uint64_t newest;
	int r = byoh_journal_newest(host, &newest, err);

	if (r == 0 && newest)
		r = byoh_journal_read(host, newest, &journal, err);
	if (r < 0)
		return r;
	if (journal && byoh_journal_is_committed(journal)) {
		r = clear_staging(host, journal, err); /* killed after the commit */
		if (r == 0)
			r = byoh_transaction_finish(host, newest, observer, err);
	} else if (journal) {
		r = byoh_transaction_undo(host, newest, observer, err);
		*ret_settled = r == 0;
	}
	if (r == 0)
		byoh_transaction_tidy(host);
	return r;
}

/* 1 if there is something to do, for which the lock is needed. */
static int look(const struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *journal = NULL;
	uint64_t newest;
	int r = byoh_journal_newest(host, &newest, err);

	if (r == 0 && newest)
		r = byoh_journal_read(host, newest, &journal, err);
	if (r < 0)
		return r;
	/* An uninstall that has committed is over when its journal is gone, and not before. */
	return byoh_host_lock_exists(host) ||
	       (journal && (!byoh_journal_is_committed(journal) || byoh_transaction_gives_back(journal)));
}

int byoh_transaction_recover(const struct byoh_host *host, const struct byoh_observer *observer,
			     bool *ret_settled, struct byoh_error *err)
{
	CLEANUP_HOST_LOCK struct byoh_host_lock *lock = NULL;
	int r = look(host, err);

	*ret_settled = false;
	if (r <= 0)
		return r < 0 ? byoh_error_wrap(err, r, "cannot read the journal") : 0;
	r = byoh_host_lock_take(host, &lock, err);
	if (r < 0)
		return r;
	r = recover_locked(host, observer, ret_settled, err);
	if (r < 0) {
		if (err)
			err->kind = BYOH_ERROR_UNRESTORED;
		return byoh_error_wrap(err, r, "an interrupted run could not be undone");
	}
	return 0;
}
