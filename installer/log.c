/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define TEXT_MAX ((size_t)8 << 20) /* a run that says more has said enough */
#define TIME_LENGTH (sizeof("20260101T000000Z") - 1)
#define SAME_SECOND 99 /* runs of one verb in one second */

static struct byoh_log {
	struct byoh_buffer text; /* all of it: where it is kept may only be known at the end */
	size_t written;		 /* of text, to fd */
	int fd;			 /* -1: no file yet */
	int failure;		 /* errno of the first write that failed */
	bool begun, acting, in_line;
	char verb[32];
	char path[128];
} log_of_run = { .fd = -1 };

static void write_out(struct byoh_log *log)
{
	struct byoh_error failure = BYOH_ERROR_INIT;

	if (log->fd < 0 || log->failure || log->written == log->text.size)
		return;
	if (byoh_write_all(log->fd, log->text.data + log->written, log->text.size - log->written, &failure) < 0)
		log->failure = failure.errnum ? failure.errnum : EIO;
	log->written = log->text.size;
}

/* Memory that is short costs lines, never the run. */
static void add(struct byoh_log *log, const char *bytes, size_t size)
{
	char stamp[40];
	time_t now = time(NULL);
	struct tm utc;

	if (!size || log->text.size + size > TEXT_MAX)
		return;
	if (!log->in_line && gmtime_r(&now, &utc) && strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ ", &utc))
		(void)!byoh_buffer_add_string(&log->text, stamp, NULL);
	(void)!byoh_buffer_add(&log->text, bytes, size, NULL);
	log->in_line = bytes[size - 1] != '\n';
}

static void add_lines(struct byoh_log *log, const char *text)
{
	for (size_t length; *text; text += length) {
		length = strcspn(text, "\n");
		length += text[length] == '\n';
		add(log, text, length);
	}
}

static void end_action(struct byoh_log *log, const char *how)
{
	if (!log->acting)
		return;
	log->acting = false;
	add_lines(log, how);
}

void byoh_log_text(const char *fmt, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return;
	}
	end_action(&log_of_run, "\n");
	add_lines(&log_of_run, text);
	write_out(&log_of_run);
}

void byoh_log_done(void)
{
	end_action(&log_of_run, " done\n");
}

void byoh_log_action(const char *what)
{
	byoh_log_done();
	add_lines(&log_of_run, what);
	add_lines(&log_of_run, " ...");
	log_of_run.acting = true;
	write_out(&log_of_run);
}

/* Never over an older one. */
static int create(struct byoh_log *log, int folder, const char *folder_name)
{
	time_t now = time(NULL);
	char stamp[TIME_LENGTH + 1], number[8] = "";
	struct tm utc;

	if (!gmtime_r(&now, &utc) || !strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc))
		return -EOVERFLOW;
	for (int i = 1; i <= SAME_SECOND; i++) {
		if (i > 1)
			snprintf(number, sizeof(number), "-%d", i);
		snprintf(log->path, sizeof(log->path), "%s/%s-%s%s.log", folder_name, log->verb, stamp, number);
		log->fd = openat(folder, log->path + strlen(folder_name) + 1,
				 O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (log->fd >= 0 || errno != EEXIST)
			break;
	}
	if (log->fd < 0)
		return -errno;
	write_out(log);
	return 0;
}

static int open_folder(int root_fd)
{
	return root_fd < 0 ? -EBADF :
			     byoh_open_beneath(root_fd, BYOH_LOG_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
					       0, NULL);
}

void byoh_log_begin(int root_fd, const char *verb)
{
	struct byoh_log *log = &log_of_run;
	CLEANUP_FD int folder = -1;

	if (log->begun)
		return;
	log->begun = true;
	snprintf(log->verb, sizeof(log->verb), "%s", verb);
	byoh_log_text("byoh-install " BYOH_VERSION " %s\n", verb);
	folder = open_folder(root_fd);
	if (folder >= 0)
		(void)!create(log, folder, BYOH_LOG_FOLDER); /* tried again at the end */
}

/* VERB-20260101T000000Z.log, VERB-20260101T000000Z-2.log: the time, or NULL for what is not ours. */
static const char *time_of(const char *name)
{
	const char *at = name + strspn(name, "abcdefghijklmnopqrstuvwxyz-");
	const char *behind = at + TIME_LENGTH;

	if (at == name || at[-1] != '-' || strlen(at) < TIME_LENGTH || at[8] != 'T' || behind[-1] != 'Z')
		return NULL;
	for (size_t i = 0; i < TIME_LENGTH - 1; i++)
		if (i != 8 && !isdigit((unsigned char)at[i]))
			return NULL;
	if (*behind == '-')
		behind += 1 + strspn(behind + 1, "0123456789");
	return strcmp(behind, ".log") == 0 ? at : NULL;
}

/* How many logs there are, and which of them, but for the newest, is the oldest. */
static size_t find_oldest(int folder, const char *newest, char ret_oldest[BYOH_NAME_MAX + 1])
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t count = 0;

	ret_oldest[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		if (!time_of(entry->d_name))
			continue;
		count++;
		if (strcmp(entry->d_name, newest) != 0 &&
		    (!ret_oldest[0] || strcmp(time_of(entry->d_name), time_of(ret_oldest)) < 0))
			snprintf(ret_oldest, BYOH_NAME_MAX + 1, "%s", entry->d_name);
	}
	return count;
}

/* The one just written stays, even where the clock was set back. */
static void prune(int folder, const char *newest)
{
	char oldest[BYOH_NAME_MAX + 1];

	while (find_oldest(folder, newest, oldest) > BYOH_LOG_KEPT)
		if (unlinkat(folder, oldest, 0) < 0)
			return;
}

static int open_volatile_folder(void)
{
	struct stat st;
	CLEANUP_FD int fd = -1;

	if (mkdir(BYOH_LOG_FOLDER_VOLATILE, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(BYOH_LOG_FOLDER_VOLATILE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() ? TAKE_FD(fd) : -EPERM;
}

/* A log whose folder was made, or taken away, by the run itself. */
static int place(struct byoh_log *log, int root_fd, bool live, bool failed)
{
	const char *name = BYOH_LOG_FOLDER;
	CLEANUP_FD int folder = open_folder(root_fd);
	struct stat st;
	int r = 0;

	if (log->fd >= 0 && (fstat(log->fd, &st) < 0 || !st.st_nlink)) {
		close(TAKE_FD(log->fd));
		log->written = 0;
	}
	if (folder < 0 && live && failed && log->fd < 0) {
		name = BYOH_LOG_FOLDER_VOLATILE;
		folder = open_volatile_folder();
		if (folder < 0)
			return folder;
	}
	if (folder >= 0 && log->fd < 0)
		r = create(log, folder, name);
	if (r == 0 && folder >= 0)
		prune(folder, log->path + strlen(name) + 1);
	return r;
}

const char *byoh_log_end(int root_fd, bool live, bool failed, int *ret_errno)
{
	struct byoh_log *log = &log_of_run;
	bool placed;
	int r = 0;

	end_action(log, failed ? "\n" : " done\n");
	write_out(log);
	if (log->begun)
		r = place(log, root_fd, live, failed);
	placed = log->begun && log->fd >= 0;
	*ret_errno = log->failure ? log->failure : -r;
	if (log->fd >= 0)
		close(TAKE_FD(log->fd));
	byoh_buffer_release(&log->text);
	log->begun = log->in_line = false;
	log->written = 0;
	log->failure = 0;
	return placed ? log->path : NULL;
}
