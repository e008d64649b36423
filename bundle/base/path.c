/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

static const char *below(const char *path)
{
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

/* One UTF-8 sequence (RFC 3629) at p; 0 if it is none or a control character. */
static size_t utf8_length(const unsigned char *p)
{
	size_t length = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 :
			p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

	if (length == 1 && (p[0] < 0x20 || p[0] == 0x7f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

static bool is_printable(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t length = utf8_length(p);

		if (!length)
			return false;
		p += length;
	}
	return true;
}

static bool is_dots(const char *part, size_t length)
{
	return (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.');
}

bool byoh_path_is_clean(const char *path)
{
	if (strlen(path) >= BYOH_PATH_MAX || !is_printable(path))
		return false;
	for (;;) {
		size_t length = strcspn(path, "/");

		if (!length || length > BYOH_NAME_MAX || is_dots(path, length))
			return false;
		path += length;
		if (!*path)
			return true;
		path++;
	}
}

bool byoh_path_link_stays_inside(const char *path, const char *target)
{
	bool named = false;
	size_t depth = 0;

	if (!*target || *target == '/' || strlen(target) >= BYOH_PATH_MAX || !is_printable(target))
		return false;
	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	while (*target) {
		size_t length = strcspn(target, "/");

		if (length == 2 && target[0] == '.' && target[1] == '.') {
			if (named || !depth--)
				return false;
		} else if (length && !is_dots(target, length)) {
			named = true;
		}
		target += length;
		target += *target == '/';
	}
	return true;
}

/* Opens one part after the other with O_NOFOLLOW, so that no link is ever followed. */
static int open_walked(int root_fd, const char *path, int flags, mode_t mode)
{
	CLEANUP_FD int directory = -1;
	int at = root_fd;

	for (;;) {
		size_t length = strcspn(path, "/");
		char part[BYOH_NAME_MAX + 1];
		int fd;

		if (length > BYOH_NAME_MAX)
			return -ENAMETOOLONG;
		if (length == 2 && path[0] == '.' && path[1] == '.')
			return -EXDEV;
		memcpy(part, path, length);
		part[length] = '\0';
		path += length + strspn(path + length, "/");
		if (!*path) {
			fd = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC, mode);
			return fd < 0 ? -errno : fd;
		}
		fd = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOTDIR ? -ELOOP : -errno;
		byoh_cleanup_fd(&directory);
		at = directory = fd;
	}
}

static int report_open(int fd, const char *path, struct byoh_error *err)
{
	if (fd == -ELOOP || fd == -EXDEV)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -fd,
				 "%s: a symbolic link or \"..\" stands in the way, which is never followed; "
				 "put a folder or a bind mount in its place", path);
	if (fd < 0) {
		errno = -fd;
		return byoh_fail_errno(err, "cannot open %s", path);
	}
	return fd;
}

int byoh_open_beneath_walked(int root_fd, const char *path, int flags, mode_t mode,
			     struct byoh_error *err)
{
	return report_open(open_walked(root_fd, below(path), flags, mode), path, err);
}

int byoh_open_beneath(int root_fd, const char *path, int flags, mode_t mode, struct byoh_error *err)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	/* With O_PATH and O_NOFOLLOW a link itself is wanted, which RESOLVE_NO_SYMLINKS permits. */
	do
		fd = (int)syscall(SYS_openat2, root_fd, below(path), &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd >= 0)
		return fd;
	/* Old kernels lack the call, and seccomp filters answer EPERM for what they do not know. */
	if (errno == ENOSYS || errno == EPERM)
		return byoh_open_beneath_walked(root_fd, path, flags, mode, err);
	return report_open(-errno, path, err);
}

int byoh_open_parent(int root_fd, const char *path, const char **ret_name, struct byoh_error *err)
{
	const char *relative = below(path);
	const char *slash = strrchr(relative, '/');
	char parent[BYOH_PATH_MAX];

	if (!slash) {
		*ret_name = relative;
		return byoh_open_beneath(root_fd, ".", O_PATH | O_DIRECTORY, 0, err);
	}
	if ((size_t)(slash - relative) >= sizeof(parent))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s: the path is too long", path);
	memcpy(parent, relative, (size_t)(slash - relative));
	parent[slash - relative] = '\0';
	*ret_name = slash + 1;
	return byoh_open_beneath(root_fd, parent, O_PATH | O_DIRECTORY, 0, err);
}

int byoh_stat_beneath(int root_fd, const char *path, struct stat *ret, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);

	if (parent == -ENOTDIR)
		return -ENOENT;
	if (parent < 0)
		return parent;
	if (fstatat(parent, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "cannot look at %s", path);
	return 0;
}

bool byoh_exists_beneath(int root_fd, const char *path)
{
	struct stat st;

	return byoh_stat_beneath(root_fd, path, &st, NULL) != -ENOENT;
}

int byoh_make_directories(int root_fd, const char *path, mode_t mode, struct byoh_error *err)
{
	CLEANUP_FD int at = byoh_open_beneath(root_fd, ".", O_PATH | O_DIRECTORY, 0, err);
	const char *part = below(path);

	if (at < 0)
		return at;
	while (*part) {
		size_t length = strcspn(part, "/");
		char name[BYOH_NAME_MAX + 1];
		int next;

		if (length > BYOH_NAME_MAX)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s: a name is too long",
					 path);
		memcpy(name, part, length);
		name[length] = '\0';
		if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
			return byoh_fail_errno(err, "cannot make the directory %s", path);
		next = byoh_open_beneath(at, name, O_PATH | O_DIRECTORY, 0, err);
		if (next < 0)
			return byoh_error_wrap(err, next, "cannot make the directory %s", path);
		byoh_cleanup_fd(&at);
		at = next;
		part += length + strspn(part + length, "/");
	}
	return 0;
}
