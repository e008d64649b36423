/* SPDX-License-Identifier: Apache-2.0 */
/* Archives and folders that tests are made of. Everything here ends the test when it fails. */
#ifndef BYOH_TESTS_ARCHIVE_FIXTURE_H
#define BYOH_TESTS_ARCHIVE_FIXTURE_H

#include <stddef.h>
#include <sys/types.h>

enum fixture_type {
	FIXTURE_FILE,
	FIXTURE_DIRECTORY,
	FIXTURE_SYMLINK,
	FIXTURE_HARDLINK,
	FIXTURE_FIFO
};

struct fixture_member {
	const char *path;
	enum fixture_type type;
	mode_t mode;
	const char *content; /* a file's bytes or a link's target */
};

/* A fresh folder below TMPDIR; the caller frees it after fixture_remove. */
char *fixture_folder(void);
void fixture_remove(char *folder);
/* folder/name, in one of a few buffers that are used in turn. */
const char *fixture_path(const char *folder, const char *name);
void fixture_write(const char *folder, const char *name, const void *bytes, size_t size);
void fixture_text(const char *folder, const char *name, const char *text);
/* format: "tar", "tar.gz", "tar.xz", "tar.zst", "zip". */
void fixture_archive(const char *folder, const char *name, const char *format,
		     const struct fixture_member *members, size_t count);
/* A Debian package around data.tar.xz with those members. */
void fixture_package(const char *folder, const char *name, const struct fixture_member *members,
		     size_t count);
/* The whole file, zero-terminated; the caller frees it. */
char *fixture_read(const char *path, size_t *ret_size);

#endif
