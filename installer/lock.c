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
#define MAX_TRIES 16

struct byoh_host_lock {
	int root_fd;
	int fd;		  /* -1: not taken */
	bool nested;	  /* in a lock of this process */
	unsigned int made; /* how many folders of BYOH_HOME's path were missing, counted from its end */
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

static int make_home(struct byoh_host_lock *lock, struct byoh_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(home_parts); i++) {
		unsigned int made = (unsigned int)(ARRAY_SIZE(home_parts) - i);
		int r;

		if (byoh_exists_beneath(lock->root_fd, home_parts[i]))
			continue;
		if (made > lock->made)
			lock->made = made;
		r = byoh_make_directories(lock->root_fd, home_parts[i], made == 1 ? 0700 : 0755, err);
		if (r == 0) /* a journal that a power cut takes away whole could undo nothing */
			r = byoh_sync_parent(lock->root_fd, home_parts[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_holder(int fd, unsigned int made, struct byoh_error *err)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "%ld %llu %u\n", (long)getpid(), start_time(), made);

	/* Over what a killed run left, and shortened after: a full disk must not keep its undo away. */
	int r = byoh_pwrite_all(fd, text, (size_t)size, 0, err);

	if (r < 0)
		return byoh_error_wrap(err, r, "%s", LOCK_PATH);
	return ftruncate(fd, size) < 0 ? byoh_fail_errno(err, "cannot write %s", LOCK_PATH) : 0;
}

/* 1: the file that was opened has been removed by its holder; try again. */
static int lock_file(struct byoh_host_lock *lock, struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(lock->root_fd, LOCK_PATH, O_RDWR | O_CREAT, 0600, err);
	struct holder holder;
	struct stat st;

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return byoh_fail_errno(err, "cannot lock %s", LOCK_PATH);
		holder = read_holder(fd);
		lock->nested = holder.pid == (long)getpid();
		if (lock->nested)
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
	lock->fd = TAKE_FD(fd);
	return write_holder(lock->fd, lock->made, err);
}

int byoh_host_lock_take(const struct byoh_host *host, struct byoh_host_lock **ret, struct byoh_error *err)
{
	CLEANUP_HOST_LOCK struct byoh_host_lock *lock = calloc(1, sizeof(*lock));
	int r = 1;

	if (!lock)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	lock->fd = -1;
	lock->root_fd = host->root_fd;
	/* The holder before may take file and folders away under our hands. */
	for (int tries = 0; tries < MAX_TRIES && (r > 0 || r == -ENOENT); tries++) {
		r = make_home(lock, err);
		if (r == 0)
			r = lock_file(lock, err);
	}
	if (r)
		return r < 0 ? r : byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY,
					     "other runs come and go on this host; try again");
	*ret = TAKE_PTR(lock);
	return 0;
}

/* Folders that were missing and are empty now. BYOH_HOME is ours whoever made it: an uninstall empties it, and
 * after a power cut nothing may be left to tell that we made it. */
static void remove_made(const struct byoh_host_lock *lock)
{
	for (unsigned int i = 0; i < lock->made || i == 0; i++) {
		const char *name;
		CLEANUP_FD int parent = byoh_open_parent(
			lock->root_fd, home_parts[ARRAY_SIZE(home_parts) - 1 - i], &name, NULL);

		if (parent >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return;
	}
}

void byoh_host_lock_free(struct byoh_host_lock *lock)
{
	if (!lock)
		return;
	if (lock->fd >= 0)
		(void)!byoh_remove_file(lock->root_fd, LOCK_PATH, NULL);
	if (!lock->nested)
		remove_made(lock);
	byoh_cleanup_fd(&lock->fd);
	free(lock);
}

void byoh_host_lock_freep(struct byoh_host_lock **lock)
{
	byoh_host_lock_free(*lock);
}

bool byoh_host_lock_made_home(const struct byoh_host_lock *lock)
{
	return lock->made > 0;
}

bool byoh_host_lock_exists(const struct byoh_host *host)
{
	struct stat st;

	return byoh_stat_beneath(host->root_fd, LOCK_PATH, &st, NULL) == 0;
}
