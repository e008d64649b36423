/* SPDX-License-Identifier: Apache-2.0 */
/* What files, links, directories and removals have in common: before-images, publishing, putting back. */
#include "bundle/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"

#define MAX_XATTR_NAMES ((size_t)64 << 10) /* what the kernel lists at most */
#define MAX_XATTR_VALUE ((size_t)64 << 10)

uid_t byoh_path_owner(void)
{
	return geteuid();
}

gid_t byoh_path_group(void)
{
	return geteuid() == 0 ? 0 : getegid();
}

bool byoh_path_has_rights(const struct stat *st, mode_t mode)
{
	return (st->st_mode & 07777) == mode && st->st_uid == byoh_path_owner() &&
	       st->st_gid == byoh_path_group();
}

void byoh_staged_name(uint64_t number, char ret[static 32])
{
	snprintf(ret, 32, "%" PRIu64, number);
}

int byoh_path_check_absent(const struct byoh_action_context *context, const char *path, struct stat *ret,
			   bool *ret_absent, struct byoh_error *err)
{
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r = byoh_stat_beneath(context->host->root_fd, path, ret, &failure);

	*ret_absent = r == -ENOENT;
	if (r < 0 && r != -ENOENT && err)
		*err = failure;
	return r == -ENOENT ? 0 : r;
}

int byoh_path_look(const struct byoh_action_context *context, struct byoh_action *action,
		   struct stat *ret, struct byoh_error *err)
{
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, ret, &absent, err);

	if (r == 0)
		action->state = absent ? BYOH_STATE_ABSENT : BYOH_STATE_SAME;
	return r;
}

int byoh_path_topmost_missing(int root_fd, const char *path, char **ret, struct byoh_error *err)
{
	CLEANUP_FREE char *part = strdup(path);
	size_t length = 0;

	*ret = NULL;
	if (!part)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (path[length]) {
		length += 1 + strcspn(path + length + 1, "/");
		memcpy(part, path, length);
		part[length] = '\0';
		if (!byoh_exists_beneath(root_fd, part)) {
			*ret = TAKE_PTR(part);
			return 0;
		}
	}
	return 0;
}

int byoh_path_make_parents(const struct byoh_action_context *context, const char *path,
			   struct byoh_error *err)
{
	size_t home = strlen(BYOH_HOME "/");
	mode_t mode = strncmp(path, BYOH_HOME "/", home) == 0 ? 0700 : 0755;
	CLEANUP_FREE char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!slash)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	*slash = '\0';
	return byoh_make_directories(context->host->root_fd, parent, mode, err);
}

int byoh_path_publish(const struct byoh_action_context *context, const char *path, uint64_t number,
		      struct byoh_error *err)
{
	CLEANUP_FD int parent = -1;
	char staged[32];
	const char *name;
	int staging_fd;
	int r = byoh_staging_for(context->staging, path, &staging_fd, NULL, err);

	if (r == 0)
		r = byoh_path_make_parents(context, path, err);
	if (r < 0)
		return r;
	parent = byoh_open_parent(context->host->root_fd, path, &name, err);
	if (parent < 0)
		return parent;
	byoh_staged_name(number, staged);
	if (renameat(staging_fd, staged, parent, name) < 0)
		return byoh_fail_errno(err, "cannot put %s in place", path);
	return 0;
}

/* Access rights and attributes: what a restored file must have like the old one. */
static int copy_xattrs(int from, int to, struct byoh_error *err)
{
	CLEANUP_FREE char *names = malloc(MAX_XATTR_NAMES);
	CLEANUP_FREE char *value = malloc(MAX_XATTR_VALUE);
	ssize_t size;

	if (!names || !value)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	size = flistxattr(from, names, MAX_XATTR_NAMES);
	if (size < 0)
		return errno == ENOTSUP ? 0 : byoh_fail_errno(err, "cannot list extended attributes");
	for (char *name = names; name < names + size; name += strlen(name) + 1) {
		ssize_t length = fgetxattr(from, name, value, MAX_XATTR_VALUE);

		if (length < 0 || fsetxattr(to, name, value, (size_t)length, 0) < 0)
			return byoh_fail_errno(err, "cannot copy the attribute %s", name);
	}
	return 0;
}

static int copy_bytes(int from, int to, struct byoh_error *err)
{
	static const size_t step = (size_t)1 << 16;
	CLEANUP_FREE char *buffer = malloc(step);

	if (!buffer)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (;;) {
		ssize_t n = read(from, buffer, step);
		int r;

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot read");
		r = byoh_write_all(to, buffer, (size_t)n, err);
		if (r < 0)
			return r;
	}
}

static int copy_file(int from_parent, const char *from_name, int to_parent, const char *to_name,
		     const struct stat *st, struct byoh_error *err)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	CLEANUP_FD int from = openat(from_parent, from_name,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP_FD int to = -1;
	int r;

	if (from < 0)
		return byoh_fail_errno(err, "cannot open");
	to = openat(to_parent, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return byoh_fail_errno(err, "cannot create");
	r = copy_bytes(from, to, err);
	if (r < 0)
		return r;
	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return byoh_fail_errno(err, "cannot set owner and mode");
	r = copy_xattrs(from, to, err);
	if (r == 0 && (futimens(to, times) < 0 || fsync(to) < 0))
		r = byoh_fail_errno(err, "cannot store");
	return r;
}

static int copy_link(int from_parent, const char *from_name, int to_parent, const char *to_name,
		     const struct stat *st, struct byoh_error *err)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	char target[BYOH_PATH_MAX];
	ssize_t n = readlinkat(from_parent, from_name, target, sizeof(target) - 1);

	if (n < 0)
		return byoh_fail_errno(err, "cannot read the link");
	target[n] = '\0';
	if (symlinkat(target, to_parent, to_name) < 0 ||
	    fchownat(to_parent, to_name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(to_parent, to_name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "cannot make the link");
	return 0;
}

static int duplicate(int from_parent, const char *from_name, int to_parent, const char *to_name,
		     struct byoh_error *err)
{
	struct stat st;

	if (unlinkat(to_parent, to_name, 0) < 0 && errno != ENOENT)
		return byoh_fail_errno(err, "cannot remove a leftover");
	if (linkat(from_parent, from_name, to_parent, to_name, 0) == 0)
		return 0;
	if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
		return byoh_fail_errno(err, "cannot link");
	if (fstatat(from_parent, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "cannot look");
	if (S_ISREG(st.st_mode))
		return copy_file(from_parent, from_name, to_parent, to_name, &st, err);
	if (S_ISLNK(st.st_mode))
		return copy_link(from_parent, from_name, to_parent, to_name, &st, err);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOTSUP, "it is neither a file nor a link");
}

int byoh_path_duplicate(int root_fd, const char *path, int to_folder, const char *to_name,
			struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	int r = parent < 0 ? parent : duplicate(parent, name, to_folder, to_name, err);

	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

static int keep_image(const struct byoh_action_context *context, const char *path, uint64_t number,
		      struct byoh_error *err)
{
	int root_fd = context->host->root_fd;
	CLEANUP_FD int to = -1;
	char kept[32];
	int r = byoh_make_directories(root_fd, context->before_folder, 0700, err);

	if (r < 0)
		return r;
	to = byoh_open_beneath(root_fd, context->before_folder, O_PATH | O_DIRECTORY, 0, err);
	if (to < 0)
		return to;
	byoh_staged_name(number, kept);
	r = byoh_path_duplicate(root_fd, path, to, kept, err);
	return r < 0 ? byoh_error_wrap(err, r, "cannot keep what stands there") : 0;
}

static const char *type_name(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? "file" : S_ISLNK(st->st_mode) ? "link" :
	       S_ISDIR(st->st_mode) ? "directory" : "other";
}

int byoh_path_keep(const struct byoh_action_context *context, const struct byoh_action *action,
		   struct byoh_before *before, struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r < 0)
		return r;
	if (absent) {
		CLEANUP_FREE char *parent = strdup(action->subject);
		char *slash = parent ? strrchr(parent, '/') : NULL;

		if (!slash)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		*slash = '\0';
		return byoh_path_topmost_missing(context->host->root_fd, parent, &before->made, err);
	}
	if (S_ISDIR(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EISDIR,
				 "%s is a directory, and a file is to stand there; move it away",
				 action->subject);
	r = byoh_before_set_path(before, &st, type_name(&st), err);
	return r < 0 ? r : keep_image(context, action->subject, before->number, err);
}

int byoh_path_remove_made(int root_fd, const char *path, const char *top, struct byoh_error *err)
{
	CLEANUP_FREE char *folder = strdup(path);
	size_t end = strlen(top);

	if (!folder)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (strlen(folder) >= end) {
		const char *name;
		CLEANUP_FD int parent = byoh_open_parent(root_fd, folder, &name, err);

		/* What somebody else put there since is theirs: the folder stays. */
		if (parent >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY ? 0 :
				byoh_fail_errno(err, "cannot remove the folder %s", folder);
		if (parent < 0 && parent != -ENOENT && parent != -ENOTDIR)
			return parent;
		*strrchr(folder, '/') = '\0';
		if (!*folder)
			break;
	}
	return 0;
}

static int remove_new(const struct byoh_action_context *context, const struct byoh_before *before,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *parent = NULL;
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, before->subject, &st, &absent, err);

	/* A directory is no doing of a file's action: leave it to whoever made it. */
	if (r == 0 && !absent && !S_ISDIR(st.st_mode))
		r = byoh_remove_file(context->host->root_fd, before->subject, err);
	if (r < 0 || !before->made)
		return r;
	parent = strdup(before->subject);
	if (!parent)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	*strrchr(parent, '/') = '\0';
	return byoh_path_remove_made(context->host->root_fd, parent, before->made, err);
}

static bool is_same_inode(int a_parent, const char *a, int b_parent, const char *b)
{
	struct stat first, second;

	return fstatat(a_parent, a, &first, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(b_parent, b, &second, AT_SYMLINK_NOFOLLOW) == 0 &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static int put_back(const struct byoh_action_context *context, const struct byoh_before *before,
		    struct byoh_error *err)
{
	int root_fd = context->host->root_fd;
	CLEANUP_FD int kept = byoh_open_beneath(root_fd, context->before_folder, O_PATH | O_DIRECTORY, 0,
						err);
	CLEANUP_FD int parent = -1;
	char image[32], staged[48];
	const char *name;
	int staging_fd, r;

	if (kept < 0)
		return kept;
	parent = byoh_open_parent(root_fd, before->subject, &name, err);
	if (parent < 0)
		return parent;
	byoh_staged_name(before->number, image);
	if (is_same_inode(parent, name, kept, image))
		return 0;
	r = byoh_staging_for(context->staging, before->subject, &staging_fd, NULL, err);
	if (r < 0)
		return r;
	snprintf(staged, sizeof(staged), "%s.old", image);
	r = duplicate(kept, image, staging_fd, staged, err);
	if (r == 0 && renameat(staging_fd, staged, parent, name) < 0)
		r = byoh_fail_errno(err, "cannot rename");
	return r;
}

int byoh_path_revert(const struct byoh_action_context *context, const struct byoh_before *before,
		     struct byoh_error *err)
{
	int r = before->existed ? put_back(context, before, err) : remove_new(context, before, err);

	return r < 0 ? byoh_error_wrap(err, r, "cannot put %s back", before->subject) : 0;
}
