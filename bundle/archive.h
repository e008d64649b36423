/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstream archives, read by libarchive: tar and zip, plain or under gzip, xz or zstd, and the data
 * of a Debian package (deb(5): an ar that holds a tar). What a publisher downloads is not trusted
 * more than its digest says: names that leave the archive are refused, and sizes are bounded.
 */
#ifndef BYOH_BUNDLE_ARCHIVE_H
#define BYOH_BUNDLE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/error.h"
#include "bundle/index.h"
#include "bundle/scratch.h"

#define BYOH_ARCHIVE_MAX_ENTRIES ((size_t)1000000)
#define BYOH_ARCHIVE_MAX_SIZE ((uint64_t)64 << 30) /* of all it holds, unpacked */

struct byoh_archive_entry {
	char *path;    /* clean, without "./" in front */
	char *target;  /* symlink: its target; hard link: the path of its bytes; else NULL */
	bool hardlink; /* type is regular */
	bool other;    /* a device, fifo or socket: type says nothing */
	enum byoh_file_type type;
	mode_t mode; /* as the archive says it, setuid and so on included */
	uint64_t size;
	char *source; /* wanted regular file: a scratch file with its bytes; else NULL */
};

struct byoh_archive {
	size_t count;
	struct byoh_archive_entry *entries; /* in order; of equal paths the last counts */
	struct byoh_archive_entry **by_path; /* the same, sorted */
};

/* Does the file begin like an archive that can be opened here? */
bool byoh_archive_recognize(int fd);

/* Lists every entry of the archive in fd and copies those regular files into scratch for which
 * wanted (NULL: all) is true. A wanted device or fifo is no error here, it only has no source. */
BYOH_MUST_CHECK int byoh_archive_read(int fd, const char *name,
				      bool (*wanted)(void *context, const char *path),
				      void *context, struct byoh_scratch *scratch,
				      struct byoh_archive **ret, struct byoh_error *err);
void byoh_archive_free(struct byoh_archive *archive);
void byoh_archive_freep(struct byoh_archive **archive);
#define CLEANUP_ARCHIVE __attribute__((cleanup(byoh_archive_freep)))

/* The last entry of that path, or NULL. */
const struct byoh_archive_entry *byoh_archive_find(const struct byoh_archive *archive,
						   const char *path);

#endif
