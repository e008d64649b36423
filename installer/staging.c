/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define FOLDER_NAME ".byoh-staging"
#define MAX_VOLUMES BYOH_STAGING_MAX

/* Offset and mask bit of stx_mnt_id in struct statx (linux/stat.h, Linux 5.8); libcs do not have it yet. */
#define STATX_MOUNT_ID_OFFSET 0x90
#define STATX_MOUNT_ID_MASK 0x1000u

struct volume {
	dev_t device;
	uint64_t mount; /* bind mounts share the device, yet no rename crosses them */
	char *path;
	int fd;
};

struct byoh_staging {
	int root_fd;
	int (*announce)(void *context, const char *path, struct byoh_error *err);
	void *context;
	size_t count;
	struct volume volumes[MAX_VOLUMES];
};

int byoh_staging_new(const struct byoh_host *host,
		     int (*announce)(void *context, const char *path, struct byoh_error *err),
		     void *context, struct byoh_staging **ret, struct byoh_error *err)
{
	struct byoh_staging *staging = calloc(1, sizeof(*staging));

	if (!staging)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	staging->root_fd = host->root_fd;
	staging->announce = announce;
	staging->context = context;
	*ret = staging;
	return 0;
}

void byoh_staging_free(struct byoh_staging *staging)
{
	if (!staging)
		return;
	for (size_t i = 0; i < staging->count; i++) {
		free(staging->volumes[i].path);
		byoh_cleanup_fd(&staging->volumes[i].fd);
	}
	free(staging);
}

void byoh_staging_freep(struct byoh_staging **staging)
{
	byoh_staging_free(*staging);
}

/* 0 on kernels that do not tell. */
static uint64_t mount_id(int fd)
{
	unsigned char bytes[256] = { 0 };
	uint32_t mask;
	uint64_t id;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MOUNT_ID_MASK, bytes) < 0)
		return 0;
	memcpy(&mask, bytes, sizeof(mask));
	memcpy(&id, bytes + STATX_MOUNT_ID_OFFSET, sizeof(id));
	return mask & STATX_MOUNT_ID_MASK ? id : 0;
}

static int identify(int root_fd, const char *path, struct volume *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(root_fd, path, O_PATH | O_DIRECTORY, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "cannot look at %s", path);
	ret->device = st.st_dev;
	ret->mount = mount_id(fd);
	return 0;
}

static bool is_same_volume(const struct volume *a, const struct volume *b)
{
	return a->device == b->device && a->mount == b->mount;
}

/* Cuts the last part off; "/" stays. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || path[1] == '\0')
		return false;
	slash[slash == path] = '\0';
	return true;
}

/* Shortens path to its deepest folder that exists. */
static int find_existing(int root_fd, char *path, struct volume *ret, struct byoh_error *err)
{
	struct byoh_error ignored;

	while (go_up(path)) {
		int r = identify(root_fd, path, ret, &ignored);

		if (r == 0)
			return 0;
		if (r != -ENOENT && r != -ENOTDIR) {
			if (err)
				*err = ignored;
			return r;
		}
	}
	return identify(root_fd, "/", ret, err);
}

static int choose_folder(int root_fd, char *existing, struct volume *volume, struct byoh_error *err)
{
	struct volume home, above;
	CLEANUP_FREE char *top = strdup(existing);
	int r = identify(root_fd, BYOH_HOME, &home, err);

	if (r < 0)
		return r;
	if (is_same_volume(&home, volume)) {
		volume->path = strdup(BYOH_STAGING_PATH);
	} else {
		while (top && go_up(existing) && identify(root_fd, existing, &above, NULL) == 0 &&
		       is_same_volume(&above, volume))
			strcpy(top, existing);
		if (top && asprintf(&volume->path, "%s/" FOLDER_NAME, top[1] ? top : "") < 0)
			volume->path = NULL;
	}
	return volume->path ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int make_folder(struct byoh_staging *staging, struct volume *volume, struct byoh_error *err)
{
	int r = 0;

	if (staging->announce)
		r = staging->announce(staging->context, volume->path, err);
	if (r == 0)
		r = byoh_remove_tree(staging->root_fd, volume->path, err);
	if (r == 0)
		r = byoh_make_directories(staging->root_fd, volume->path, 0700, err);
	if (r < 0)
		return r;
	volume->fd = byoh_open_beneath(staging->root_fd, volume->path, O_RDONLY | O_DIRECTORY, 0, err);
	return volume->fd < 0 ? volume->fd : 0;
}

static int add_volume(struct byoh_staging *staging, char *existing, struct volume *volume,
		      struct byoh_error *err)
{
	int r;

	if (staging->count == MAX_VOLUMES)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, E2BIG, "more than %d file systems to write to",
				 MAX_VOLUMES);
	r = choose_folder(staging->root_fd, existing, volume, err);
	if (r == 0)
		r = make_folder(staging, volume, err);
	if (r < 0) {
		free(volume->path);
		return byoh_error_wrap(err, r, "cannot make a staging folder");
	}
	staging->volumes[staging->count++] = *volume;
	return 0;
}

int byoh_staging_for(struct byoh_staging *staging, const char *path, int *ret_fd, const char **ret_path,
		     struct byoh_error *err)
{
	struct volume volume = { .fd = -1 };
	CLEANUP_FREE char *existing = strdup(path);
	size_t i = 0;
	int r;

	if (!existing)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = find_existing(staging->root_fd, existing, &volume, err);
	if (r < 0)
		return r;
	while (i < staging->count && !is_same_volume(&staging->volumes[i], &volume))
		i++;
	if (i == staging->count) {
		r = add_volume(staging, existing, &volume, err);
		if (r < 0)
			return r;
	}
	if (ret_fd)
		*ret_fd = staging->volumes[i].fd;
	if (ret_path)
		*ret_path = staging->volumes[i].path;
	return 0;
}

size_t byoh_staging_folders(const struct byoh_staging *staging, int ret[static BYOH_STAGING_MAX])
{
	for (size_t i = 0; i < staging->count; i++)
		ret[i] = staging->volumes[i].fd;
	return staging->count;
}

int byoh_staging_sync(struct byoh_staging *staging, struct byoh_error *err)
{
	for (size_t i = 0; i < staging->count; i++)
		if (syncfs(staging->volumes[i].fd) < 0)
			return byoh_fail_errno(err, "cannot sync the file system of %s",
					       staging->volumes[i].path);
	return 0;
}

int byoh_staging_clear(struct byoh_staging *staging, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < staging->count; i++) {
		int one = byoh_remove_tree(staging->root_fd, staging->volumes[i].path, r ? NULL : err);

		r = r ? r : one;
	}
	return r;
}
