/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "tests/unit/archive-fixture.h"

char *fixture_folder(void)
{
	const char *parent = getenv("TMPDIR");
	char *path = NULL;

	assert_true(asprintf(&path, "%s/byoh-test-XXXXXX", parent ? parent : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

void fixture_remove(char *folder)
{
	CLEANUP_FD int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_remove_tree(fd, folder, &err) < 0)
		fail_msg("%s", err.message);
	free(folder);
}

const char *fixture_path(const char *folder, const char *name)
{
	static char buffers[8][BYOH_PATH_MAX];
	static unsigned int next;
	char *buffer = buffers[next++ % ARRAY_SIZE(buffers)];

	snprintf(buffer, BYOH_PATH_MAX, "%s/%s", folder, name);
	return buffer;
}

void fixture_write(const char *folder, const char *name, const void *bytes, size_t size)
{
	CLEANUP_FD int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct byoh_error err = BYOH_ERROR_INIT;
	const char *slash = strrchr(name, '/');

	if (slash) {
		CLEANUP_FREE char *parent = strndup(name, (size_t)(slash - name));

		assert_int_equal(byoh_make_directories(top, parent, 0755, &err), 0);
	}
	if (byoh_write_file(top, name, bytes, size, 0644, &err) < 0)
		fail_msg("%s", err.message);
}

void fixture_text(const char *folder, const char *name, const char *text)
{
	fixture_write(folder, name, text, strlen(text));
}

static struct archive *begin(const char *format, const char *path)
{
	struct archive *a = archive_write_new();

	assert_non_null(a);
	if (strcmp(format, "zip") == 0)
		assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
	else if (strcmp(format, "ar") == 0)
		assert_int_equal(archive_write_set_format_ar_bsd(a), ARCHIVE_OK);
	else
		assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
	if (strcmp(format, "tar.gz") == 0)
		assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
	else if (strcmp(format, "tar.xz") == 0)
		assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
	else if (strcmp(format, "tar.zst") == 0)
		assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	return a;
}

static void add(struct archive *a, const struct fixture_member *member, const void *bytes,
		size_t size)
{
	static const mode_t types[] = { AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFREG, AE_IFIFO };
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, member->path);
	archive_entry_set_filetype(entry, types[member->type]);
	archive_entry_set_perm(entry, member->mode);
	archive_entry_set_mtime(entry, 0, 0);
	if (member->type == FIXTURE_SYMLINK)
		archive_entry_set_symlink(entry, member->content);
	else if (member->type == FIXTURE_HARDLINK)
		archive_entry_set_hardlink(entry, member->content);
	if (member->type == FIXTURE_FILE)
		archive_entry_set_size(entry, (la_int64_t)size);
	if (archive_write_header(a, entry) != ARCHIVE_OK)
		fail_msg("%s: %s", member->path, archive_error_string(a));
	if (member->type == FIXTURE_FILE)
		assert_int_equal(archive_write_data(a, bytes, size), size);
	archive_entry_free(entry);
}

static void finish(struct archive *a)
{
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

void fixture_archive(const char *folder, const char *name, const char *format,
		     const struct fixture_member *members, size_t count)
{
	struct archive *a = begin(format, fixture_path(folder, name));

	for (size_t i = 0; i < count; i++)
		add(a, &members[i], members[i].content,
		    members[i].content ? strlen(members[i].content) : 0);
	finish(a);
}

void fixture_package(const char *folder, const char *name, const struct fixture_member *members,
		     size_t count)
{
	static const struct fixture_member parts[] = {
		{ "debian-binary", FIXTURE_FILE, 0644, NULL },
		{ "control.tar.xz", FIXTURE_FILE, 0644, NULL },
		{ "data.tar.xz", FIXTURE_FILE, 0644, NULL }
	};
	static const struct fixture_member control = { "./control", FIXTURE_FILE, 0644,
						       "Package: x\n" };
	CLEANUP_FREE char *control_bytes = NULL;
	CLEANUP_FREE char *data_bytes = NULL;
	size_t control_size, data_size;
	struct archive *a;

	fixture_archive(folder, ".control", "tar.xz", &control, 1);
	fixture_archive(folder, ".data", "tar.xz", members, count);
	control_bytes = fixture_read(fixture_path(folder, ".control"), &control_size);
	data_bytes = fixture_read(fixture_path(folder, ".data"), &data_size);
	a = begin("ar", fixture_path(folder, name));
	add(a, &parts[0], "2.0\n", 4);
	add(a, &parts[1], control_bytes, control_size);
	add(a, &parts[2], data_bytes, data_size);
	finish(a);
}

char *fixture_read(const char *path, size_t *ret_size)
{
	CLEANUP_FILE FILE *file = fopen(path, "re");
	struct stat st;
	char *bytes;

	if (!file || fstat(fileno(file), &st) < 0) {
		fail_msg("cannot read %s", path);
		return NULL;
	}
	bytes = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
	if (ret_size)
		*ret_size = (size_t)st.st_size;
	return bytes;
}
