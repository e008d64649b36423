/* SPDX-License-Identifier: Apache-2.0 */
/* ELF-64, System V gABI chapters 4 and 5: program header, dynamic section. */
#include "installer/preflight/elf.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"
#include "bundle/base/path.h"
#include "installer/host.h"

#define PROGRAM_HEADERS_MAX 128
#define LOADER_FILE_MAX ((size_t)64 << 10)
#define LOADER_FOLDERS "/etc/ld.so.conf.d"

/* The kernel's header has these as C types only; we read them from bytes. */
struct segment {
	uint32_t type;
	uint64_t offset, address, size;
};

struct image {
	const unsigned char *bytes;
	size_t size;
	size_t segment_count;
	struct segment segments[PROGRAM_HEADERS_MAX];
};

static int astray(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
			 "the tables of this ELF program lead astray");
}

static struct byoh_cursor cursor_at(const struct image *image, uint64_t offset, uint64_t size)
{
	struct byoh_cursor cursor = byoh_cursor_over(image->bytes, image->size);

	if (offset > image->size || !byoh_cursor_take(&cursor, (size_t)offset))
		cursor.failed = true;
	if (size < cursor.left)
		cursor.left = (size_t)size;
	return cursor;
}

/* A string that ends within its table. */
static const char *string_at(const struct image *image, uint64_t offset, uint64_t table_size)
{
	struct byoh_cursor cursor = cursor_at(image, offset, table_size);
	size_t length = cursor.failed ? 0 : strnlen((const char *)cursor.next, cursor.left);

	if (cursor.failed || length == cursor.left)
		return NULL;
	return (const char *)cursor.next;
}

static struct segment read_segment(const struct image *image, uint64_t offset, bool *ret_failed)
{
	struct byoh_cursor cursor = cursor_at(image, offset, sizeof(Elf64_Phdr));
	struct segment segment = { .type = byoh_cursor_u32(&cursor) };

	byoh_cursor_u32(&cursor); /* flags */
	segment.offset = byoh_cursor_u64(&cursor);
	segment.address = byoh_cursor_u64(&cursor);
	byoh_cursor_u64(&cursor); /* physical address */
	segment.size = byoh_cursor_u64(&cursor);
	*ret_failed = cursor.failed;
	return segment;
}

/* 0 with no segments for what is no ELF of ours. */
static int read_header(struct image *image, struct byoh_error *err)
{
	static const unsigned char magic[] = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB };
	struct byoh_cursor cursor = byoh_cursor_over(image->bytes, image->size);
	uint64_t table, entry_size, count;
	bool failed;

	if (image->size < sizeof(Elf64_Ehdr) || memcmp(image->bytes, magic, sizeof(magic)))
		return 0;
	byoh_cursor_take(&cursor, offsetof(Elf64_Ehdr, e_phoff));
	table = byoh_cursor_u64(&cursor);
	byoh_cursor_take(&cursor,
			 offsetof(Elf64_Ehdr, e_phentsize) - offsetof(Elf64_Ehdr, e_shoff));
	entry_size = byoh_cursor_little_endian(&cursor, 2);
	count = byoh_cursor_little_endian(&cursor, 2);
	if (count && (entry_size != sizeof(Elf64_Phdr) || count > PROGRAM_HEADERS_MAX ||
		      table > image->size))
		return astray(err);
	for (uint64_t i = 0; i < count; i++) {
		image->segments[i] = read_segment(image, table + i * entry_size, &failed);
		if (failed)
			return astray(err);
	}
	image->segment_count = (size_t)count;
	return 0;
}

static const struct segment *find_segment(const struct image *image, uint32_t type)
{
	for (size_t i = 0; i < image->segment_count; i++)
		if (image->segments[i].type == type)
			return &image->segments[i];
	return NULL;
}

/* Where the byte at an address of memory lies in the file. */
static bool file_offset(const struct image *image, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct segment *segment = &image->segments[i];

		if (segment->type == PT_LOAD && address >= segment->address &&
		    address - segment->address < segment->size &&
		    segment->offset <= UINT64_MAX - (address - segment->address)) {
			*ret = segment->offset + (address - segment->address);
			return true;
		}
	}
	return false;
}

struct string_table {
	uint64_t offset, size;
};

static int find_strings(const struct image *image, const struct segment *dynamic,
			struct string_table *ret)
{
	struct byoh_cursor cursor = cursor_at(image, dynamic->offset, dynamic->size);
	uint64_t address = 0, tag;

	ret->size = 0;
	while ((tag = byoh_cursor_u64(&cursor)) != DT_NULL && !cursor.failed) {
		uint64_t value = byoh_cursor_u64(&cursor);

		if (tag == DT_STRTAB)
			address = value;
		else if (tag == DT_STRSZ)
			ret->size = value;
	}
	return !cursor.failed && file_offset(image, address, &ret->offset) ? 0 : -EBADMSG;
}

static bool is_name(const char *text)
{
	size_t length = strlen(text);

	if (!length || length > BYOH_ELF_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

static int read_dynamic(const struct image *image, const struct segment *dynamic,
			struct byoh_elf_needs *ret)
{
	struct byoh_cursor cursor = cursor_at(image, dynamic->offset, dynamic->size);
	struct string_table strings = { 0 };
	uint64_t tag;
	int rc = find_strings(image, dynamic, &strings);

	while (rc == 0 && (tag = byoh_cursor_u64(&cursor)) != DT_NULL && !cursor.failed) {
		uint64_t value = byoh_cursor_u64(&cursor);
		const char *text;

		if (tag != DT_NEEDED && tag != DT_RUNPATH && tag != DT_RPATH)
			continue;
		if (cursor.failed || value >= strings.size || value > UINT64_MAX - strings.offset)
			return -EBADMSG;
		text = string_at(image, strings.offset + value, strings.size - value);
		if (!text ||
		    (tag == DT_NEEDED && (!is_name(text) || ret->count == BYOH_ELF_NEEDS_MAX)))
			return -EBADMSG;
		if (tag == DT_NEEDED)
			ret->libraries[ret->count++] = text;
		else
			ret->search = text;
	}
	return rc;
}

int byoh_elf_read_needs(const void *bytes, size_t size, struct byoh_elf_needs *ret,
			struct byoh_error *err)
{
	struct image image = { .bytes = bytes, .size = size };
	const struct segment *segment;
	int rc = read_header(&image, err);

	memset(ret, 0, sizeof(*ret));
	if (rc < 0)
		return rc;
	segment = find_segment(&image, PT_INTERP);
	if (segment) {
		ret->interpreter = string_at(&image, segment->offset, segment->size);
		if (!ret->interpreter || ret->interpreter[0] != '/' || !is_name(ret->interpreter))
			return astray(err);
	}
	segment = find_segment(&image, PT_DYNAMIC);
	if (segment && read_dynamic(&image, segment, ret) < 0)
		return astray(err);
	return 0;
}

/* Absolute folders, one a line; the rest of ld.so.conf(5) is of no use here. */
static int add_loader_file(int root_fd, const char *path, struct byoh_buffer *ret,
			   struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char *rest = NULL;
	int rc = 0;

	if (byoh_host_read(root_fd, path, LOADER_FILE_MAX, &text, NULL) < 0 || !text.size)
		return 0;
	for (char *word = strtok_r(text.data, " \t\r\n:,", &rest); word && rc == 0;
	     word = strtok_r(NULL, " \t\r\n:,", &rest))
		if (word[0] == '/' && !strchr(word, '*'))
			rc = byoh_buffer_printf(ret, err, "%s\n", word);
	return rc;
}

static int add_loader_folder(int root_fd, struct byoh_buffer *ret, struct byoh_error *err)
{
	int fd = byoh_host_open(root_fd, LOADER_FOLDERS, O_RDONLY | O_DIRECTORY, NULL), rc = 0;
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		byoh_cleanup_fd(&fd);
		return 0;
	}
	while (rc == 0 && (entry = readdir(dir))) {
		char path[512];

		snprintf(path, sizeof(path), LOADER_FOLDERS "/%s", entry->d_name);
		if (entry->d_name[0] != '.')
			rc = add_loader_file(root_fd, path, ret, err);
	}
	return rc;
}

/* Where the loaders of glibc and musl look: what their files name, and what they know by
 * themselves. */
static int library_folders(int root_fd, struct byoh_buffer *ret, struct byoh_error *err)
{
	static const char *const files[] = { "/etc/ld.so.conf", "/etc/ld-musl-x86_64.path",
					     "/etc/ld-musl-aarch64.path" };
	int rc = byoh_buffer_add_string(ret,
					"/lib\n/usr/lib\n/lib64\n/usr/lib64\n/usr/local/lib\n"
					"/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n"
					"/lib/aarch64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n",
					err);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(files); i++)
		rc = add_loader_file(root_fd, files[i], ret, err);
	return rc < 0 ? rc : add_loader_folder(root_fd, ret, err);
}

static bool has_library(int root_fd, const char *folders, const char *name)
{
	if (strchr(name, '/'))
		return byoh_host_exists(root_fd, name);
	for (const char *at = folders; *at; at += strcspn(at, "\n") + 1) {
		char path[BYOH_PATH_MAX];

		if (snprintf(path, sizeof(path), "%.*s/%s", (int)strcspn(at, "\n"), at, name) <
			    (int)sizeof(path) && byoh_host_exists(root_fd, path))
			return true;
	}
	return false;
}

static int add_missing(struct byoh_buffer *ret, const char *name, struct byoh_error *err)
{
	return byoh_buffer_printf(ret, err, "%s%s", ret->size ? ", " : "", name);
}

static int find_missing(int root_fd, const struct byoh_elf_needs *needs, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer folders = { 0 };
	int rc = 0;

	if (needs->interpreter && !byoh_host_exists(root_fd, needs->interpreter))
		rc = add_missing(ret, needs->interpreter, err);
	/* A program that brings its own folder of libraries knows better than we do. */
	if (rc < 0 || !needs->count || needs->search)
		return rc;
	rc = library_folders(root_fd, &folders, err);
	for (size_t i = 0; rc == 0 && i < needs->count; i++)
		if (!has_library(root_fd, byoh_buffer_text(&folders), needs->libraries[i]))
			rc = add_missing(ret, needs->libraries[i], err);
	return rc;
}

int byoh_preflight_elf(int root_fd, const char *staged_path, struct byoh_buffer *ret_missing,
		       struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(root_fd, staged_path, O_RDONLY, 0, err);
	struct byoh_elf_needs needs;
	struct stat st;
	void *bytes;
	int rc;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return byoh_fail_errno(err, "%s", staged_path);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return 0;
	/* Ours alone under the staging folder, so nobody cuts it short while it is mapped. */
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return byoh_fail_errno(err, "%s", staged_path);
	rc = byoh_elf_read_needs(bytes, (size_t)st.st_size, &needs, err);
	if (rc == 0)
		rc = find_missing(root_fd, &needs, ret_missing, err);
	munmap(bytes, (size_t)st.st_size);
	return rc < 0 ? byoh_error_wrap(err, rc, "%s", staged_path) : 0;
}
