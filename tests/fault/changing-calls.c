/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/changing-calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

enum rule {
	ALWAYS,
	IF_NEW,		 /* the path is not there yet: a folder is often made that is */
	IF_CREATING,	 /* the flags, argument `detail`, create or empty */
	IF_HOW_CREATING, /* the same in openat2's struct */
	IF_FILE,	 /* the descriptor is a regular file */
	IF_REQUEST,	 /* ioctl's request, argument `detail`, changes a file */
};

enum room { NO_ROOM, ROOM, ROOM_IF_NEW, ROOM_IF_BEYOND };

#define NONE (-1)
#define CURRENT (-2) /* a path without a folder's descriptor */

struct changing_call {
	long number;
	const char *name;
	enum rule rule;
	int fd;		  /* argument with a descriptor, NONE */
	int at, path;	  /* arguments with a folder (or CURRENT) and a path below it, NONE */
	int at2, path2;
	int detail;
	enum room room;
};

#define CALL(name) SYS_##name, #name
#define ON_FD(n) .fd = (n), .at = NONE, .path = NONE, .at2 = NONE, .path2 = NONE
#define AT(a, p) .fd = NONE, .at = (a), .path = (p), .at2 = NONE, .path2 = NONE
#define AT_TWO(a, p, b, q) .fd = NONE, .at = (a), .path = (p), .at2 = (b), .path2 = (q)
#define NOTHING AT(NONE, NONE)

static const struct changing_call rows[] = {
#ifdef SYS_open
	{ CALL(open), IF_CREATING, AT(CURRENT, 0), .detail = 1, .room = ROOM_IF_NEW },
	{ CALL(creat), ALWAYS, AT(CURRENT, 0), .room = ROOM_IF_NEW },
	{ CALL(rename), ALWAYS, AT_TWO(CURRENT, 0, CURRENT, 1) },
	{ CALL(link), ALWAYS, AT_TWO(CURRENT, 0, CURRENT, 1), .room = ROOM },
	{ CALL(symlink), ALWAYS, AT(CURRENT, 1), .room = ROOM },
	{ CALL(unlink), ALWAYS, AT(CURRENT, 0) },
	{ CALL(mkdir), IF_NEW, AT(CURRENT, 0), .room = ROOM },
	{ CALL(rmdir), ALWAYS, AT(CURRENT, 0) },
	{ CALL(mknod), ALWAYS, AT(CURRENT, 0), .room = ROOM },
	{ CALL(chmod), ALWAYS, AT(CURRENT, 0) },
	{ CALL(chown), ALWAYS, AT(CURRENT, 0) },
	{ CALL(lchown), ALWAYS, AT(CURRENT, 0) },
	{ CALL(utime), ALWAYS, AT(CURRENT, 0) },
	{ CALL(utimes), ALWAYS, AT(CURRENT, 0) },
	{ CALL(futimesat), ALWAYS, AT(0, 1) },
#endif
#ifdef SYS_renameat
	{ CALL(renameat), ALWAYS, AT_TWO(0, 1, 2, 3) },
#endif
	{ CALL(openat), IF_CREATING, AT(0, 1), .detail = 2, .room = ROOM_IF_NEW },
	{ CALL(openat2), IF_HOW_CREATING, AT(0, 1), .detail = 2, .room = ROOM_IF_NEW },
	{ CALL(write), IF_FILE, ON_FD(0), .room = ROOM_IF_BEYOND },
	{ CALL(pwrite64), IF_FILE, ON_FD(0), .room = ROOM_IF_BEYOND },
	{ CALL(writev), IF_FILE, ON_FD(0), .room = ROOM },
	{ CALL(pwritev), IF_FILE, ON_FD(0), .room = ROOM },
	{ CALL(pwritev2), IF_FILE, ON_FD(0), .room = ROOM },
	{ CALL(sendfile), IF_FILE, ON_FD(0), .room = ROOM },
	{ CALL(copy_file_range), IF_FILE, ON_FD(2), .room = ROOM },
	{ CALL(splice), IF_FILE, ON_FD(2), .room = ROOM },
	{ CALL(truncate), ALWAYS, AT(CURRENT, 0) },
	{ CALL(ftruncate), IF_FILE, ON_FD(0) },
	{ CALL(fallocate), IF_FILE, ON_FD(0), .room = ROOM },
	{ CALL(renameat2), ALWAYS, AT_TWO(0, 1, 2, 3) },
	{ CALL(linkat), ALWAYS, AT_TWO(0, 1, 2, 3), .room = ROOM },
	{ CALL(symlinkat), ALWAYS, AT(1, 2), .room = ROOM },
	{ CALL(unlinkat), ALWAYS, AT(0, 1) },
	{ CALL(mkdirat), IF_NEW, AT(0, 1), .room = ROOM },
	{ CALL(mknodat), ALWAYS, AT(0, 1), .room = ROOM },
	{ CALL(fchmod), ALWAYS, ON_FD(0) },
	{ CALL(fchmodat), ALWAYS, AT(0, 1) },
#ifdef SYS_fchmodat2
	{ CALL(fchmodat2), ALWAYS, AT(0, 1) },
#endif
	{ CALL(fchown), ALWAYS, ON_FD(0) },
	{ CALL(fchownat), ALWAYS, AT(0, 1) },
	{ CALL(utimensat), ALWAYS, AT(0, 1) },
	{ CALL(setxattr), ALWAYS, AT(CURRENT, 0), .room = ROOM },
	{ CALL(lsetxattr), ALWAYS, AT(CURRENT, 0), .room = ROOM },
	{ CALL(fsetxattr), ALWAYS, ON_FD(0), .room = ROOM },
	{ CALL(removexattr), ALWAYS, AT(CURRENT, 0) },
	{ CALL(lremovexattr), ALWAYS, AT(CURRENT, 0) },
	{ CALL(fremovexattr), ALWAYS, ON_FD(0) },
	{ CALL(fsync), ALWAYS, ON_FD(0) },
	{ CALL(fdatasync), ALWAYS, ON_FD(0) },
	{ CALL(syncfs), ALWAYS, ON_FD(0) },
	{ CALL(sync_file_range), ALWAYS, ON_FD(0) },
	{ CALL(sync), ALWAYS, NOTHING },
	{ CALL(msync), ALWAYS, NOTHING },
	{ CALL(ioctl), IF_REQUEST, ON_FD(0), .detail = 1, .room = ROOM },
	{ CALL(mount), ALWAYS, AT(CURRENT, 1) },
	{ CALL(umount2), ALWAYS, AT(CURRENT, 0) },
	{ CALL(move_mount), ALWAYS, AT(2, 3) },
	{ CALL(init_module), ALWAYS, NOTHING },
	{ CALL(finit_module), ALWAYS, ON_FD(0) },
	{ CALL(delete_module), ALWAYS, NOTHING },
	{ CALL(swapon), ALWAYS, AT(CURRENT, 0) },
	{ CALL(swapoff), ALWAYS, AT(CURRENT, 0) },
	{ CALL(sethostname), ALWAYS, NOTHING },
	{ CALL(setdomainname), ALWAYS, NOTHING },
	{ CALL(settimeofday), ALWAYS, NOTHING },
	{ CALL(clock_settime), ALWAYS, NOTHING },
};

size_t changing_call_numbers(const long **ret_numbers)
{
	static long numbers[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		numbers[i] = rows[i].number;
	*ret_numbers = numbers;
	return ARRAY_SIZE(rows);
}

/* Up to size bytes of the thread's memory; a page at a time, since the next may not be there. */
static size_t read_memory(pid_t thread, uint64_t address, void *ret, size_t size)
{
	char path[64];
	CLEANUP_FD int fd = -1;
	size_t done = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && done < size) {
		size_t part = 4096 - (address + done) % 4096;
		ssize_t n = pread(fd, (char *)ret + done, part < size - done ? part : size - done,
				  (off_t)(address + done));

		if (n <= 0)
			break;
		if (memchr((char *)ret + done, '\0', (size_t)n) && size == PATH_MAX)
			return done + (size_t)n;
		done += (size_t)n;
	}
	return done;
}

static void read_path(pid_t thread, uint64_t address, char ret[static PATH_MAX])
{
	size_t size = address ? read_memory(thread, address, ret, PATH_MAX) : 0;

	ret[size < PATH_MAX ? size : PATH_MAX - 1] = '\0';
}

static bool creates(uint64_t flags)
{
	return flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE;
}

static void descriptor_path(pid_t thread, int fd, char ret[static 64])
{
	snprintf(ret, 64, "/proc/%d/fd/%d", (int)thread, fd);
}

/* What the command prints may go to a file of the caller's, which is no part of what it changes. */
static bool is_own_output(const struct stat *st)
{
	struct stat own;

	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fstat(fd, &own) == 0 && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
			return true;
	return false;
}

static bool is_file(const struct pending_call *call, int fd)
{
	char path[64], name[PATH_MAX];
	struct stat st;
	ssize_t n;

	descriptor_path(call->thread, fd, path);
	n = readlink(path, name, sizeof(name) - 1);
	if (n < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || is_own_output(&st))
		return false;
	name[n] = '\0';
	return strncmp(name, "/memfd:", 7) != 0;
}

/* A path by which this process reaches what the thread means. */
static void reach(const struct pending_call *call, int at, int path, char *ret, size_t size)
{
	int folder = at == CURRENT ? AT_FDCWD : (int)call->arguments[at];
	char name[PATH_MAX];

	read_path(call->thread, call->arguments[path], name);
	if (name[0] == '/')
		snprintf(ret, size, "/proc/%d/root%s", (int)call->thread, name);
	else if (folder == AT_FDCWD)
		snprintf(ret, size, "/proc/%d/cwd/%s", (int)call->thread, name);
	else
		snprintf(ret, size, "/proc/%d/fd/%d/%s", (int)call->thread, folder, name);
}

static bool is_new(const struct changing_call *row, const struct pending_call *call)
{
	char path[PATH_MAX + 64];
	struct stat st;

	reach(call, row->at, row->path, path, sizeof(path));
	return lstat(path, &st) < 0 && errno == ENOENT;
}

static bool applies(const struct changing_call *row, const struct pending_call *call)
{
	uint64_t detail = call->arguments[row->detail];
	uint64_t flags = 0;

	switch (row->rule) {
	case IF_NEW:
		return is_new(row, call);
	case IF_CREATING:
		return creates(detail);
	case IF_HOW_CREATING: /* struct open_how begins with the flags */
		return read_memory(call->thread, detail, &flags, sizeof(flags)) == sizeof(flags) &&
		       creates(flags);
	case IF_FILE:
		return is_file(call, (int)call->arguments[row->fd]);
	case IF_REQUEST:
		return detail == FICLONE || detail == FICLONERANGE || detail == FS_IOC_SETFLAGS;
	case ALWAYS:
		break;
	}
	return true;
}

const struct changing_call *changing_call_find(const struct pending_call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].number == call->number)
			return applies(&rows[i], call) ? &rows[i] : NULL;
	return NULL;
}

/* The position of write(2), or the end of the file for one that appends. */
static bool position(const struct pending_call *call, int fd, off_t end, off_t *ret)
{
	CLEANUP_FILE FILE *file = NULL;
	unsigned int flags = 0;
	long long at = -1;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)call->thread, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		(void)!sscanf(line, "pos: %lld", &at);
		(void)!sscanf(line, "flags: %o", &flags);
	}
	*ret = flags & O_APPEND ? end : (off_t)at;
	return at >= 0;
}

static bool grows(const struct changing_call *row, const struct pending_call *call)
{
	int fd = (int)call->arguments[row->fd];
	off_t at = (off_t)call->arguments[3];
	char path[64];
	struct stat st;

	descriptor_path(call->thread, fd, path);
	if (stat(path, &st) < 0)
		return true;
	if (row->number != SYS_pwrite64 && !position(call, fd, st.st_size, &at))
		return true;
	return at + (off_t)call->arguments[2] > st.st_size;
}

bool changing_call_allocates(const struct changing_call *row, const struct pending_call *call)
{
	switch (row->room) {
	case ROOM:
		return true;
	case ROOM_IF_NEW:
		return is_new(row, call);
	case ROOM_IF_BEYOND:
		return grows(row, call);
	case NO_ROOM:
		break;
	}
	return false;
}

static void add_link(const char *link, char *ret, size_t size)
{
	size_t used = strlen(ret);
	ssize_t n = readlink(link, ret + used, size - used - 1);

	ret[used + (size_t)(n > 0 ? n : 0)] = '\0';
}

static void add_path(const struct pending_call *call, int at, int path, char *ret, size_t size)
{
	int folder = at == CURRENT ? AT_FDCWD : (int)call->arguments[at];
	char name[PATH_MAX], link[64];
	size_t used;

	read_path(call->thread, call->arguments[path], name);
	strncat(ret, " ", size - strlen(ret) - 1);
	if (name[0] != '/') {
		if (folder == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/%d/cwd", (int)call->thread);
		else
			descriptor_path(call->thread, folder, link);
		add_link(link, ret, size);
		strncat(ret, "/", size - strlen(ret) - 1);
	}
	used = strlen(ret);
	snprintf(ret + used, size - used, "%s", name);
}

void changing_call_describe(const struct changing_call *row, const struct pending_call *call, char *ret,
			    size_t size)
{
	char link[64];

	snprintf(ret, size, "%s", row->name);
	if (row->fd != NONE) {
		descriptor_path(call->thread, (int)call->arguments[row->fd], link);
		strncat(ret, " ", size - strlen(ret) - 1);
		add_link(link, ret, size);
	}
	if (row->path != NONE)
		add_path(call, row->at, row->path, ret, size);
	if (row->path2 != NONE)
		add_path(call, row->at2, row->path2, ret, size);
}
