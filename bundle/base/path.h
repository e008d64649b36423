/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths below a root directory. A path that a bundle, a config or a journal names never leads outside
 * of the root and never through a symbolic link: openat2(2) with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
 * and RESOLVE_NO_MAGICLINKS, or a walk that does the same on kernels without it.
 *
 * Every path here may begin with "/", which means the root.
 */
#ifndef BYOH_BASE_PATH_H
#define BYOH_BASE_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_PATH_MAX 4096 /* PATH_MAX with its zero */
#define BYOH_NAME_MAX 255

/* A path as a bundle may name it: not absolute, no empty, "." or ".." part, no part over 255 bytes,
 * shorter than BYOH_PATH_MAX, no control characters, valid UTF-8. */
bool byoh_path_is_clean(const char *path);

/* A symbolic link at path (clean) with this target stays below the root: the target is relative, its
 * ".." never climb over the root, and none stands behind a name, which may be a link itself and make
 * the ".." mean the parent of somewhere else. */
bool byoh_path_link_stays_inside(const char *path, const char *target);

/* Opens below the root. Returns a descriptor (O_CLOEXEC is added), or a negative errno: -ENOENT,
 * -ELOOP for a link in the way, ... with err set. */
BYOH_MUST_CHECK int byoh_open_beneath(int root_fd, const char *path, int flags, mode_t mode,
				      struct byoh_error *err);
/* The fallback by itself, for tests. Same contract. */
BYOH_MUST_CHECK int byoh_open_beneath_walked(int root_fd, const char *path, int flags, mode_t mode,
					     struct byoh_error *err);

/* Opens the directory that holds path's last part (O_PATH); *ret_name points to that part in path. */
BYOH_MUST_CHECK int byoh_open_parent(int root_fd, const char *path, const char **ret_name,
				     struct byoh_error *err);

/* lstat below the root. Returns 0, or -ENOENT (also where a parent is missing or is no directory). */
BYOH_MUST_CHECK int byoh_stat_beneath(int root_fd, const char *path, struct stat *ret,
				      struct byoh_error *err);
/* Does something, even a dangling link, stand there? Errors other than absence count as yes. */
bool byoh_exists_beneath(int root_fd, const char *path);

/* Makes path and its missing parents; existing ones keep their mode. Not synced. */
BYOH_MUST_CHECK int byoh_make_directories(int root_fd, const char *path, mode_t mode,
					  struct byoh_error *err);

/* The whole file appended to ret; -EFBIG over max bytes. */
BYOH_MUST_CHECK int byoh_read_file(int root_fd, const char *path, size_t max, struct byoh_buffer *ret,
				   struct byoh_error *err);
/* The same for a path of the running process, links followed: what an operator or publisher names. */
BYOH_MUST_CHECK int byoh_read_named_file(const char *path, size_t max, struct byoh_buffer *ret,
					 struct byoh_error *err);
/* The target of a symbolic link appended to ret. */
BYOH_MUST_CHECK int byoh_read_link(int root_fd, const char *path, struct byoh_buffer *ret,
				   struct byoh_error *err);

/* Old or new, never between: writes a temporary neighbour with that mode (owner root), syncs it,
 * renames it over path, syncs the directory. Parents must exist. */
BYOH_MUST_CHECK int byoh_write_file(int root_fd, const char *path, const void *bytes, size_t size,
				    mode_t mode, struct byoh_error *err);
/* The same for a symbolic link. */
BYOH_MUST_CHECK int byoh_write_link(int root_fd, const char *path, const char *target,
				    struct byoh_error *err);

/* Calls visit with each name in a directory, sorted, "." and ".." left out; one that is missing has none. What
 * visit returns other than 0 ends it, and is returned. */
BYOH_MUST_CHECK int byoh_each_name(int root_fd, const char *path,
				   int (*visit)(void *context, const char *name, struct byoh_error *err),
				   void *context, struct byoh_error *err);

/* Removes a file or link; absence is fine. */
BYOH_MUST_CHECK int byoh_remove_file(int root_fd, const char *path, struct byoh_error *err);
/* Removes a directory and all below it, on one file system only, following no link; absence is fine. */
BYOH_MUST_CHECK int byoh_remove_tree(int root_fd, const char *path, struct byoh_error *err);

/* fsync of the directory that holds path. */
BYOH_MUST_CHECK int byoh_sync_parent(int root_fd, const char *path, struct byoh_error *err);

/* For the start of main(): descriptors 0 to 2 that the caller left closed are taken, so that no file that is
 * opened later becomes standard output. Reading and writing them fails as it did. */
void byoh_hold_standard_descriptors(void);

/* Whole reads and writes: EINTR is continued, a short read is -ENODATA. */
BYOH_MUST_CHECK int byoh_write_all(int fd, const void *bytes, size_t size, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset,
				    struct byoh_error *err);
/* After a byoh_pwrite_all of these bytes: once a stretch of the file is complete, its way to the disk begins, beside
 * what else is done, so that the last sync is short. last: nothing of the file is to come. A failure is left to that
 * sync, which tells it. */
void byoh_start_writeback(int fd, uint64_t offset, size_t size, bool last);
BYOH_MUST_CHECK int byoh_pread_all(int fd, void *ret, size_t size, uint64_t offset,
				   struct byoh_error *err);

#endif
