/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/slices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define TAIL_MAX ((size_t)1 << 20) /* less than a block is ever asked for at once and missing in part */

struct slices {
	struct byoh_reader reader;
	char *name;
	char *folders[BYOH_SLICES_FOLDERS_MAX];
	size_t folder_count;
	struct byoh_slices_kept kept; /* fd -1: none */
	bool used_kept;
	int (*ask)(void *context, const char *name, struct byoh_error *err);
	void *context;
	uint64_t length; /* of each but the last; 0: not known yet */
	uint64_t whole;	 /* 0: not known yet */
	unsigned int number; /* of the one that is open; 0: none */
	int fd;
	uint64_t size; /* of the one that is open */
	unsigned char *tail;
	uint64_t tail_offset;
	size_t tail_size;
};

static struct slices *slices_of(struct byoh_reader *reader)
{
	return (struct slices *)reader;
}

bool byoh_slice_is_name(const char *path, size_t *ret_length)
{
	const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');

	if (!dot || dot == path || (slash && dot <= slash + 1) || strlen(dot) != 4 ||
	    strspn(dot + 1, "0123456789") != 3 || strcmp(dot, ".000") == 0)
		return false;
	if (ret_length)
		*ret_length = (size_t)(dot - path);
	return true;
}

static void close_slice(struct slices *slices)
{
	byoh_cleanup_fd(&slices->fd);
	slices->fd = -1;
	slices->number = 0;
}

static void slice_name(const struct slices *slices, uint64_t number, char ret[BYOH_PATH_MAX])
{
	snprintf(ret, BYOH_PATH_MAX, "%.*s.%03llu", BYOH_NAME_MAX, slices->name, (unsigned long long)number);
}

static uint64_t count_of(const struct slices *slices)
{
	return slices->whole && slices->length ? (slices->whole + slices->length - 1) / slices->length : 0;
}

/* "X.bundle.003 (3 of 5)" */
static void describe(const struct slices *slices, uint64_t number, char ret[BYOH_PATH_MAX])
{
	uint64_t count = count_of(slices);
	size_t used;

	slice_name(slices, number, ret);
	used = strlen(ret);
	if (count)
		snprintf(ret + used, BYOH_PATH_MAX - used, " (%llu of %llu)", (unsigned long long)number,
			 (unsigned long long)count);
}

/* How long slice number has to be; 0 while that is not known. */
static uint64_t expected_size(const struct slices *slices, uint64_t number)
{
	if (!slices->length)
		return 0;
	if (!slices->whole)
		return number == 1 ? slices->length : 0;
	return number < count_of(slices) ? slices->length : slices->whole - (number - 1) * slices->length;
}

/* A slice of another length would shift all that follows: it is named before anything of it is used. */
static int check_length(const struct slices *slices, uint64_t number, uint64_t size, const char *path,
			struct byoh_error *err)
{
	uint64_t expected = expected_size(slices, number);

	if (!size)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "%s is empty; copy it again", path);
	if (!expected || size == expected)
		return 0;
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
			 "%s has %llu bytes and should have %llu: it, or the first slice, is of another bundle or "
			 "not copied to its end; copy it again",
			 path, (unsigned long long)size, (unsigned long long)expected);
}

/* 1: opened. 0: it is not there. */
static int open_in(struct slices *slices, uint64_t number, const char *folder, struct byoh_error *err)
{
	char name[BYOH_PATH_MAX], path[2 * BYOH_PATH_MAX + 2];
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r;

	slice_name(slices, number, name);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "%s is not a file", path);
	r = check_length(slices, number, (uint64_t)st.st_size, path, err);
	if (r < 0)
		return r;
	if (number == 1)
		slices->length = (uint64_t)st.st_size;
	slices->size = (uint64_t)st.st_size;
	slices->fd = TAKE_FD(fd);
	slices->number = (unsigned int)number;
	return 1;
}

static int look_for(struct slices *slices, uint64_t number, struct byoh_error *err)
{
	int r = 0;

	if (slices->number == number)
		return 1;
	close_slice(slices);
	for (size_t i = 0; i < slices->folder_count && r == 0; i++)
		r = open_in(slices, number, slices->folders[i], err);
	return r;
}

static int fail_missing(const struct slices *slices, uint64_t number, struct byoh_error *err)
{
	char name[BYOH_PATH_MAX];

	describe(slices, number, name);
	return byoh_fail(err, BYOH_ERROR_MEDIUM, ENOMEDIUM,
			 "%s is missing: bring the medium that has it, and run this again with --from and its folder",
			 name);
}

/* Nothing of the medium stays open while somebody is asked for the next one. */
static int require(struct slices *slices, uint64_t number, struct byoh_error *err)
{
	char name[BYOH_PATH_MAX];
	int r;

	if (number > BYOH_SLICES_MAX)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "%s: more than %d slices", slices->name,
				 BYOH_SLICES_MAX);
	for (;;) {
		r = look_for(slices, number, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (!slices->ask)
			return fail_missing(slices, number, err);
		describe(slices, number, name);
		r = slices->ask(slices->context, name, err);
		if (r < 0)
			return r == -ENOMEDIUM ? fail_missing(slices, number, err) : r;
	}
}

static bool is_kept(const struct slices *slices, uint64_t offset)
{
	return slices->kept.fd >= 0 && offset >= slices->kept.start &&
	       offset - slices->kept.start < slices->kept.size;
}

/* From what is kept, where the slice itself is not at hand. */
static int read_kept(struct slices *slices, void *ret, size_t size, uint64_t offset, size_t *ret_done,
		     struct byoh_error *err)
{
	uint64_t at = offset - slices->kept.start;
	uint64_t left = slices->kept.size - at;

	slices->used_kept = true;
	*ret_done = size < left ? size : (size_t)left;
	return byoh_pread_all(slices->kept.fd, ret, *ret_done, at, err);
}

static int read_slice(struct slices *slices, uint64_t number, void *ret, size_t size, uint64_t offset,
		      size_t *ret_done, struct byoh_error *err)
{
	uint64_t at = offset - (number - 1) * slices->length;
	char name[BYOH_PATH_MAX];
	int r;

	/* The last one, where nobody knows yet that it is. */
	if (at >= slices->size)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENODATA, "the slices end early");
	*ret_done = size < slices->size - at ? size : (size_t)(slices->size - at);
	r = byoh_pread_all(slices->fd, ret, *ret_done, at, err);
	slice_name(slices, number, name);
	return r < 0 ? byoh_error_wrap(err, r, "%s", name) : 0;
}

static int read_piece(struct slices *slices, void *ret, size_t size, uint64_t offset, size_t *ret_done,
		      struct byoh_error *err)
{
	uint64_t number;
	int r;

	if (!slices->length) {
		r = require(slices, 1, err);
		if (r < 0)
			return r;
	}
	number = offset / slices->length + 1;
	if (is_kept(slices, offset)) {
		r = look_for(slices, number, err);
		if (r <= 0)
			return r < 0 ? r : read_kept(slices, ret, size, offset, ret_done, err);
	}
	r = require(slices, number, err);
	return r < 0 ? r : read_slice(slices, number, ret, size, offset, ret_done, err);
}

/* The rest of the block is on the next medium: what came of it so far need not be brought again. */
static void keep_tail(struct slices *slices, const unsigned char *bytes, size_t size, uint64_t offset)
{
	slices->tail_size = 0;
	if (size > TAIL_MAX)
		return;
	if (!slices->tail)
		slices->tail = malloc(TAIL_MAX);
	if (!slices->tail)
		return;
	memcpy(slices->tail, bytes, size);
	slices->tail_offset = offset;
	slices->tail_size = size;
}

static int read_slices(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
		       struct byoh_error *err)
{
	struct slices *slices = slices_of(reader);
	unsigned char *next = ret;
	size_t have = 0;

	while (have < size) {
		size_t done = 0;
		int r = read_piece(slices, next + have, size - have, offset + have, &done, err);

		if (r == -ENOMEDIUM)
			keep_tail(slices, next, have, offset);
		if (r < 0)
			return r;
		have += done;
	}
	return 0;
}

static int expect_whole(struct byoh_reader *reader, uint64_t whole, struct byoh_error *err)
{
	struct slices *slices = slices_of(reader);
	char name[BYOH_PATH_MAX];

	slices->whole = whole;
	if (count_of(slices) > BYOH_SLICES_MAX)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the bundle would be in more than %d slices",
				 BYOH_SLICES_MAX);
	/* The one that is open was opened before anybody knew. */
	if (!slices->number)
		return 0;
	slice_name(slices, slices->number, name);
	return check_length(slices, slices->number, slices->size, name, err);
}

static void name_slices(const struct byoh_reader *reader, uint64_t offset, size_t size,
			char ret[BYOH_READER_NAME_MAX])
{
	const struct slices *slices = (const struct slices *)reader;
	uint64_t first = slices->length ? offset / slices->length + 1 : 1;
	uint64_t last = slices->length ? (offset + (size ? size - 1 : 0)) / slices->length + 1 : 1;
	char name[BYOH_PATH_MAX];

	slice_name(slices, first, name);
	snprintf(ret, BYOH_READER_NAME_MAX, "%.400s", name);
	if (last == first)
		return;
	slice_name(slices, last, name);
	snprintf(ret + strlen(ret), BYOH_READER_NAME_MAX - strlen(ret), " or %.400s", name);
}

static void free_slices(struct byoh_reader *reader)
{
	struct slices *slices = slices_of(reader);

	close_slice(slices);
	for (size_t i = 0; i < slices->folder_count; i++)
		free(slices->folders[i]);
	free(slices->name);
	free(slices->tail);
	free(slices);
}

static const struct byoh_reader_ops slices_ops = {
	.read = read_slices,
	.expect = expect_whole,
	.name = name_slices,
	.free = free_slices,
};

int byoh_slices_open(const struct byoh_slices_input *input, struct byoh_reader **ret, struct byoh_error *err)
{
	CLEANUP_READER struct byoh_reader *reader = NULL;
	struct slices *slices = calloc(1, sizeof(*slices));

	if (!slices)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	slices->reader = (struct byoh_reader){ .ops = &slices_ops, .size = BYOH_READER_SIZE_UNKNOWN,
					       .in_order = true };
	slices->fd = slices->kept.fd = -1;
	slices->ask = input->ask;
	slices->context = input->context;
	reader = &slices->reader;
	slices->name = strdup(input->name);
	if (!slices->name)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < input->folder_count && i < BYOH_SLICES_FOLDERS_MAX; i++) {
		slices->folders[i] = strdup(input->folders[i]);
		if (!slices->folders[i])
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		slices->folder_count++;
	}
	if (input->kept)
		byoh_slices_use_kept(reader, input->kept);
	*ret = TAKE_PTR(reader);
	return 0;
}

void byoh_slices_use_kept(struct byoh_reader *reader, const struct byoh_slices_kept *kept)
{
	struct slices *slices = slices_of(reader);

	slices->kept = *kept;
	if (slices->length)
		return;
	slices->length = kept->length;
	slices->reader.start = kept->start;
}

uint64_t byoh_slices_length(const struct byoh_reader *reader)
{
	return ((const struct slices *)reader)->length;
}

const void *byoh_slices_tail(const struct byoh_reader *reader, uint64_t *ret_offset, size_t *ret_size)
{
	const struct slices *slices = (const struct slices *)reader;

	*ret_offset = slices->tail_offset;
	*ret_size = slices->tail_size;
	return slices->tail;
}

bool byoh_slices_used_kept(const struct byoh_reader *reader)
{
	return ((const struct slices *)reader)->used_kept;
}

const char *byoh_slices_name(const struct byoh_reader *reader)
{
	return ((const struct slices *)reader)->name;
}

bool byoh_reader_is_slices(const struct byoh_reader *reader)
{
	return reader->ops == &slices_ops;
}

/* Other programs cut files, too. */
static bool is_bundle_name(const char *name, size_t length)
{
	return (length > 4 && strncmp(name + length - 4, ".run", 4) == 0) ||
	       (length > 7 && strncmp(name + length - 7, ".bundle", 7) == 0);
}

int byoh_slices_find(const char *folder, char **ret, struct byoh_error *err)
{
	CLEANUP_DIR DIR *dir = opendir(folder);
	CLEANUP_FREE char *found = NULL;
	const struct dirent *entry;
	size_t length;

	*ret = NULL;
	if (!dir)
		return byoh_fail_errno(err, "cannot list %s", folder);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !byoh_slice_is_name(entry->d_name, &length) ||
		    !is_bundle_name(entry->d_name, length))
			continue;
		if (found && (strlen(found) != length || strncmp(found, entry->d_name, length) != 0))
			return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
					 "%s holds slices of several bundles; name one with --from FILE.001", folder);
		if (!found)
			found = strndup(entry->d_name, length);
		if (!found)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(found);
	return 0;
}
