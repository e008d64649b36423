/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/quiet.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "installer/host-internal.h"

#define BLOCK "/sys/class/block"
#define UDEV_QUEUE "/run/udev/queue" /* there while udev has something to do: systemd's libudev-queue */
#define UDEV_DATA "/run/udev/data"

enum byoh_quiet byoh_quiet_await(const struct byoh_quiet_world *world)
{
	uint64_t begin = world->now(world->context), since = begin, now = begin, last = 0, seen;
	bool ready = world->look(world->context, &last);

	for (;;) {
		if (ready && now - since >= BYOH_QUIET_FOR_MS && now >= BYOH_QUIET_EARLIEST_MS)
			return BYOH_QUIET;
		if (now - begin >= BYOH_QUIET_LONGEST_MS)
			return BYOH_QUIET_NEVER;
		if (!world->rest(world->context))
			return BYOH_QUIET_CANCELLED;
		ready = world->look(world->context, &seen);
		now = world->now(world->context);
		if (!ready || seen != last)
			since = now;
		last = seen;
	}
}

/* FNV-1a: changes are to be seen, nobody makes them up. */
static uint64_t add_bytes(uint64_t sum, const void *bytes, size_t size)
{
	for (const unsigned char *p = bytes; size--; p++)
		sum = (sum ^ *p) * UINT64_C(0x100000001b3);
	return sum;
}

static uint64_t sum_of_name(const char *name)
{
	return add_bytes(UINT64_C(0xcbf29ce484222325), name, strlen(name));
}

/* The size as well: a card may be put into its reader. */
static uint64_t sum_of_device(int root_fd, const char *name)
{
	char path[300];
	CLEANUP_FREE char *size = NULL;

	snprintf(path, sizeof(path), BLOCK "/%.255s/size", name);
	size = byoh_host_word(root_fd, path);
	return add_bytes(sum_of_name(name), size ? size : "", size ? strlen(size) : 0);
}

/* udev writes a record anew when it has looked at a device again. */
static uint64_t sum_of_record(int root_fd, const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), UDEV_DATA "/%.255s", name);
	if (*name != 'b' || byoh_host_stat(root_fd, path, &st, NULL) < 0)
		return 0;
	return add_bytes(sum_of_name(name), &st.st_mtim, sizeof(st.st_mtim));
}

/* Their order in the folder does not count. */
static uint64_t sum_of_folder(int root_fd, const char *folder, uint64_t (*sum_of)(int root_fd, const char *name))
{
	int fd = byoh_host_open(root_fd, folder, O_RDONLY | O_DIRECTORY, NULL);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t sum = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += sum_of(root_fd, entry->d_name);
	return sum;
}

bool byoh_quiet_look(int root_fd, uint64_t *ret)
{
	*ret = sum_of_folder(root_fd, BLOCK, sum_of_device) + sum_of_folder(root_fd, UDEV_DATA, sum_of_record);
	return !byoh_host_exists(root_fd, UDEV_QUEUE);
}
