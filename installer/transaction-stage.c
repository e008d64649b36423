/* SPDX-License-Identifier: Apache-2.0 */
/* Staging: every file and link of the plan under its number, in the folder of its file system. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/arriving.h"
#include "installer/transaction-internal.h"
#include "installer/worker.h"

#define COPY_SIZE ((size_t)1 << 20)

/* New, empty, with the rights that it will have: the folder keeps others out until it is published. */
static int create_staged(int folder, uint64_t number, mode_t mode, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	char name[32];

	byoh_staged_name(number, name);
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot create a staged file");
	if (fchown(fd, byoh_path_owner(), byoh_path_group()) < 0 || fchmod(fd, mode) < 0)
		return byoh_fail_errno(err, "cannot set owner and mode of a staged file");
	return TAKE_FD(fd);
}

static int stage_content(int folder, uint64_t number, const struct byoh_action *action,
			 struct byoh_error *err)
{
	CLEANUP_FD int fd = create_staged(folder, number, action->mode, err);

	if (fd < 0)
		return fd;
	return byoh_write_all(fd, byoh_buffer_text(&action->content), action->content.size, err);
}

static int stage_link(int folder, uint64_t number, const struct byoh_action *action,
		      struct byoh_error *err)
{
	char name[32];

	byoh_staged_name(number, name);
	if (symlinkat(action->value, folder, name) < 0)
		return byoh_fail_errno(err, "cannot make the staged link");
	if (fchownat(folder, name, byoh_path_owner(), byoh_path_group(), AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "cannot set the owner of the staged link");
	return 0;
}

static int stage_duplicate(struct byoh_transaction *transaction, int folder, uint64_t number,
			   const struct byoh_action *action, struct byoh_error *err)
{
	char name[32];

	byoh_staged_name(number, name);
	return byoh_path_duplicate(transaction->host->root_fd, action->value, folder, name, err);
}

/* The action waits for the one pass over the bundle. */
static int expect_from_bundle(struct byoh_transaction *transaction, uint64_t number,
			      const struct byoh_action *action, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;
	const struct byoh_index *index = bundle ? byoh_bundle_index(bundle) : NULL;
	const struct byoh_file *file = index ? byoh_index_find(index, action->file->path) : NULL;

	if (!file || file->type != BYOH_FILE_REGULAR)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENOENT, "the bundle lacks %s", action->file->path);
	if (transaction->numbers[file - index->files] != BYOH_NOT_STAGED)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "%s is planned twice", action->subject);
	transaction->numbers[file - index->files] = number;
	return 0;
}

static int start_bundle_copy(struct byoh_transaction *transaction, int folder, uint64_t number,
			     const struct byoh_action *action, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;

	transaction->copy_number = number;
	transaction->copied = byoh_bundle_header_size(bundle);
	transaction->bundle_copy = create_staged(folder, number, action->mode, err);
	if (transaction->bundle_copy < 0)
		return transaction->bundle_copy;
	return byoh_pwrite_all(transaction->bundle_copy, byoh_bundle_header(bundle),
			       (size_t)byoh_bundle_header_size(bundle), 0, err);
}

static bool is_bundle_copy(const struct byoh_transaction *transaction, const struct byoh_action *action)
{
	return transaction->input->bundle && transaction->release.action_count &&
	       action == &transaction->release.actions[0];
}

int byoh_transaction_stage_one(struct byoh_transaction *transaction, uint64_t number,
			       const struct byoh_action *action, struct byoh_error *err)
{
	int folder, r;

	if (!byoh_action_is_change(action) || !byoh_action_ops(action->kind)->on_disk)
		return 0;
	r = byoh_staging_for(transaction->staging, action->subject, &folder, NULL, err);
	if (r < 0)
		return r;
	transaction->folders[number] = folder;
	if (action->kind == BYOH_ACTION_LINK)
		return stage_link(folder, number, action, err);
	if (action->kind == BYOH_ACTION_RESTORE || action->kind == BYOH_ACTION_SAVE)
		return stage_duplicate(transaction, folder, number, action, err);
	if (action->kind != BYOH_ACTION_FILE)
		return 0;
	if (action->copy)
		return 0; /* when what it is a copy of is there */
	if (action->file)
		return expect_from_bundle(transaction, number, action, err);
	if (is_bundle_copy(transaction, action))
		return start_bundle_copy(transaction, folder, number, action, err);
	return stage_content(folder, number, action, err);
}

/* All but the ledger, which is to tell what happened. */
static int stage_early(struct byoh_transaction *transaction, uint64_t number,
		       const struct byoh_action *action, struct byoh_error *err)
{
	if (transaction->record.action_count && action == &transaction->record.actions[0])
		return 0;
	return byoh_transaction_stage_one(transaction, number, action, err);
}

/* By any thread: reads the tables only. */
static int open_staged(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;
	const struct byoh_index *index = byoh_bundle_index(transaction->input->bundle);
	uint64_t number = transaction->numbers[file - index->files];
	mode_t mode = strncmp(file->path, BYOH_IMAGE_BLOB_DIR "/", strlen(BYOH_IMAGE_BLOB_DIR "/")) == 0 ?
			      0600 : file->mode;

	if (number == BYOH_NOT_STAGED)
		return BYOH_UNPACK_SKIP;
	return create_staged(transaction->folders[number], number, mode, err);
}

static int store(void *context, uint64_t offset, const void *bytes, size_t size, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;
	uint64_t header = byoh_bundle_header_size(transaction->input->bundle);
	int r = byoh_pwrite_all(transaction->bundle_copy, bytes, size, header + offset, err);

	if (r < 0)
		return byoh_error_wrap(err, r, "cannot keep the bundle");
	byoh_start_writeback(transaction->bundle_copy, header + offset, size, false);
	transaction->copied = header + offset + size;
	return 0;
}

/* The next slice is missing. What came needs no second bringing: the run that goes on reads it from here. */
static int keep_arrived(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;
	const struct byoh_reader *reader = byoh_bundle_reader(bundle);
	uint64_t start = byoh_bundle_offset(bundle), tail_offset;
	const void *tail;
	size_t tail_size;
	char name[32];
	int r = 0;

	if (transaction->bundle_copy < 0 || !byoh_reader_is_slices(reader))
		return 0;
	tail = byoh_slices_tail(reader, &tail_offset, &tail_size);
	if (tail_size && tail_offset == start + transaction->copied)
		r = byoh_pwrite_all(transaction->bundle_copy, tail, tail_size, transaction->copied, err);
	if (r < 0)
		return r;
	if (fsync(transaction->bundle_copy) < 0)
		return byoh_fail_errno(err, "cannot store what has come");
	byoh_staged_name(transaction->copy_number, name);
	return byoh_arriving_keep(transaction->host, transaction->folders[transaction->copy_number], name, reader,
				  start, err);
}

static bool wants_unpacking(const struct byoh_transaction *transaction, size_t file_count)
{
	if (transaction->bundle_copy >= 0)
		return true;
	for (size_t i = 0; i < file_count; i++)
		if (transaction->numbers[i] != BYOH_NOT_STAGED)
			return true;
	return false;
}

/* The frames with files that are wanted: the others need no decoder, and of a delta no base. */
static bool *wanted_frames(const struct byoh_transaction *transaction, size_t file_count)
{
	const struct byoh_index *index = byoh_bundle_index(transaction->input->bundle);
	bool *wanted = calloc(index->frame_count, sizeof(*wanted));

	for (size_t i = 0; wanted && i < file_count; i++)
		if (transaction->numbers[i] != BYOH_NOT_STAGED)
			byoh_index_mark_frames(index, &index->files[i], wanted);
	return wanted;
}

struct unpacking {
	struct byoh_transaction *transaction;
	const bool *wanted;
	int scratch_fd;
};

/* What only the process that reads knows: what has come, and from where. */
static int settle_reading(struct byoh_transaction *transaction, int r, struct byoh_error *err)
{
	const struct byoh_reader *reader = byoh_bundle_reader(transaction->input->bundle);
	struct byoh_error failure = BYOH_ERROR_INIT;

	if (r == -ENOMEDIUM && keep_arrived(transaction, &failure) < 0)
		byoh_observer_warn(transaction->input->observer, "%s", failure.message);
	/* Its first bytes may be those of a slice that was bad itself. */
	if (r == -EBADMSG && byoh_reader_is_slices(reader) && byoh_slices_used_kept(reader))
		byoh_error_remedy(err, "if that slice is good, remove " BYOH_ARRIVING_FOLDER
				       " and begin with the first one again");
	return r;
}

/* In the worker. */
static int unpack_bundle(void *context, struct byoh_worker *worker, struct byoh_error *err)
{
	const struct unpacking *unpacking = context;
	struct byoh_transaction *transaction = unpacking->transaction;
	const struct byoh_unpack unpack = {
		.open = open_staged,
		.stored = transaction->bundle_copy >= 0 ? store : NULL,
		.context = transaction,
		.progress = { byoh_worker_bytes, worker, transaction->input->cancel },
		.decode = unpacking->wanted,
		.scratch_fd = unpacking->scratch_fd,
	};

	return settle_reading(transaction, byoh_bundle_unpack(transaction->input->bundle, &unpack, err), err);
}

/* Slices may have to be put aside: the folder for that is there before the worker is shut in. */
static int open_arriving(const struct byoh_transaction *transaction, int *ret, struct byoh_error *err)
{
	int r;

	if (transaction->bundle_copy < 0 || !byoh_reader_is_slices(byoh_bundle_reader(transaction->input->bundle)))
		return 0;
	r = byoh_make_directories(transaction->host->root_fd, BYOH_ARRIVING_FOLDER, 0700, err);
	if (r < 0)
		return r;
	*ret = byoh_open_beneath(transaction->host->root_fd, BYOH_ARRIVING_FOLDER, O_RDONLY | O_DIRECTORY, 0, err);
	return *ret < 0 ? *ret : 0;
}

static int run_worker(struct byoh_transaction *transaction, struct unpacking *unpacking, int arriving,
		      struct byoh_error *err)
{
	const struct byoh_observer *observer = transaction->input->observer;
	int folders[BYOH_STAGING_MAX + 1];
	struct byoh_work work = {
		.run = unpack_bundle,
		.context = unpacking,
		.folders = folders,
		.folder_count = byoh_staging_folders(transaction->staging, folders),
		.cancel = transaction->input->cancel,
	};

	if (arriving >= 0)
		folders[work.folder_count++] = arriving;
	if (observer) {
		work.bytes = observer->bytes;
		work.note = observer->note;
		work.observer = observer->context;
	}
	return byoh_worker_run(&work, err);
}

static int unpack(struct byoh_transaction *transaction, size_t file_count, struct byoh_error *err)
{
	struct unpacking unpacking = { .transaction = transaction };
	CLEANUP_FREE bool *wanted = NULL;
	CLEANUP_FD int arriving = -1;
	int r = 0;

	if (!wants_unpacking(transaction, file_count))
		return 0;
	unpacking.wanted = wanted = wanted_frames(transaction, file_count);
	if (!wanted)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (byoh_bundle_base(transaction->input->bundle))
		r = byoh_staging_for(transaction->staging, BYOH_HOME "/base", &unpacking.scratch_fd, NULL, err);
	if (r == 0)
		r = open_arriving(transaction, &arriving, err);
	if (r < 0)
		return r;
	r = run_worker(transaction, &unpacking, arriving, err);
	if (arriving >= 0)
		byoh_transaction_remove_empty(transaction->host, BYOH_ARRIVING_FOLDER);
	return r;
}

/* What the bundle puts at the file's own place: from this run's staging, or from an earlier run. */
static int open_original(struct byoh_transaction *transaction, const struct byoh_file *file, struct byoh_error *err)
{
	const struct byoh_index *index = byoh_bundle_index(transaction->input->bundle);
	const struct byoh_file *ours = byoh_index_find(index, file->path);
	uint64_t number = ours ? transaction->numbers[ours - index->files] : BYOH_NOT_STAGED;
	CLEANUP_FREE char *path = NULL;
	char name[32];
	int fd;

	if (number != BYOH_NOT_STAGED) {
		byoh_staged_name(number, name);
		fd = openat(transaction->folders[number], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? byoh_fail_errno(err, "cannot open what was staged") : fd;
	}
	if (asprintf(&path, "/%s", file->path) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return byoh_open_beneath(transaction->host->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
}

static int copy_bytes(int from, int to, struct byoh_error *err)
{
	CLEANUP_FREE char *bytes = malloc(COPY_SIZE);
	ssize_t n;
	int r = 0;

	if (!bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (r == 0 && (n = read(from, bytes, COPY_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? byoh_fail_errno(err, "cannot read") : byoh_write_all(to, bytes, (size_t)n, err);
	}
	return r;
}

static int stage_copy(struct byoh_transaction *transaction, uint64_t number, const struct byoh_action *action,
		      struct byoh_error *err)
{
	CLEANUP_FD int from = -1, to = -1, back = -1;
	struct byoh_digest digest;
	char name[32];
	int r;

	if (!action->copy || !byoh_action_is_change(action))
		return 0;
	from = open_original(transaction, action->file, err);
	if (from < 0)
		return from;
	to = create_staged(transaction->folders[number], number, action->mode, err);
	r = to < 0 ? to : copy_bytes(from, to, err);
	byoh_staged_name(number, name);
	if (r == 0) {
		back = openat(transaction->folders[number], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		r = back < 0 ? byoh_fail_errno(err, "cannot open what was staged") :
			       byoh_digest_fd(back, UINT64_MAX, &digest, NULL, err);
	}
	if (r == 0 && !byoh_digest_equal(&digest, &action->digest))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EILSEQ,
				 "/%s was changed while it was copied; run byoh-install repair", action->file->path);
	return r;
}

static int show_staged(struct byoh_transaction *transaction, uint64_t number,
		       const struct byoh_action *action, struct byoh_error *err)
{
	const struct byoh_transaction_input *input = transaction->input;
	CLEANUP_FREE char *path = NULL;
	const char *folder;
	int r;

	if (!input->staged || !action->file || !byoh_action_is_change(action))
		return 0;
	r = byoh_staging_for(transaction->staging, action->subject, NULL, &folder, err);
	if (r < 0)
		return r;
	if (asprintf(&path, "%s/%" PRIu64, folder, number) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return input->staged(input->staged_context, transaction->host->root_fd, path, action->file, err);
}

static int for_each_action(struct byoh_transaction *transaction,
			   int (*visit)(struct byoh_transaction *transaction, uint64_t number,
					const struct byoh_action *action, struct byoh_error *err),
			   struct byoh_error *err)
{
	struct byoh_step *step;
	uint64_t number = 0;

	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++) {
		for (size_t j = 0; j < step->action_count; j++, number++) {
			int r = visit(transaction, number, &step->actions[j], err);

			if (r < 0)
				return byoh_error_wrap(err, r, "%s", step->actions[j].subject);
		}
	}
	return 0;
}

static int make_tables(struct byoh_transaction *transaction, size_t file_count, struct byoh_error *err)
{
	struct byoh_step *step;

	transaction->total = 0;
	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++)
		transaction->total += step->action_count;
	transaction->folders = calloc(transaction->total + 1, sizeof(*transaction->folders));
	transaction->numbers = calloc(file_count + 1, sizeof(*transaction->numbers));
	if (!transaction->folders || !transaction->numbers)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < file_count; i++)
		transaction->numbers[i] = BYOH_NOT_STAGED;
	return 0;
}

int byoh_transaction_stage(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;
	size_t file_count = bundle ? byoh_bundle_index(bundle)->file_count : 0;
	int r = make_tables(transaction, file_count, err);

	if (r == 0)
		r = for_each_action(transaction, stage_early, err);
	if (r == 0)
		r = unpack(transaction, file_count, err);
	byoh_cleanup_fd(&transaction->bundle_copy);
	transaction->bundle_copy = -1;
	if (r == 0)
		r = for_each_action(transaction, stage_copy, err);
	if (r == 0)
		r = for_each_action(transaction, show_staged, err);
	/* One sync for all files: they have their bytes before they have their names. */
	return r < 0 ? r : byoh_staging_sync(transaction->staging, err);
}
