/* SPDX-License-Identifier: Apache-2.0 */
/* File systems: space, inodes, mount options, swap. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/lock.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"

#define FILE_SYSTEMS_MAX 16 /* more than that many targets on as many disks nobody has */
#define BLOCK ((uint64_t)4096)
#define RESERVE ((uint64_t)64 << 20) /* journal, before-images, logs */
#define UNPACKED_FACTOR 3	     /* layers are stored compressed and unpacked into snapshots */
#define XFS_MAGIC 0x58465342

/* What one file system will take. */
struct need {
	dev_t device;
	char path[BYOH_PATH_MAX]; /* the first folder that needs it */
	uint64_t bytes, inodes;
	int fd; /* O_PATH */
	struct statvfs has; /* once all is summed up */
};

struct needs {
	size_t count;
	struct need items[FILE_SYSTEMS_MAX];
	char last_folder[BYOH_PATH_MAX]; /* of the file before: its neighbours lie beside it */
	struct need *last;
};

static void needs_release(struct needs *needs)
{
	for (size_t i = 0; i < needs->count; i++)
		close(needs->items[i].fd);
}

static struct need *new_need(struct needs *needs, int fd, dev_t device, const char *folder)
{
	struct need *need = &needs->items[needs->count];

	if (needs->count == FILE_SYSTEMS_MAX)
		return NULL;
	need->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (need->fd < 0)
		return NULL;
	need->device = device;
	need->bytes = need->inodes = 0;
	snprintf(need->path, sizeof(need->path), "%s", folder);
	needs->count++;
	return need;
}

/* The file system that a folder lies on, or will lie on. */
static int find_need(struct needs *needs, const struct byoh_host *host, const char *folder,
		     struct need **ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (needs->last && !strcmp(needs->last_folder, folder)) {
		*ret = needs->last;
		return 0;
	}
	fd = byoh_check_open_nearest(host, folder, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return byoh_fail_errno(err, "%s", folder);
	*ret = NULL;
	for (size_t i = 0; i < needs->count; i++)
		if (needs->items[i].device == st.st_dev)
			*ret = &needs->items[i];
	if (!*ret)
		*ret = new_need(needs, fd, st.st_dev, folder);
	if (!*ret)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EMFILE, "too many file systems");
	snprintf(needs->last_folder, sizeof(needs->last_folder), "%s", folder);
	needs->last = *ret;
	return 0;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t whole_blocks(uint64_t bytes)
{
	return add(bytes, BLOCK - 1) / BLOCK * BLOCK;
}

static int need_in(struct needs *needs, const struct byoh_host *host, const char *folder,
		   uint64_t bytes, uint64_t inodes, struct byoh_error *err)
{
	struct need *need = NULL;
	int rc = find_need(needs, host, folder, &need, err);

	if (rc < 0)
		return rc;
	need->bytes = add(need->bytes, bytes);
	need->inodes = add(need->inodes, inodes);
	return 0;
}

/* The folder of a file of the bundle, with the root's slash. */
static void folder_of(const char *path, char ret[BYOH_PATH_MAX])
{
	char *slash;

	snprintf(ret, BYOH_PATH_MAX, "/%s", path);
	slash = strrchr(ret, '/');
	slash[slash == ret] = 0;
}

static bool is_blob(const struct byoh_file *file)
{
	return !strncmp(file->path, BYOH_IMAGE_BLOB_DIR "/", strlen(BYOH_IMAGE_BLOB_DIR "/"));
}

/* Every file under its target, the kept bundle, and what the images become in containerd's root. */
static int sum_files(const struct byoh_plan_input *input, struct needs *needs,
		     struct byoh_error *err)
{
	CLEANUP_FREE char *root = NULL;
	const struct byoh_manifest *manifest = input->manifest;
	uint64_t images = 0, kept = add(manifest->payload_size, manifest->index_size);
	char folder[BYOH_PATH_MAX];
	int rc;

	for (size_t i = 0; i < input->index->file_count; i++) {
		const struct byoh_file *file = &input->index->files[i];

		folder_of(file->path, folder);
		rc = need_in(needs, input->host, folder, whole_blocks(file->size), 1, err);
		if (rc < 0)
			return rc;
		if (byoh_steps_is_in_local_bundle(input, file)) {
			rc = need_in(needs, input->host, BYOH_HOME, whole_blocks(file->size), 1, err);
			if (rc < 0)
				return rc;
		}
		if (is_blob(file))
			images = add(images, file->size);
	}
	kept = add(kept, byoh_index_base_space(input->index));
	rc = need_in(needs, input->host, BYOH_HOME, add(kept, RESERVE), 0, err);
	if (rc < 0 || !images || !byoh_check_has_containerd(input))
		return rc;
	images = images > UINT64_MAX / UNPACKED_FACTOR ? UINT64_MAX : images * UNPACKED_FACTOR;
	rc = byoh_steps_containerd_root(input, &root, err);
	return rc < 0 ? rc : need_in(needs, input->host, root, images, 0, err);
}

static int sum_needs(const struct byoh_plan_input *input, struct needs *needs,
		     struct byoh_error *err)
{
	int rc = sum_files(input, needs, err);

	for (size_t i = 0; rc == 0 && i < needs->count; i++)
		if (fstatvfs(needs->items[i].fd, &needs->items[i].has))
			rc = byoh_fail_errno(err, "%s", needs->items[i].path);
	return rc;
}

/* What is printed is rounded; who frees that much must not lack the rest. */
static uint64_t generously(uint64_t bytes)
{
	return add(add(bytes, bytes / 20), (uint64_t)1 << 20);
}

static uint64_t available(const struct need *need)
{
	return (uint64_t)need->has.f_bavail * need->has.f_frsize;
}

static int check_space(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	CLEANUP(needs_release) struct needs needs = { 0 };
	char size[32], needed[32];
	uint64_t total = 0;
	int rc = sum_needs(input, &needs, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < needs.count; i++) {
		const struct need *need = &needs.items[i];

		total = add(total, need->bytes);
		if (need->bytes / need->has.f_frsize < need->has.f_bavail)
			continue;
		byoh_check_remedy(
			report,
			"free %s on the file system of %.100s, or put it on a larger one",
			byoh_format_size(generously(need->bytes - available(need)), size), need->path);
		return byoh_check_fail(report, "%.100s: %s are free, %s are needed", need->path,
				       byoh_format_size(available(need), size),
				       byoh_format_size(need->bytes, needed));
	}
	return byoh_check_pass(report, "%s needed, free on %zu file systems",
			       byoh_format_size(total, size), needs.count);
}

static int check_inodes(const struct byoh_plan_input *input, struct byoh_check_report *report,
			struct byoh_error *err)
{
	CLEANUP(needs_release) struct needs needs = { 0 };
	uint64_t total = 0;
	int rc = sum_needs(input, &needs, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < needs.count; i++) {
		const struct need *need = &needs.items[i];

		total = add(total, need->inodes);
		/* 0 files: made as they are needed (btrfs) */
		if (!need->has.f_files || need->inodes < need->has.f_favail)
			continue;
		byoh_check_remedy(report, "remove files from the file system of %.100s",
				  need->path);
		return byoh_check_fail(report, "%.100s: %llu inodes are free, %llu are needed",
				       need->path, (unsigned long long)need->has.f_favail,
				       (unsigned long long)need->inodes);
	}
	return byoh_check_pass(report, "%llu needed", (unsigned long long)total);
}

/* Does a file system have the mount flag? */
static int has_flag(const struct byoh_host *host, const char *folder, unsigned long flag, bool *ret,
		    struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_check_open_nearest(host, folder, err);
	struct statvfs fs;

	if (fd < 0)
		return fd;
	if (fstatvfs(fd, &fs))
		return byoh_fail_errno(err, "%s", folder);
	*ret = fs.f_flag & flag;
	return 0;
}

/* A mount option is one of the mount, not of the file system: every folder is asked, once. */
static int first_folder_with(const struct byoh_plan_input *input, unsigned long flag,
			     bool programs_only, char ret[BYOH_PATH_MAX], struct byoh_error *err)
{
	char folder[BYOH_PATH_MAX], before[BYOH_PATH_MAX] = "";

	for (size_t i = 0; i < input->index->file_count; i++) {
		const struct byoh_file *file = &input->index->files[i];
		bool found;
		int rc;

		folder_of(file->path, folder);
		if (file->type != BYOH_FILE_REGULAR || (programs_only && !(file->mode & 0111)) ||
		    !strcmp(folder, before))
			continue;
		rc = has_flag(input->host, folder, flag, &found, err);
		if (rc < 0)
			return rc;
		memcpy(before, folder, sizeof(before));
		if (found) {
			memcpy(ret, folder, sizeof(folder));
			return 1;
		}
	}
	return 0;
}

static int check_noexec(const struct byoh_plan_input *input, struct byoh_check_report *report,
			struct byoh_error *err)
{
	CLEANUP_FREE char *root = NULL;
	char folder[BYOH_PATH_MAX];
	bool found = false;
	int rc = first_folder_with(input, ST_NOEXEC, true, folder, err);

	if (rc == 0 && byoh_check_has_containerd(input)) {
		rc = byoh_steps_containerd_root(input, &root, err);
		if (rc == 0) {
			rc = has_flag(input->host, root, ST_NOEXEC, &found, err);
			snprintf(folder, sizeof(folder), "%s", root);
		}
	}
	if (rc < 0)
		return rc;
	if (rc == 0 && !found)
		return byoh_check_pass(report, "programs can run where they go");
	byoh_check_remedy(
		report,
		"remount the file system of %.100s with exec, and change its line in /etc/fstab",
		folder);
	return byoh_check_fail(report, "%.200s is mounted noexec", folder);
}

static int check_read_only(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	static const char *const ours[] = { "/etc", BYOH_HOME, "/usr/local" };
	char folder[BYOH_PATH_MAX];
	bool found = false;
	int rc = first_folder_with(input, ST_RDONLY, false, folder, err);

	for (size_t i = 0; rc == 0 && !found && i < ARRAY_SIZE(ours); i++) {
		rc = has_flag(input->host, ours[i], ST_RDONLY, &found, err);
		snprintf(folder, sizeof(folder), "%s", ours[i]);
	}
	if (rc < 0)
		return rc;
	if (rc == 0 && !found)
		return byoh_check_pass(report, "all targets can be written to");
	byoh_check_remedy(report,
			  "remount the file system of %.100s read-write: mount -o remount,rw",
			  folder);
	return byoh_check_fail(report, "%.200s is mounted read-only", folder);
}

/* overlayfs needs the type of an entry in its directory; old XFS (ftype=0) has none. */
static int check_entry_types(const struct byoh_plan_input *input, struct byoh_check_report *report,
			     struct byoh_error *err)
{
	CLEANUP_FREE char *root = NULL;
	CLEANUP_DIR DIR *dir = NULL;
	CLEANUP_FD int nearest = -1;
	struct dirent *entry;
	struct statfs fs;
	int fd;

	if (!byoh_check_has_containerd(input))
		return byoh_check_skip(report, "the bundle brings no containerd");
	if (byoh_steps_containerd_root(input, &root, err) < 0)
		return -ENOMEM;
	nearest = byoh_check_open_nearest(input->host, root, err);
	if (nearest < 0)
		return nearest;
	fd = openat(nearest, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		byoh_cleanup_fd(&fd);
		return byoh_fail_errno(err, "%s", root);
	}
	entry = readdir(dir);
	if (!entry || fstatfs(dirfd(dir), &fs) || fs.f_type != XFS_MAGIC ||
	    entry->d_type != DT_UNKNOWN)
		return byoh_check_pass(report, "%.200s", root);
	byoh_check_remedy(
		report,
		"make the file system anew with mkfs.xfs -n ftype=1, or set containerd.root");
	return byoh_check_fail(
		report, "%.100s lies on XFS with ftype=0, where containers cannot be stacked",
		root);
}

static int check_swap(const struct byoh_plan_input *input, struct byoh_check_report *report,
		      struct byoh_error *err)
{
	const struct byoh_host *host = input->host;

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (!host->swap_count)
		return byoh_check_pass(report, "none is in use");
	if (input->config->host.swap)
		return byoh_check_pass(report, "%.100s stays in use, as host.swap says",
				       host->swaps[0].device);
	byoh_check_remedy(
		report,
		"nothing to do: the install turns it off for good; host.swap: true keeps it");
	return byoh_check_warn(report, "%.100s is active swap (%zu in all)", host->swaps[0].device,
			       host->swap_count);
}

static int check_zram(const struct byoh_plan_input *input, struct byoh_check_report *report,
		      struct byoh_error *err)
{
	const struct byoh_host *host = input->host;

	(void)err;
	if (!byoh_check_has_kubelet(input) || input->config->host.swap)
		return byoh_check_skip(report, "the host may keep its swap");
	for (size_t i = 0; i < host->swap_count; i++) {
		if (!host->swaps[i].zram)
			continue;
		byoh_check_remedy(
			report,
			"nothing to do: the install switches its generator off; should it come "
			"back, remove the package that makes it (zram-tools, "
			"zram-generator-defaults)");
		return byoh_check_warn(report, "%.100s is swap in memory, made at every boot",
				       host->swaps[i].device);
	}
	return byoh_check_pass(report, "none is in use");
}

const struct byoh_check byoh_checks_storage[] = {
	{ .id = "space", .run = check_space },
	{ .id = "inodes", .run = check_inodes },
	{ .id = "noexec", .live_only = true, .run = check_noexec },
	{ .id = "read-only", .run = check_read_only },
	{ .id = "entry-types", .live_only = true, .run = check_entry_types },
	{ .id = "swap", .live_only = true, .run = check_swap },
	{ .id = "zram", .live_only = true, .run = check_zram },
	{ .id = NULL },
};
