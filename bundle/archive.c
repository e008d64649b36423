/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define READ_STEP ((size_t)256 << 10)
#define MAGIC_SIZE 512
#define MAX_LINK_HOPS 16
/* What no real archive reaches: a thousandfold, once it is large enough to hurt. */
#define BOMB_RATIO ((uint64_t)1000)
#define BOMB_FLOOR ((uint64_t)1 << 30)

struct reader {
	struct archive *outer; /* the ar of a Debian package, else NULL */
	struct archive *inner; /* what the entries come from */
	const char *name;
	int fd;
	uint64_t stored_size;
	uint64_t plain_size;
	char *piece; /* READ_STEP bytes */
	char *nested_piece;
};

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static void reader_release(struct reader *reader)
{
	/* The inner one reads through the outer one. */
	if (reader->inner)
		archive_read_free(reader->inner);
	if (reader->outer)
		archive_read_free(reader->outer);
	free(reader->piece);
	free(reader->nested_piece);
}

static int fail_archive(const struct reader *reader, struct archive *a, struct byoh_error *err)
{
	const char *what = archive_error_string(a);

	return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG, "%s: %s", reader->name,
			 what ? what : "not a readable archive");
}

static bool begins_with(const unsigned char *head, size_t size, size_t offset, const char *magic,
			size_t magic_size)
{
	return size >= offset + magic_size && memcmp(head + offset, magic, magic_size) == 0;
}

static bool is_debian_package(int fd)
{
	unsigned char head[24] = { 0 };
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n > 0 && begins_with(head, (size_t)n, 0, "!<arch>\ndebian-binary", 21);
}

bool byoh_archive_recognize(int fd)
{
	unsigned char head[MAGIC_SIZE] = { 0 };
	ssize_t got = pread(fd, head, sizeof(head), 0);
	size_t size = got > 0 ? (size_t)got : 0;

	return begins_with(head, size, 0, "\x1f\x8b", 2) ||
	       begins_with(head, size, 0,
			   "\xfd"
			   "7zXZ\0",
			   6) ||
	       begins_with(head, size, 0, "\x28\xb5\x2f\xfd", 4) ||
	       begins_with(head, size, 0, "PK\x03\x04", 4) ||
	       begins_with(head, size, 257, "ustar", 5) || is_debian_package(fd);
}

static int add_filters(struct archive *a)
{
	int r = archive_read_support_filter_gzip(a);

	if (r == ARCHIVE_OK)
		r = archive_read_support_filter_xz(a);
	if (r == ARCHIVE_OK)
		r = archive_read_support_filter_zstd(a);
	return r;
}

static ssize_t read_nested(struct archive *a, void *context, const void **ret)
{
	struct reader *reader = context;
	la_ssize_t n = archive_read_data(reader->outer, reader->nested_piece, READ_STEP);

	if (n < 0)
		archive_set_error(a, EBADMSG, "the data of the package cannot be read");
	*ret = reader->nested_piece;
	return n;
}

static int open_outer(struct reader *reader, struct byoh_error *err)
{
	struct archive_entry *entry;
	int r;

	reader->outer = archive_read_new();
	reader->nested_piece = malloc(READ_STEP);
	if (!reader->outer || !reader->nested_piece ||
	    archive_read_support_format_ar(reader->outer) < ARCHIVE_WARN)
		return no_memory(err);
	if (archive_read_open_fd(reader->outer, reader->fd, READ_STEP) != ARCHIVE_OK)
		return fail_archive(reader, reader->outer, err);
	while ((r = archive_read_next_header(reader->outer, &entry)) == ARCHIVE_OK) {
		const char *path = archive_entry_pathname(entry);

		if (path && strncmp(path, "data.tar", 8) == 0)
			return 0;
	}
	if (r == ARCHIVE_EOF)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				 "%s: a Debian package without data.tar", reader->name);
	return fail_archive(reader, reader->outer, err);
}

static int open_reader(struct reader *reader, struct byoh_error *err)
{
	bool package = is_debian_package(reader->fd);
	struct archive *a;
	int r;

	/* The reader begins where the descriptor stands. */
	if (lseek(reader->fd, 0, SEEK_SET) < 0)
		return byoh_fail_errno(err, "%s", reader->name);
	if (package) {
		r = open_outer(reader, err);
		if (r < 0)
			return r;
	}
	reader->piece = malloc(READ_STEP);
	reader->inner = a = archive_read_new();
	if (!a || !reader->piece || add_filters(a) < ARCHIVE_WARN ||
	    archive_read_support_format_tar(a) < ARCHIVE_WARN)
		return no_memory(err);
	if (!package && archive_read_support_format_zip(a) < ARCHIVE_WARN)
		return no_memory(err);
	r = package ? archive_read_open(a, reader, NULL, read_nested, NULL)
		    : archive_read_open_fd(a, reader->fd, READ_STEP);
	return r == ARCHIVE_OK ? 0 : fail_archive(reader, a, err);
}

/* Counts what the decompressor gave, so that skipped entries are bounded as well. */
static int check_size(const struct reader *reader, struct byoh_error *err)
{
	int64_t decoded = archive_filter_bytes(reader->inner, 0);
	uint64_t plain = decoded > 0 && (uint64_t)decoded > reader->plain_size ? (uint64_t)decoded
									       : reader->plain_size;

	if (plain > BYOH_ARCHIVE_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
				 "%s: holds more than %" PRIu64 " bytes", reader->name,
				 BYOH_ARCHIVE_MAX_SIZE);
	if (plain > BOMB_FLOOR && plain / BOMB_RATIO > reader->stored_size)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
				 "%s: grows more than a thousandfold, which no real archive does",
				 reader->name);
	return 0;
}

static int copy_data(struct reader *reader, const char *path, int fd, uint64_t *ret_size,
		     struct byoh_error *err)
{
	la_ssize_t n;

	*ret_size = 0;
	while ((n = archive_read_data(reader->inner, reader->piece, READ_STEP)) > 0) {
		int r = byoh_write_all(fd, reader->piece, (size_t)n, err);

		*ret_size += (uint64_t)n;
		reader->plain_size += (uint64_t)n;
		if (r == 0)
			r = check_size(reader, err);
		if (r < 0)
			return byoh_error_wrap(err, r, "%s", path);
	}
	return n < 0 ? byoh_error_wrap(err, fail_archive(reader, reader->inner, err), "%s", path)
		     : 0;
}

/* "./a/b/" is "a/b"; *ret is NULL for the top itself. */
static int clean_path(const struct reader *reader, const char *raw, char **ret,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	size_t length;

	*ret = NULL;
	if (!raw)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EILSEQ,
				 "%s: holds a name that is no UTF-8", reader->name);
	while (raw[0] == '.' && raw[1] == '/')
		for (raw += 2; *raw == '/'; raw++)
			;
	path = strdup(raw);
	if (!path)
		return no_memory(err);
	for (length = strlen(path); length && path[length - 1] == '/'; length--)
		path[length - 1] = '\0';
	if (!*path || strcmp(path, ".") == 0)
		return *raw == '/' ? byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
					       "%s: holds an absolute path", reader->name)
				   : 0;
	if (!byoh_path_is_clean(path))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				 "%s: holds the path \"%.200s\", which leads out of it or is "
				 "malformed",
				 reader->name, path);
	*ret = TAKE_PTR(path);
	return 0;
}

static const char *entry_text(const char *utf8, const char *plain)
{
	return utf8 ? utf8 : plain;
}

static int fill_links(const struct reader *reader, struct archive_entry *from,
		      struct byoh_archive_entry *to, struct byoh_error *err)
{
	const char *link =
		entry_text(archive_entry_hardlink_utf8(from), archive_entry_hardlink(from));
	const char *target =
		entry_text(archive_entry_symlink_utf8(from), archive_entry_symlink(from));
	int r;

	if (link) {
		to->type = BYOH_FILE_REGULAR;
		to->hardlink = true;
		r = clean_path(reader, link, &to->target, err);
		if (r == 0 && !to->target)
			r = byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				      "%s: %s is a hard link to nothing", reader->name, to->path);
		return r;
	}
	if (to->type != BYOH_FILE_SYMLINK)
		return 0;
	to->target = target ? strdup(target) : NULL;
	if (target && !to->target)
		return no_memory(err);
	return target && *target
		       ? 0
		       : byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				   "%s: %s is a link without a target", reader->name, to->path);
}

static int fill_entry(const struct reader *reader, struct archive_entry *from,
		      struct byoh_archive_entry *to, struct byoh_error *err)
{
	mode_t type = archive_entry_filetype(from);

	to->mode = archive_entry_perm(from);
	if (type == S_IFDIR)
		to->type = BYOH_FILE_DIRECTORY;
	else if (type == S_IFLNK)
		to->type = BYOH_FILE_SYMLINK;
	else
		to->type = BYOH_FILE_REGULAR;
	to->other = type != S_IFDIR && type != S_IFLNK && type != S_IFREG &&
		    !archive_entry_hardlink(from);
	return fill_links(reader, from, to, err);
}

static void entry_release(struct byoh_archive_entry *entry)
{
	free(entry->path);
	free(entry->target);
	free(entry->source);
	*entry = (struct byoh_archive_entry){ 0 };
}

static struct byoh_archive_entry *append_entry(struct byoh_archive *archive)
{
	/* Grows at powers of two, so the capacity need not be kept. */
	if ((archive->count & (archive->count - 1)) == 0) {
		size_t capacity = archive->count ? archive->count * 2 : 1;
		void *grown = reallocarray(archive->entries, capacity, sizeof(*archive->entries));

		if (!grown)
			return NULL;
		archive->entries = grown;
	}
	archive->entries[archive->count] = (struct byoh_archive_entry){ 0 };
	return &archive->entries[archive->count++];
}

static int extract(struct reader *reader, struct byoh_archive_entry *entry,
		   struct byoh_scratch *scratch, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	int r = byoh_scratch_create(scratch, &fd, &entry->source, err);

	return r < 0 ? r : copy_data(reader, entry->path, fd, &entry->size, err);
}

static int next_header(struct reader *reader, struct archive_entry **ret, struct byoh_error *err)
{
	int r = archive_read_next_header(reader->inner, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	/* A warning here is about names in another character set, which the path check judges. */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail_archive(reader, reader->inner, err);
	r = check_size(reader, err);
	return r < 0 ? r : 1;
}

static int read_entry(struct reader *reader, struct archive_entry *from,
		      bool (*wanted)(void *context, const char *path), void *context,
		      struct byoh_scratch *scratch, struct byoh_archive *archive,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	struct byoh_archive_entry *entry;
	int r = clean_path(
		reader, entry_text(archive_entry_pathname_utf8(from), archive_entry_pathname(from)),
		&path, err);

	if (r < 0 || !path)
		return r;
	if (archive->count >= BYOH_ARCHIVE_MAX_ENTRIES)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: holds more than %zu entries",
				 reader->name, BYOH_ARCHIVE_MAX_ENTRIES);
	entry = append_entry(archive);
	if (!entry)
		return no_memory(err);
	entry->path = TAKE_PTR(path);
	r = fill_entry(reader, from, entry, err);
	if (r < 0 || entry->type != BYOH_FILE_REGULAR || entry->hardlink || entry->other)
		return r;
	return !wanted || wanted(context, entry->path) ? extract(reader, entry, scratch, err) : 0;
}

static int open_named(struct reader *reader, struct byoh_error *err)
{
	struct stat st;

	if (fstat(reader->fd, &st) < 0)
		return byoh_fail_errno(err, "%s", reader->name);
	reader->stored_size = (uint64_t)st.st_size;
	return open_reader(reader, err);
}

static int read_all(int fd, const char *name, bool (*wanted)(void *context, const char *path),
		    void *context, struct byoh_scratch *scratch, struct byoh_archive *archive,
		    struct byoh_error *err)
{
	__attribute__((cleanup(reader_release))) struct reader reader = { .fd = fd, .name = name };
	struct archive_entry *entry;
	int r = open_named(&reader, err);

	if (r < 0)
		return r;
	while ((r = next_header(&reader, &entry, err)) > 0) {
		r = read_entry(&reader, entry, wanted, context, scratch, archive, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* By path, and the last of equal ones last. */
static int compare_paths(const void *a, const void *b)
{
	const struct byoh_archive_entry *x = *(struct byoh_archive_entry *const *)a;
	const struct byoh_archive_entry *y = *(struct byoh_archive_entry *const *)b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x > y) - (x < y);
}

static int sort_entries(struct byoh_archive *archive, struct byoh_error *err)
{
	archive->by_path = calloc(archive->count + 1, sizeof(*archive->by_path));
	if (!archive->by_path)
		return no_memory(err);
	for (size_t i = 0; i < archive->count; i++)
		archive->by_path[i] = &archive->entries[i];
	qsort(archive->by_path, archive->count, sizeof(*archive->by_path), compare_paths);
	return 0;
}

static struct byoh_archive_entry *find_entry(const struct byoh_archive *archive, const char *path)
{
	size_t low = 0, high = archive->count;

	/* Behind the last entry that is not greater. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(archive->by_path[middle]->path, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low && strcmp(archive->by_path[low - 1]->path, path) == 0 ? archive->by_path[low - 1]
									 : NULL;
}

/* The file that a hard link stands for at last; NULL if the archive lacks it or the links go in a
 * circle. */
static struct byoh_archive_entry *link_end(const struct byoh_archive *archive,
					   const struct byoh_archive_entry *link)
{
	struct byoh_archive_entry *end = find_entry(archive, link->target);

	for (int hops = 0; end && end->hardlink; hops++)
		end = hops < MAX_LINK_HOPS ? find_entry(archive, end->target) : NULL;
	return end && end->type == BYOH_FILE_REGULAR && !end->other ? end : NULL;
}

struct links {
	struct byoh_archive *archive;
	bool (*wanted)(void *context, const char *path);
	void *context;
	bool *missing; /* of each entry: its bytes are wanted by a link, and were not taken */
};

static bool is_wanted_link(const struct links *links, const struct byoh_archive_entry *entry)
{
	return entry->hardlink && (!links->wanted || links->wanted(links->context, entry->path));
}

static bool find_missing(struct links *links)
{
	bool any = false;

	for (size_t i = 0; i < links->archive->count; i++) {
		struct byoh_archive_entry *end;

		if (!is_wanted_link(links, &links->archive->entries[i]))
			continue;
		end = link_end(links->archive, &links->archive->entries[i]);
		if (!end || end->source)
			continue;
		links->missing[end - links->archive->entries] = true;
		any = true;
	}
	return any;
}

static bool is_missing(void *context, const char *path)
{
	const struct links *links = context;
	const struct byoh_archive_entry *entry = find_entry(links->archive, path);

	return entry && links->missing[entry - links->archive->entries];
}

/* The first reading cannot know that a later link is wanted, so the files behind such links come by
 * a second one. */
static int read_missing(int fd, const char *name, struct links *links, struct byoh_scratch *scratch,
			struct byoh_error *err)
{
	CLEANUP_ARCHIVE struct byoh_archive *again = calloc(1, sizeof(*again));
	int r = again ? read_all(fd, name, is_missing, links, scratch, again, err) : no_memory(err);

	for (size_t i = 0; r == 0 && i < again->count && i < links->archive->count; i++) {
		struct byoh_archive_entry *entry = &links->archive->entries[i];

		if (!again->entries[i].source || entry->source)
			continue;
		entry->size = again->entries[i].size;
		entry->source = TAKE_PTR(again->entries[i].source);
	}
	return r;
}

static int share_bytes(const struct links *links, const char *name, struct byoh_error *err)
{
	for (size_t i = 0; i < links->archive->count; i++) {
		struct byoh_archive_entry *link = &links->archive->entries[i], *end;

		if (!is_wanted_link(links, link))
			continue;
		end = link_end(links->archive, link);
		if (!end || !end->source)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
					 "%s: %s is a hard link to %s, which is not in it", name,
					 link->path, link->target);
		link->size = end->size;
		link->mode = end->mode;
		link->source = strdup(end->source);
		if (!link->source)
			return no_memory(err);
	}
	return 0;
}

static int resolve_hardlinks(int fd, const char *name, struct links *links,
			     struct byoh_scratch *scratch, struct byoh_error *err)
{
	CLEANUP_FREE bool *missing = calloc(links->archive->count + 1, sizeof(*missing));
	int r = missing ? 0 : no_memory(err);

	links->missing = missing;
	if (r == 0 && find_missing(links))
		r = read_missing(fd, name, links, scratch, err);
	return r < 0 ? r : share_bytes(links, name, err);
}

int byoh_archive_read(int fd, const char *name, bool (*wanted)(void *context, const char *path),
		      void *context, struct byoh_scratch *scratch, struct byoh_archive **ret,
		      struct byoh_error *err)
{
	CLEANUP_ARCHIVE struct byoh_archive *archive = calloc(1, sizeof(*archive));
	struct links links = { archive, wanted, context, NULL };
	int r;

	if (!archive)
		return no_memory(err);
	r = read_all(fd, name, wanted, context, scratch, archive, err);
	if (r == 0)
		r = sort_entries(archive, err);
	if (r == 0)
		r = resolve_hardlinks(fd, name, &links, scratch, err);
	if (r == 0)
		*ret = TAKE_PTR(archive);
	return r;
}

void byoh_archive_free(struct byoh_archive *archive)
{
	if (!archive)
		return;
	for (size_t i = 0; i < archive->count; i++)
		entry_release(&archive->entries[i]);
	free(archive->entries);
	free(archive->by_path);
	free(archive);
}

void byoh_archive_freep(struct byoh_archive **archive)
{
	byoh_archive_free(*archive);
}

const struct byoh_archive_entry *byoh_archive_find(const struct byoh_archive *archive,
						   const char *path)
{
	return find_entry(archive, path);
}
