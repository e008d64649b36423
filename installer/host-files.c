/* SPDX-License-Identifier: Apache-2.0 */
/* Paths below the root of a host, with their links followed inside of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/host.h"

#define LINKS_MAX 40 /* as the kernel counts them */

/* What is still to be walked, and what has been, without links. */
struct walk {
	char rest[BYOH_PATH_MAX];
	char done[BYOH_PATH_MAX];
	unsigned int links;
};

static void drop_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = 0;
}

/* Puts a link's target in front of what is left to walk. */
static int follow(struct walk *walk, const char *target)
{
	char joined[2 * BYOH_PATH_MAX];
	size_t length;

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	length = (size_t)snprintf(joined, sizeof(joined), "%s/%s", target, walk->rest);
	if (length >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, joined, length + 1);
	if (target[0] == '/')
		walk->done[0] = 0;
	else
		drop_last(walk->done);
	return 0;
}

static int enter(int root_fd, struct walk *walk, const char *name, size_t length)
{
	char target[BYOH_PATH_MAX];
	size_t have = strlen(walk->done);
	ssize_t got;

	if (have + 1 + length >= sizeof(walk->done))
		return -ENAMETOOLONG;
	walk->done[have] = '/';
	memcpy(walk->done + have + 1, name, length);
	walk->done[have + 1 + length] = 0;

	got = readlinkat(root_fd, walk->done + 1, target, sizeof(target) - 1);
	if (got < 0)
		return errno == EINVAL ? 0 : -errno; /* EINVAL: exists, and is no link */
	target[got] = 0;
	return follow(walk, target);
}

int byoh_host_resolve(int root_fd, const char *path, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	struct walk walk = { .links = 0 };
	int rc = strlen(path) < sizeof(walk.rest) ? 0 : -ENAMETOOLONG;

	if (rc == 0)
		memcpy(walk.rest, path, strlen(path) + 1);
	while (rc == 0 && walk.rest[0]) {
		char name[BYOH_NAME_MAX + 1];
		size_t length = strcspn(walk.rest, "/"),
		       skip = length + strspn(walk.rest + length, "/");

		if (length > BYOH_NAME_MAX) {
			rc = -ENAMETOOLONG;
			break;
		}
		memcpy(name, walk.rest, length);
		name[length] = 0;
		memmove(walk.rest, walk.rest + skip, strlen(walk.rest + skip) + 1);
		if (!strcmp(name, ".."))
			drop_last(walk.done); /* the root's parent is the root */
		else if (length && strcmp(name, "."))
			rc = enter(root_fd, &walk, name, length);
	}
	if (rc < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "%s: %s", path, strerror(-rc));
	return byoh_buffer_add_string(ret, walk.done[0] ? walk.done : "/", err);
}

int byoh_host_open(int root_fd, const char *path, int flags, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer real = { 0 };
	int rc = byoh_host_resolve(root_fd, path, &real, err);

	return rc < 0 ? rc : byoh_open_beneath(root_fd, real.data, flags, 0, err);
}

int byoh_host_read(int root_fd, const char *path, size_t max, struct byoh_buffer *ret,
		   struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer real = { 0 };
	int rc = byoh_host_resolve(root_fd, path, &real, err);

	return rc < 0 ? rc : byoh_read_file(root_fd, real.data, max, ret, err);
}

int byoh_host_stat(int root_fd, const char *path, struct stat *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer real = { 0 };
	int rc = byoh_host_resolve(root_fd, path, &real, err);

	if (rc < 0)
		return rc;
	if (!strcmp(real.data, "/"))
		return fstatat(root_fd, "", ret, AT_EMPTY_PATH) ? byoh_fail_errno(err, "%s", path)
								: 0;
	return byoh_stat_beneath(root_fd, real.data, ret, err);
}

bool byoh_host_exists(int root_fd, const char *path)
{
	struct stat st;

	return byoh_host_stat(root_fd, path, &st, NULL) == 0;
}

bool byoh_host_is_part_of(const struct byoh_host *host, const char *unit)
{
	return host->own_unit && strcmp(host->own_unit, unit) == 0;
}

static const char *const path_folders[] = {
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
};

bool byoh_host_has_program(const struct byoh_host *host, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(path_folders); i++) {
		char path[BYOH_PATH_MAX];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", path_folders[i], name);
		if (!byoh_host_stat(host->root_fd, path, &st, NULL) && S_ISREG(st.st_mode) &&
		    st.st_mode & 0111)
			return true;
	}
	return false;
}
