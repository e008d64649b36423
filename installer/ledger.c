/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define HEADER "byoh-ledger 1\n"

static void release_origin(struct byoh_origin *origin)
{
	byoh_before_release(&origin->before);
	free(origin->step);
}

void byoh_ledger_free(struct byoh_ledger *ledger)
{
	if (!ledger)
		return;
	for (size_t i = 0; i < ledger->count; i++)
		release_origin(&ledger->origins[i]);
	free(ledger->origins);
	free(ledger);
}

void byoh_ledger_freep(struct byoh_ledger **ledger)
{
	byoh_ledger_free(*ledger);
}

/* What stands at a path is one thing, whichever action put it there. */
static enum byoh_action_kind class_of(enum byoh_action_kind kind)
{
	switch (kind) {
	case BYOH_ACTION_LINK:
	case BYOH_ACTION_REMOVE:
	case BYOH_ACTION_RESTORE:
		return BYOH_ACTION_FILE;
	case BYOH_ACTION_REMOVE_DIRECTORY:
		return BYOH_ACTION_DIRECTORY;
	case BYOH_ACTION_REMOVE_DATA:
		return BYOH_ACTION_DATA;
	default:
		return kind;
	}
}

struct byoh_origin *byoh_ledger_find(const struct byoh_ledger *ledger, enum byoh_action_kind kind,
				     const char *subject)
{
	for (size_t i = 0; ledger && i < ledger->count; i++)
		if (class_of(ledger->origins[i].before.kind) == class_of(kind) &&
		    strcmp(ledger->origins[i].before.subject, subject) == 0)
			return &ledger->origins[i];
	return NULL;
}

void byoh_ledger_drop(struct byoh_ledger *ledger, enum byoh_action_kind kind, const char *subject)
{
	struct byoh_origin *origin = byoh_ledger_find(ledger, kind, subject);

	if (!origin)
		return;
	release_origin(origin);
	ledger->count--;
	memmove(origin, origin + 1,
		(size_t)(ledger->origins + ledger->count - origin) * sizeof(*origin));
}

static int append(struct byoh_ledger *ledger, struct byoh_origin *origin, struct byoh_error *err)
{
	struct byoh_origin *grown = reallocarray(ledger->origins, ledger->count + 1, sizeof(*grown));

	if (!grown) {
		release_origin(origin);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	ledger->origins = grown;
	grown[ledger->count++] = *origin;
	return 0;
}

static int add_folder(struct byoh_ledger *ledger, const char *path, uint64_t journal, const char *step,
		      struct byoh_error *err)
{
	struct byoh_origin origin = { .before = { .kind = BYOH_ACTION_DIRECTORY }, .journal = journal };
	int r;

	if (byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, path))
		return 0;
	r = byoh_before_set(&origin.before.subject, path, err);
	if (r == 0)
		r = byoh_before_set(&origin.step, step, err);
	if (r < 0) {
		release_origin(&origin);
		return r;
	}
	return append(ledger, &origin, err);
}

/* Each of the folders that were missing above a path, and for a directory itself. */
static int add_made(struct byoh_ledger *ledger, const struct byoh_before *before, uint64_t journal,
		    const char *step, struct byoh_error *err)
{
	CLEANUP_FREE char *path = strdup(before->subject);
	size_t length = strlen(before->made);
	int r = 0;

	if (!path)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (r == 0) {
		bool whole = !before->subject[length];

		if (whole && before->kind != BYOH_ACTION_DIRECTORY)
			break;
		path[length] = '\0';
		r = add_folder(ledger, path, journal, step, err);
		path[length] = before->subject[length];
		if (whole)
			break;
		length += 1 + strcspn(before->subject + length + 1, "/");
	}
	return r;
}

int byoh_ledger_add(struct byoh_ledger *ledger, struct byoh_before *before, uint64_t journal,
		    const char *step, struct byoh_error *err)
{
	struct byoh_origin origin = { .before = *before, .journal = journal };
	struct byoh_origin *known = byoh_ledger_find(ledger, before->kind, before->subject);
	int r = 0;

	*before = (struct byoh_before){ 0 };
	if (origin.before.made)
		r = add_made(ledger, &origin.before, journal, step, err);
	if (r == 0)
		r = byoh_before_set(known ? &known->step : &origin.step, step, err);
	/* A directory that was missing is among those that were made. */
	if (r < 0 || known || (origin.before.kind == BYOH_ACTION_DIRECTORY && !origin.before.existed)) {
		release_origin(&origin);
		return r;
	}
	return append(ledger, &origin, err);
}

/*
 * Reading and writing
 */

static int write_origin(const struct byoh_origin *origin, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_RECORD struct byoh_record record = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_record_begin(&record, "origin");
	byoh_before_describe(&origin->before, &record);
	byoh_record_u64(&record, "journal", origin->journal);
	byoh_record_string(&record, "step", origin->step);
	if (origin->was_written) {
		byoh_digest_hex(&origin->written, hex);
		byoh_record_string(&record, "written", hex);
	}
	if (origin->stamp.inode) {
		byoh_record_u64(&record, "inode", origin->stamp.inode);
		byoh_record_u64(&record, "size", origin->stamp.size);
		byoh_record_u64(&record, "changedSeconds", origin->stamp.changed_seconds);
		byoh_record_u64(&record, "changedNanoseconds", origin->stamp.changed_nanoseconds);
	}
	return byoh_record_line(&record, ret, err);
}

int byoh_ledger_write(const struct byoh_ledger *ledger, struct byoh_buffer *ret, struct byoh_error *err)
{
	int r = byoh_buffer_add_string(ret, HEADER, err);

	for (size_t i = 0; r == 0 && i < ledger->count; i++)
		r = write_origin(&ledger->origins[i], ret, err);
	return r;
}

static int read_written(const struct byoh_yaml *doc, struct byoh_origin *ret, struct byoh_error *err)
{
	const char *hex = NULL;
	int r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "written", false, &hex, err);

	if (r < 0 || !hex)
		return r;
	ret->was_written = byoh_digest_parse(hex, &ret->written);
	return ret->was_written ? 0 : byoh_yaml_fail(doc, NULL, err, "\"written\" is no digest");
}

static int read_origin(const struct byoh_yaml *doc, struct byoh_origin *ret, struct byoh_error *err)
{
	const struct {
		const char *key;
		bool required;
		uint64_t *value;
	} fields[] = {
		{ "journal", true, &ret->journal },
		{ "inode", false, &ret->stamp.inode },
		{ "size", false, &ret->stamp.size },
		{ "changedSeconds", false, &ret->stamp.changed_seconds },
		{ "changedNanoseconds", false, &ret->stamp.changed_nanoseconds },
	};
	const char *step = NULL;
	int r = byoh_before_read(doc, &ret->before, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++)
		r = byoh_yaml_read_u64(doc, byoh_yaml_root(doc), fields[i].key, fields[i].required,
				       fields[i].value, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "step", true, &step, err);
	if (r == 0)
		r = byoh_before_set(&ret->step, step, err);
	return r < 0 ? r : read_written(doc, ret, err);
}

int byoh_ledger_parse(const char *bytes, size_t size, struct byoh_ledger **ret, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
	CLEANUP_LEDGER struct byoh_ledger *ledger = calloc(1, sizeof(*ledger));
	int r;

	if (!ledger)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_records_parse(bytes, size, HEADER, BYOH_LEDGER_PATH, &text, err);
	/* It got its name when it was whole: nothing of it can be torn. */
	if (r == 0 && text->torn)
		r = byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
			      "%s is damaged; the file system lost data, check it", BYOH_LEDGER_PATH);
	for (size_t i = 0; r == 0 && i < text->count; i++) {
		struct byoh_origin origin = { 0 };

		r = read_origin(text->records[i], &origin, err);
		if (r < 0)
			release_origin(&origin);
		else
			r = append(ledger, &origin, err);
	}
	if (r == 0)
		*ret = TAKE_PTR(ledger);
	return r;
}

int byoh_ledger_read(const struct byoh_host *host, struct byoh_ledger **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int r;

	if (!byoh_exists_beneath(host->root_fd, BYOH_LEDGER_PATH))
		return byoh_ledger_parse(HEADER, strlen(HEADER), ret, err);
	r = byoh_read_file(host->root_fd, BYOH_LEDGER_PATH, BYOH_LEDGER_MAX_SIZE, &text, err);
	if (r == 0)
		r = byoh_ledger_parse(byoh_buffer_text(&text), text.size, ret, err);
	if (r == -EBADMSG)
		byoh_ledger_remedy(err);
	return r;
}

void byoh_ledger_remedy(struct byoh_error *err)
{
	byoh_error_remedy(err, "bring %s back from a backup of this host; services go on without it, but nobody else "
			       "knows what stood here before: a host without such a backup has to be set up anew",
			  BYOH_LEDGER_PATH);
}

/*
 * Files as they stand now
 */

struct byoh_stamp byoh_stamp_of(int root_fd, const char *path)
{
	struct stat st;

	if (byoh_stat_beneath(root_fd, path, &st, NULL) < 0 || !S_ISREG(st.st_mode))
		return (struct byoh_stamp){ 0 };
	return (struct byoh_stamp){ .inode = st.st_ino, .size = (uint64_t)st.st_size,
				    .changed_seconds = (uint64_t)st.st_ctim.tv_sec,
				    .changed_nanoseconds = (uint64_t)st.st_ctim.tv_nsec };
}

bool byoh_stamp_equal(const struct byoh_stamp *a, const struct byoh_stamp *b)
{
	return a->inode && a->inode == b->inode && a->size == b->size &&
	       a->changed_seconds == b->changed_seconds &&
	       a->changed_nanoseconds == b->changed_nanoseconds;
}

void byoh_origin_image(const struct byoh_origin *origin, char ret[static 96])
{
	snprintf(ret, 96, BYOH_HOME "/before/%08" PRIu64 "/%" PRIu64, origin->journal,
		 origin->before.number);
}

int byoh_digest_beneath(int root_fd, const char *path, struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer target = { 0 };
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r = byoh_stat_beneath(root_fd, path, &st, err);

	if (r == 0 && S_ISLNK(st.st_mode)) {
		r = byoh_read_link(root_fd, path, &target, err);
		return r < 0 ? r : byoh_digest_of(byoh_buffer_text(&target), target.size, ret, err);
	}
	if (r < 0)
		return r;
	fd = byoh_open_beneath(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	return fd < 0 ? fd : byoh_digest_fd(fd, UINT64_MAX, ret, NULL, err);
}

int byoh_origin_is_changed(const struct byoh_host *host, const struct byoh_origin *origin,
			   struct byoh_error *err)
{
	const char *path = origin->before.subject;
	struct byoh_digest digest;
	struct byoh_stamp stamp;
	struct stat st;
	int r;

	if (!byoh_exists_beneath(host->root_fd, path))
		return 0;
	if (!origin->was_written) /* what we removed, and somebody made again */
		return 1;
	stamp = byoh_stamp_of(host->root_fd, path);
	if (byoh_stamp_equal(&stamp, &origin->stamp))
		return 0;
	r = byoh_stat_beneath(host->root_fd, path, &st, err);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return 1;
	r = byoh_digest_beneath(host->root_fd, path, &digest, err);
	return r < 0 ? r : !byoh_digest_equal(&digest, &origin->written);
}
