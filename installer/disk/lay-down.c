/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/lay-down.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/disk/layout.h"
#include "installer/disk/target.h"
#include "installer/log.h"
#include "installer/report.h"
#include "installer/run.h"

#define TARGET "/run/byoh/target"
#define SYSTEM BYOH_LIVE_MEDIUM "/live/filesystem.squashfs" /* what is laid down; live.squashfs is the medium's alone */
#define MEDIA_CHECK "/usr/lib/byoh/media-check"
#define BOOT_LOADER "/usr/lib/byoh/boot-loader"
#define LONG_SECONDS 3600 /* reading a slow stick */
#define LOADER_SECONDS 900 /* GRUB writes its modules one by one */
#define NODES_SECONDS 30  /* until udev has made the nodes of the partitions */

struct work {
	const struct byoh_lay_down *input;
	struct byoh_session *session;
	const struct byoh_iso *iso;
	char *disk, *esp, *root, *data; /* nodes; data NULL: none */
	char *target, *medium;
	int target_fd;
	struct byoh_layout_ids ids;
	char id[40];
};

static void release_work(struct work *work)
{
	byoh_cleanup_fd(&work->target_fd);
	free(work->disk);
	free(work->esp);
	free(work->root);
	free(work->data);
	free(work->target);
	free(work->medium);
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/*
 * Programs
 */

/* What it said is told, line by line, and its last line stands in the error. */
static int run_telling(struct work *work, const char *const *argv, const char *input, unsigned int seconds,
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const struct byoh_run run = { .argv = argv, .input = input, .input_size = input ? strlen(input) : 0, .output = &output,
				      .cancel = work->session->cancel, .timeout_seconds = seconds };
	int r = byoh_run_checked(&run, err);
	char *rest = output.data, *line;

	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			byoh_report_line(work->session, "  %s", line);
	return r;
}

#define RUN(work, seconds, err, ...) run_telling(work, (const char *const[]){ __VA_ARGS__, NULL }, NULL, seconds, err)

/*
 * The disk
 */

/* A program of the live system: it knows the medium, and says which file is bad. */
static int check_medium(struct work *work, struct byoh_error *err)
{
	CLEANUP_FREE char *program = byoh_live_path(work->session->host, MEDIA_CHECK);
	int r;

	if (!program)
		return out_of_memory(err);
	r = RUN(work, LONG_SECONDS, err, program, work->medium);
	if (r < 0 && err)
		err->kind = BYOH_ERROR_FORMAT;
	return r;
}

/* The kernel's own word: nobody holds the disk or a part of it. */
static int take_disk(struct work *work, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(work->disk, O_RDONLY | O_EXCL | O_CLOEXEC);
	uint64_t size = 0;
	struct stat st;

	if (fd < 0)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, errno, "%s cannot be had for us alone: %s", work->disk, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || ioctl(fd, BLKGETSIZE64, &size) < 0)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTBLK, "%s is no disk", work->disk);
	if (size != work->input->disk->size)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE, "%s is another disk than was chosen: it has %llu bytes", work->disk,
				 (unsigned long long)size);
	return work->input->look_again(work->input->context, err); /* while nobody else can have it */
}

static bool is_block(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* The kernel has read the table when sfdisk ends; the names are udev's, which takes its time. */
static int await_nodes(const struct work *work, struct byoh_error *err)
{
	const struct timespec pause = { .tv_nsec = 100000000 };

	for (int i = 0; i < NODES_SECONDS * 10; i++) {
		if (is_block(work->esp) && is_block(work->root) && (!work->data || is_block(work->data)))
			return 0;
		nanosleep(&pause, NULL);
	}
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENODEV, "the partition %s does not appear", work->root);
}

static int read_id(struct work *work, struct byoh_error *err)
{
	const char *const argv[] = { "sfdisk", "--disk-id", work->disk, NULL };
	CLEANUP_BUFFER struct byoh_buffer output = { 0 }, errors = { 0 };
	const struct byoh_run run = { .argv = argv, .output = &output, .errors = &errors };
	int r = byoh_run_checked(&run, err);

	if (r < 0)
		return r;
	snprintf(work->id, sizeof(work->id), "%.36s", byoh_buffer_text(&output));
	work->id[strcspn(work->id, " \t\r\n")] = '\0';
	for (char *p = work->id; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return work->id[0] ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s has no partition table", work->disk);
}

static void settle_udev(struct work *work)
{
	struct byoh_error ignored = BYOH_ERROR_INIT;

	if (work->session->host->live)
		(void)!RUN(work, 60, &ignored, "udevadm", "settle", "-t", "50");
}

static int partition(struct work *work, struct byoh_error *err)
{
	const char *const argv[] = { "sfdisk", "-q", "--wipe", "always", "--wipe-partitions", "always", work->disk, NULL };
	CLEANUP_BUFFER struct byoh_buffer script = { 0 };

	TRY(byoh_layout_script(work->input->disk, work->iso, &script, err));
	TRY(run_telling(work, argv, script.data, 0, err));
	settle_udev(work);
	TRY(await_nodes(work, err));
	return read_id(work, err);
}

/* What lay there before would make one file system look like two. Only now: the new table says already that nothing here
 * is whole, and the old one was needed to tell whose disk it is. */
static int erase(struct work *work, struct byoh_error *err)
{
	const char *const nodes[] = { work->esp, work->root, work->data };

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (nodes[i])
			TRY(RUN(work, 0, err, "wipefs", "-q", "-a", nodes[i]));
	return 0;
}

static int make_file_systems(struct work *work, struct byoh_error *err)
{
	char esp_id[16];

	TRY(erase(work, err));

	/* "ABCD-1234" is how it is shown; mkfs.vfat takes it without the dash. */
	snprintf(esp_id, sizeof(esp_id), "%.4s%.4s", work->ids.esp, work->ids.esp + 5);
	TRY(RUN(work, 0, err, "mkfs.vfat", "-F", "32", "-n", "BYOH-ESP", "-i", esp_id, work->esp));
	TRY(RUN(work, 0, err, "mkfs.ext4", "-q", "-F", "-L", BYOH_LABEL_UNFINISHED, "-U", work->ids.root, work->root));
	if (work->data)
		TRY(RUN(work, 0, err, "mkfs.ext4", "-q", "-F", "-L", BYOH_LABEL_DATA, "-U", work->ids.data, work->data));
	settle_udev(work);
	return 0;
}

/*
 * The system
 */

static int mount_at(const char *node, const char *folder, struct byoh_error *err)
{
	if (mount(node, folder, "ext4", MS_NOATIME, NULL) < 0)
		return byoh_fail_errno(err, "cannot mount %s on %s", node, folder);
	return 0;
}

static int unpack(struct work *work, struct byoh_error *err)
{
	CLEANUP_FREE char *system = byoh_live_path(work->session->host, SYSTEM);
	char folder[BYOH_PATH_MAX];

	if (!system)
		return out_of_memory(err);
	TRY(byoh_make_directories(work->session->host->root_fd, TARGET, 0700, err));
	TRY(mount_at(work->root, work->target, err));
	TRY(RUN(work, LONG_SECONDS, err, "unsquashfs", "-f", "-n", "-q", "-d", work->target, system));
	work->target_fd = open(work->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* syncfs takes no O_PATH */
	if (work->target_fd < 0)
		return byoh_fail_errno(err, "cannot open %s", work->target);
	if (!work->data)
		return 0;
	TRY(byoh_make_directories(work->target_fd, work->iso->data_mount, 0755, err));
	snprintf(folder, sizeof(folder), "%s%s", work->target, work->iso->data_mount);
	return mount_at(work->data, folder, err);
}

static struct byoh_target target_of(const struct work *work, const char *fstab)
{
	return (struct byoh_target){ .root_fd = work->target_fd, .config = work->input->live->config,
				     .identity = &work->session->host->identity, .fstab = fstab, .id = work->id };
}

static int settle(struct work *work, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer fstab = { 0 };
	struct byoh_target target;

	TRY(byoh_layout_fstab(&work->ids, work->iso, &fstab, err));
	target = target_of(work, fstab.data);
	return byoh_target_settle(&target, err);
}

/* The same installer as on any host, with the bundle of the medium, and with whom this run trusts. */
static int install_release(struct work *work, struct byoh_error *err)
{
	const struct byoh_target target = target_of(work, NULL);
	const struct byoh_options *options = &work->session->options;
	CLEANUP_FREE char *program = byoh_live_path(work->session->host, BYOH_LIVE_RUN);
	const char *argv[8 + 2 * BYOH_SESSION_KEYS_MAX] = { program,	"install", "--root", work->target,
							    "--config", work->input->live->path, "--yes" };
	struct byoh_error failure = BYOH_ERROR_INIT;
	size_t count = 7;
	int r;

	if (!program)
		return out_of_memory(err);
	for (size_t i = 0; i < options->key_count; i++) {
		argv[count++] = "--key";
		argv[count++] = options->keys[i];
	}
	TRY(byoh_target_lend_identity(&target, err));
	r = run_telling(work, argv, NULL, LONG_SECONDS, err);
	if (byoh_target_take_identity(&target, &failure) < 0 && r == 0) {
		if (err)
			*err = failure;
		r = -EIO;
	}
	return r;
}

static int install_loader(struct work *work, struct byoh_error *err)
{
	CLEANUP_FREE char *program = byoh_live_path(work->session->host, BOOT_LOADER);
	CLEANUP_BUFFER struct byoh_buffer consoles = { 0 };

	if (!program)
		return out_of_memory(err);
	for (size_t i = 0; i < work->iso->console.count; i++)
		TRY(byoh_buffer_printf(&consoles, err, "%sconsole=%s", i ? " " : "", work->iso->console.items[i]));
	if (!consoles.size)
		return RUN(work, LOADER_SECONDS, err, program, "--disk", work->disk, "--esp", work->esp, "--root", work->target);
	return RUN(work, LOADER_SECONDS, err, program, "--disk", work->disk, "--esp", work->esp, "--root", work->target, "--cmdline",
		   consoles.data);
}

/*
 * The end
 */

static void unmount_tree(const char *folder, const char *data_mount)
{
	char path[BYOH_PATH_MAX];

	snprintf(path, sizeof(path), "%s/boot/efi", folder);
	umount2(path, UMOUNT_NOFOLLOW);
	if (data_mount) {
		snprintf(path, sizeof(path), "%s%s", folder, data_mount);
		umount2(path, UMOUNT_NOFOLLOW);
	}
	umount2(folder, UMOUNT_NOFOLLOW);
}

void byoh_lay_down_clear(const struct byoh_host *host)
{
	CLEANUP_FREE char *folder = byoh_live_path(host, TARGET);

	/* Detached as a tree: what was mounted below goes with it. */
	while (folder && umount2(folder, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
}

/* What was said so far goes along; the rest is one line that the disk's own state tells. */
static int keep_log(struct work *work, struct byoh_error *err)
{
	int failure = 0;

	TRY(byoh_make_directories(work->target_fd, BYOH_LOG_FOLDER, 0750, err));
	if (!byoh_log_end(work->target_fd, false, false, &failure))
		byoh_report_warning("the log was not written to the disk: %s", strerror(failure));
	byoh_log_begin(work->session->host->root_fd, work->session->verb);
	return 0;
}

static int sync_disk(const char *node, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(node, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? byoh_fail_errno(err, "cannot write all of %s", node) : 0;
}

/* Each file system keeps its own errors of writing, and an unmount tells nobody. The loader's program may have left the
 * ESP mounted or not; where it is not, its folder belongs to the root. */
static int sync_mounts(const struct work *work, struct byoh_error *err)
{
	const char *const folders[][2] = { { "", work->root }, { "/boot/efi", work->esp }, { work->iso->data_mount, work->data } };
	char path[BYOH_PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FD int fd = -1;

		if (!folders[i][0])
			continue;
		snprintf(path, sizeof(path), "%s%s", work->target, folders[i][0]);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 ? errno != ENOENT : syncfs(fd) < 0)
			return byoh_fail_errno(err, "cannot write all of %s", folders[i][1]);
	}
	return 0;
}

/* What the unmounts themselves have written. */
static int sync_nodes(const struct work *work, struct byoh_error *err)
{
	TRY(sync_disk(work->esp, err));
	if (work->data)
		TRY(sync_disk(work->data, err));
	return sync_disk(work->root, err);
}

/* Only when all else is on the disk does it say that it is whole: the label of the partition is what counts. */
static int finish(struct work *work, struct byoh_error *err)
{
	char number[8];

	TRY(keep_log(work, err));
	TRY(sync_mounts(work, err));
	close(TAKE_FD(work->target_fd));
	unmount_tree(work->target, work->iso->data_mount);
	byoh_lay_down_clear(work->session->host); /* what the loader's programs may still hold */
	TRY(sync_nodes(work, err));
	TRY(RUN(work, 0, err, "e2label", work->root, BYOH_LABEL_ROOT));
	TRY(sync_disk(work->disk, err));
	snprintf(number, sizeof(number), "%d", BYOH_PART_ROOT);
	TRY(RUN(work, 0, err, "sfdisk", "-q", "--part-label", work->disk, number, BYOH_LABEL_ROOT));
	TRY(sync_disk(work->disk, err));
	settle_udev(work);
	return 0;
}

/*
 * In order
 */

static const struct part {
	const char *sentence, *remedy;
	int (*run)(struct work *work, struct byoh_error *err);
	bool writes;
} parts[] = {
	{ "checking the medium", "make the medium anew from a good image, or take another one; nothing was written",
	  check_medium, false },
	{ "taking the disk", "nothing was written", take_disk, false },
	{ "dividing the disk", "if the disk is old, it may be broken (smartctl -a); another try starts from here", partition, true },
	{ "making the file systems", "if the disk is old, it may be broken (smartctl -a); another try starts over",
	  make_file_systems, true },
	{ "unpacking the system", "the medium or the disk may be broken; another try starts over", unpack, true },
	{ "setting up the system", "correct the configuration, or try again; another try starts over", settle, true },
	{ "installing the release", "correct what it says; another try starts over", install_release, true },
	{ "installing the boot loader", "the disk does not start yet; another try starts over", install_loader, true },
	{ "finishing", "the disk is complete but not marked so; another try starts over", finish, true },
};

static int name_parts(struct work *work, struct byoh_error *err)
{
	const struct byoh_host *host = work->session->host;
	CLEANUP_BUFFER struct byoh_buffer disk = { 0 };
	struct {
		unsigned int number;
		char **ret;
	} names[] = { { BYOH_PART_ESP, &work->esp }, { BYOH_PART_ROOT, &work->root }, { BYOH_PART_DATA, &work->data } };

	TRY(byoh_buffer_printf(&disk, err, "/dev/%s", work->input->disk->name));
	work->disk = byoh_live_path(host, disk.data);
	work->target = byoh_live_path(host, TARGET);
	work->medium = byoh_live_path(host, BYOH_LIVE_MEDIUM);
	if (!work->disk || !work->target || !work->medium)
		return out_of_memory(err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_BUFFER struct byoh_buffer node = { 0 };

		if (names[i].number == BYOH_PART_DATA && !work->iso->data_mount)
			continue;
		TRY(byoh_layout_partition(work->disk, names[i].number, &node, err));
		*names[i].ret = TAKE_PTR(node.data);
	}
	return byoh_layout_make_ids(&work->ids, err);
}

int byoh_lay_down(const struct byoh_lay_down *input, char ret_id[40], struct byoh_error *err)
{
	CLEANUP(release_work) struct work work = { .input = input, .session = input->session, .target_fd = -1,
						   .iso = &input->live->config->iso };
	bool written = false;
	int r = name_parts(&work, err);

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		byoh_report_line(input->session, "byoh: %s", parts[i].sentence);
		written = written || parts[i].writes;
		r = parts[i].run(&work, err);
		if (r < 0) {
			byoh_error_remedy(err, "%s", parts[i].remedy);
			(void)byoh_error_wrap(err, r, "%s", parts[i].sentence);
		}
	}
	byoh_cleanup_fd(&work.target_fd);
	work.target_fd = -1;
	if (r < 0 && written)
		byoh_lay_down_clear(input->session->host);
	snprintf(ret_id, 40, "%s", work.id);
	return r;
}
