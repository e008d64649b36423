/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/stick.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/read-back.h"
#include "bundle/slices.h"

#define CHUNK ((size_t)1 << 20)
#define FLUSH_EVERY ((uint64_t)8 << 20) /* a stick is slow: what the cache takes is no progress */
#define RECEIPT_ROOM ((uint64_t)64 << 10)
#define TEMPORARY_PREFIX ".byoh-usb-"
#define TEMPORARY_SIZE 40

static void temporary_name(size_t number, char ret[TEMPORARY_SIZE])
{
	snprintf(ret, TEMPORARY_SIZE, TEMPORARY_PREFIX "%zu.tmp", number);
}

void byoh_stick_release(struct byoh_stick *stick)
{
	for (size_t i = 0; i < stick->count; i++) {
		byoh_cleanup_fd(&stick->files[i].fd);
		byoh_bundle_free(stick->files[i].bundle);
	}
	free(stick->files);
	if (stick->directory > 0)
		close(stick->directory);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_bundle_name(const char *name)
{
	return ends_with(name, ".run") || ends_with(name, ".bundle");
}

static enum byoh_stick_kind kind_of(const char *name)
{
	char whole[BYOH_NAME_MAX + 1];
	size_t length;

	if (is_bundle_name(name))
		return BYOH_STICK_BUNDLE;
	if (!byoh_slice_is_name(name, &length) || length >= sizeof(whole))
		return BYOH_STICK_FILE;
	memcpy(whole, name, length);
	whole[length] = '\0';
	return is_bundle_name(whole) ? BYOH_STICK_SLICE : BYOH_STICK_FILE;
}

static void count_bytes(void *context, uint64_t bytes)
{
	struct byoh_stick *stick = context;

	stick->done += bytes;
	if (stick->progress.report)
		stick->progress.report(stick->progress.context, stick->done, stick->total);
}

static void begin_phase(struct byoh_stick *stick, const char *label)
{
	stick->done = 0;
	if (stick->phase)
		stick->phase(stick->progress.context, label);
}

/* Signatures by the keys that were given, or else by whom it names itself, and every byte. */
static int check_bundle(const struct byoh_stick *stick, struct byoh_bundle *bundle, struct byoh_error *err)
{
	struct byoh_progress progress = stick->progress;

	if (byoh_keyring_count(stick->keys))
		TRY(byoh_bundle_authenticate(bundle, stick->keys, 1, err));
	else
		TRY(byoh_bundle_examine(bundle, err));
	return byoh_bundle_check(bundle, 0, &progress, err);
}

static int open_source(struct byoh_stick_file *file, const char *path, struct byoh_error *err)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	file->path = path;
	file->name = slash ? slash + 1 : path;
	file->kind = kind_of(file->name);
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st) < 0)
		return byoh_fail_errno(err, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s is no file; name each file of a folder", path);
	file->size = (uint64_t)st.st_size;
	return 0;
}

static int check_collisions(const struct byoh_stick *stick, const struct byoh_stick_file *file,
			    struct byoh_error *err)
{
	int (*compare)(const char *a, const char *b) = stick->medium.fat_names ? strcasecmp : strcmp;

	if (strcasecmp(file->name, BYOH_RECEIPT_NAME) == 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST, "%s: the receipt is written under that name",
				 file->path);
	for (const struct byoh_stick_file *other = stick->files; other < file; other++)
		if (compare(other->name, file->name) == 0)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST, "%s and %s would be one file on the stick",
					 other->path, file->path);
	return 0;
}

/* The bytes of a slice on the stick are compared with its source; so it is there that the whole is checked, once for
 * all its slices. Where some are elsewhere nobody can tell. */
static int check_slices(struct byoh_stick *stick, struct byoh_stick_file *file, struct byoh_error *err)
{
	size_t length = strlen(file->path) - strlen(".001");
	struct byoh_error failure = BYOH_ERROR_INIT;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	int r;

	for (const struct byoh_stick_file *other = stick->files; other < file; other++)
		if (other->bundle && other->kind == BYOH_STICK_SLICE && strncmp(other->path, file->path, length) == 0 &&
		    strlen(other->path) == strlen(file->path)) {
			TRY(byoh_bundle_open_any(file->path, &file->bundle, err));
			return byoh_bundle_examine(file->bundle, err);
		}
	begin_phase(stick, "Checking");
	r = byoh_bundle_open_any(file->path, &bundle, &failure);
	if (r == 0)
		r = check_bundle(stick, bundle, &failure);
	if (r < 0 && failure.kind != BYOH_ERROR_MEDIUM) {
		if (err)
			*err = failure;
		return r;
	}
	if (r == 0)
		file->bundle = TAKE_PTR(bundle);
	return 0;
}

static int check_source(struct byoh_stick *stick, struct byoh_stick_file *file, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;

	TRY(byoh_medium_check_name(&stick->medium, file->name, err));
	TRY(byoh_medium_check_size(&stick->medium, file->path, file->size, err));
	TRY(check_collisions(stick, file, err));
	if (file->kind == BYOH_STICK_SLICE)
		return check_slices(stick, file, err);
	if (file->kind != BYOH_STICK_BUNDLE)
		return 0;
	begin_phase(stick, "Checking");
	TRY(byoh_bundle_open(file->path, &bundle, err));
	return check_bundle(stick, bundle, err);
}

/* What a run that was cut off left behind takes the room that this one needs. */
static int remove_leftover(void *context, const char *name, struct byoh_error *err)
{
	const struct byoh_stick *stick = context;

	if (strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0 && ends_with(name, ".tmp") &&
	    unlinkat(stick->directory, name, 0) < 0)
		return byoh_fail_errno(err, "cannot remove the leftover %s/%s", stick->folder, name);
	return 0;
}

static int check_room(struct byoh_stick *stick, struct byoh_error *err)
{
	uint64_t unit = stick->medium.allocation, need = RECEIPT_ROOM;
	char wanted[32], there[32];

	for (size_t i = 0; i < stick->count; i++)
		need += (stick->files[i].size + unit - 1) / unit * unit;
	if (need <= stick->medium.free)
		return 0;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOSPC,
			 "%s: %s are needed and %s are free; what is there already stays until the new files are "
			 "good, so take older ones away first",
			 stick->folder, byoh_format_size(need, wanted),
			 byoh_format_size(stick->medium.free, there));
}

static int look(struct byoh_stick *stick, struct byoh_error *err)
{
	int r = byoh_medium_look(stick->directory, &stick->medium, err);

	return r < 0 ? byoh_error_wrap(err, r, "%s", stick->folder) : 0;
}

/* One run at a time, on what earlier ones have left. */
static int take_stick(struct byoh_stick *stick, struct byoh_error *err)
{
	if (flock(stick->directory, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return byoh_fail_errno(err, "another run copies to %s", stick->folder);
	TRY(byoh_each_name(stick->directory, ".", remove_leftover, stick, err));
	TRY(look(stick, err));
	return check_room(stick, err);
}

int byoh_stick_open(struct byoh_stick *stick, const char *const *paths, size_t count, struct byoh_error *err)
{
	stick->directory = open(stick->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (stick->directory < 0)
		return byoh_fail_errno(err, "cannot open %s", stick->folder);
	stick->files = calloc(count, sizeof(*stick->files));
	if (!stick->files)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (; stick->count < count; stick->count++)
		stick->files[stick->count].fd = -1;
	for (size_t i = 0; i < count; i++) {
		TRY(open_source(&stick->files[i], paths[i], err));
		stick->total += stick->files[i].size;
	}
	TRY(look(stick, err));
	for (size_t i = 0; i < count; i++)
		TRY(check_source(stick, &stick->files[i], err));
	return 0;
}

/* A window behind the writing: what was handed over earlier must be out, so that the bar tells the truth. */
static void flush_behind(int fd, uint64_t at)
{
	if (at % FLUSH_EVERY)
		return;
	(void)sync_file_range(fd, (off_t)(at - FLUSH_EVERY), (off_t)FLUSH_EVERY, SYNC_FILE_RANGE_WRITE);
	if (at >= 2 * FLUSH_EVERY)
		(void)sync_file_range(fd, (off_t)(at - 2 * FLUSH_EVERY), (off_t)FLUSH_EVERY,
				      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
}

static int copy_bytes(struct byoh_stick *stick, const struct byoh_stick_file *file, int out, struct byoh_error *err)
{
	CLEANUP_FREE char *bytes = malloc(CHUNK);

	if (!bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (uint64_t at = 0; at < file->size;) {
		size_t part = file->size - at < CHUNK ? (size_t)(file->size - at) : CHUNK;

		TRY(byoh_pread_all(file->fd, bytes, part, at, err));
		TRY(byoh_write_all(out, bytes, part, err));
		at += part;
		flush_behind(out, at);
		count_bytes(stick, part);
	}
	return fsync(out) < 0 ? byoh_fail_errno(err, "cannot store it") : 0;
}

static int copy_file(struct byoh_stick *stick, const struct byoh_stick_file *file, const char *temporary,
		     struct byoh_error *err)
{
	mode_t mode = ends_with(file->name, ".run") ? 0755 : 0644; /* where the file system knows modes */
	CLEANUP_FD int out = openat(stick->directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				    mode);
	int r;

	if (out < 0)
		return byoh_fail_errno(err, "%s: cannot write there", stick->folder);
	r = copy_bytes(stick, file, out, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s/%s", stick->folder, file->name);
	if (close(TAKE_FD(out)) < 0)
		return byoh_fail_errno(err, "%s/%s: cannot store it", stick->folder, file->name);
	return 0;
}

static int read_back(struct byoh_stick *stick, struct byoh_stick_file *file, const char *temporary,
		     struct byoh_error *err)
{
	struct byoh_raw_file raw;
	struct byoh_read_at medium = { byoh_raw_read, &raw };
	uint64_t offset;
	int r = byoh_raw_open(stick->directory, temporary, &raw, err);

	if (r == 0) {
		r = byoh_read_back(file->fd, &medium, file->size, &file->digest, &offset, count_bytes, stick, err);
		file->direct = raw.direct;
		close(raw.fd);
	}
	return r < 0 ? byoh_error_wrap(err, r, "%s/%s", stick->folder, file->name) : 0;
}

/* As a host will read it, of the stick and not of the source. */
static int check_on_stick(struct byoh_stick *stick, struct byoh_stick_file *file, const char *temporary,
			  struct byoh_error *err)
{
	char *name = NULL;
	CLEANUP_FD int fd = -1;
	int r;

	if (file->kind != BYOH_STICK_BUNDLE)
		return 0;
	fd = openat(stick->directory, temporary, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return byoh_fail_errno(err, "%s/%s: cannot open it again", stick->folder, file->name);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (asprintf(&name, "%s/%s", stick->folder, file->name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_bundle_open_fd(fd, name, &file->bundle, err);
	free(name);
	if (r < 0)
		return r;
	fd = -1;
	begin_phase(stick, "Verifying");
	return check_bundle(stick, file->bundle, err);
}

static int sync_stick(const struct byoh_stick *stick, struct byoh_error *err)
{
	if (fsync(stick->directory) < 0 && errno != EINVAL)
		return byoh_fail_errno(err, "cannot store the names in %s", stick->folder);
	return syncfs(stick->directory) < 0 ? byoh_fail_errno(err, "cannot sync %s", stick->folder) : 0;
}

static int give_name(const struct byoh_stick *stick, const char *temporary, const char *name, struct byoh_error *err)
{
	if (renameat(stick->directory, temporary, stick->directory, name) < 0)
		return byoh_fail_errno(err, "%s/%s: cannot give it its name", stick->folder, name);
	return 0;
}

static int write_all(struct byoh_stick *stick, struct byoh_error *err)
{
	char temporary[TEMPORARY_SIZE];

	begin_phase(stick, "Copying");
	for (size_t i = 0; i < stick->count; i++) {
		temporary_name(i, temporary);
		TRY(copy_file(stick, &stick->files[i], temporary, err));
	}
	TRY(sync_stick(stick, err));
	begin_phase(stick, "Reading back");
	for (size_t i = 0; i < stick->count; i++) {
		temporary_name(i, temporary);
		TRY(read_back(stick, &stick->files[i], temporary, err));
	}
	for (size_t i = 0; i < stick->count; i++) {
		temporary_name(i, temporary);
		TRY(check_on_stick(stick, &stick->files[i], temporary, err));
	}
	for (size_t i = 0; i < stick->count; i++) {
		temporary_name(i, temporary);
		TRY(give_name(stick, temporary, stick->files[i].name, err));
	}
	return sync_stick(stick, err);
}

/* The same way as the files. */
static int write_receipt(struct byoh_stick *stick, struct byoh_error *err)
{
	struct byoh_stick_file receipt = { .path = BYOH_RECEIPT_NAME, .name = BYOH_RECEIPT_NAME };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FD int source = memfd_create(BYOH_RECEIPT_NAME, MFD_CLOEXEC);
	char temporary[TEMPORARY_SIZE];

	TRY(byoh_stick_receipt(stick, &text, err));
	if (source < 0)
		return byoh_fail_errno(err, "cannot make the receipt");
	TRY(byoh_write_all(source, text.data, text.size, err));
	receipt.fd = source;
	receipt.size = text.size;
	temporary_name(stick->count, temporary);
	TRY(copy_file(stick, &receipt, temporary, err));
	TRY(read_back(stick, &receipt, temporary, err));
	TRY(give_name(stick, temporary, receipt.name, err));
	return sync_stick(stick, err);
}

int byoh_stick_write(struct byoh_stick *stick, struct byoh_error *err)
{
	char temporary[TEMPORARY_SIZE];
	int r = take_stick(stick, err);

	if (r < 0)
		return r;
	stick->written = (uint64_t)time(NULL);
	r = write_all(stick, err);
	if (r == 0)
		r = write_receipt(stick, err);
	if (r == 0)
		return 0;
	for (size_t i = 0; i <= stick->count; i++) {
		temporary_name(i, temporary);
		unlinkat(stick->directory, temporary, 0); /* a dying stick may refuse that, too */
	}
	return r;
}
