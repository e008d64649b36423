/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define LOCK_PATH BYOH_HOME "/lock"

struct byoh_host_lock {
	int root_fd;
	int fd;		  /* -1: nested in a lock of this process */
	unsigned int made; /* how many folders of BYOH_HOME's path were made, counted from its end */
};

/* What the lock file says: "pid start-time made". */
struct holder {
	long pid;
	unsigned long long started;
	unsigned int made;
};

static const char *const home_parts[] = { "/var", "/var/lib", BYOH_HOME };

/* Field 22 of /proc/PID/stat, so that a person can tell a recycled pid; 0 where /proc is missing. */
static unsigned long long start_time(void)
{
	CLEANUP_FILE FILE *file = fopen("/proc/self/stat", "re");
	char line[1024];
	char *at = file ? fgets(line, sizeof(line), file) : NULL;

	at = at ? strrchr(at, ')') : NULL;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static struct holder read_holder(int fd)
{
	struct holder holder = { 0 };
	char text[128];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%ld %llu %u", &holder.pid, &holder.started, &holder.made) != 3 ||
	    holder.made > ARRAY_SIZE(home_parts))
		return (struct holder){ 0 };
	return holder;
}

static int make_home(int root_fd, unsigned int *ret_made, struct byoh_error *err)
{
	unsigned int made = 0;

	for (size_t i = 0; i < ARRAY_SIZE(home_parts); i++) {
		mode_t mode = i + 1 == ARRAY_SIZE(home_parts) ? 0700 : 0755;
		int r;

		if (made == 0 && byoh_exists_beneath(root_fd, home_parts[i]))
			continue;
		made++;
		r = byoh_make_directories(root_fd, home_parts[i], mode, err);
		if (r == 0) /* a journal that a power cut takes away whole could undo nothing */
			r = byoh_sync_parent(root_fd, home_parts[i], err);
		if (r < 0)
			return r;
	}
	*ret_made = made;
	return 0;
}

static int write_holder(int fd, unsigned int made, struct byoh_error *err)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "%ld %llu %u\n", (long)getpid(), start_time(), made);

	if (ftruncate(fd, 0) < 0)
		return byoh_fail_errno(err, "cannot write %s", LOCK_PATH);
	return byoh_pwrite_all(fd, text, (size_t)size, 0, err);
}

/* 1: the file that was opened has been removed by its holder; try again. */
static int lock_file(struct byoh_host_lock *lock, struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(lock->root_fd, LOCK_PATH, O_RDWR | O_CREAT, 0600, err);
	struct holder holder;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return byoh_fail_errno(err, "cannot lock %s", LOCK_PATH);
		holder = read_holder(fd);
		if (holder.pid == (long)getpid())
			return 0;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY,
				 "another run is at work on this host (process %ld); wait for it",
				 holder.pid);
	}
	if (fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "cannot look at %s", LOCK_PATH);
	if (st.st_nlink == 0)
		return 1;
	/* A killed process left its file: the folders that it made are ours to take away. */
	holder = read_holder(fd);
	if (holder.made > lock->made)
		lock->made = holder.made;
	r = write_holder(fd, lock->made, err);
	if (r == 0)
		lock->fd = TAKE_FD(fd);
	return r;
}

int byoh_host_lock_take(const struct byoh_host *host, struct byoh_host_lock **ret, struct byoh_error *err)
{
	CLEANUP_HOST_LOCK struct byoh_host_lock *lock = calloc(1, sizeof(*lock));
	int r;

	if (!lock)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	lock->fd = -1;
	lock->root_fd = host->root_fd;
	do {
		unsigned int made = 0;

		r = make_home(host->root_fd, &made, err);
		if (made > lock->made)
			lock->made = made;
		if (r == 0)
			r = lock_file(lock, err);
	} while (r > 0 || r == -ENOENT);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(lock);
	return 0;
}

void byoh_host_lock_free(struct byoh_host_lock *lock)
{
	if (!lock)
		return;
	if (lock->fd >= 0) {
		(void)!byoh_remove_file(lock->root_fd, LOCK_PATH, NULL);
		for (unsigned int i = 0; i < lock->made; i++) {
			const char *name;
			CLEANUP_FD int parent = byoh_open_parent(
				lock->root_fd, home_parts[ARRAY_SIZE(home_parts) - 1 - i], &name, NULL);

			if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) < 0)
				break;
		}
		close(lock->fd);
	}
	free(lock);
}

void byoh_host_lock_freep(struct byoh_host_lock **lock)
{
	byoh_host_lock_free(*lock);
}

bool byoh_host_lock_exists(const struct byoh_host *host)
{
	struct stat st;

	return byoh_stat_beneath(host->root_fd, LOCK_PATH, &st, NULL) == 0;
}
