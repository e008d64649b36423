/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define PATH_FOLDERS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OUTPUT_MAX ((size_t)1 << 20)
#define DEFAULT_TIMEOUT_SECONDS 300
#define MAX_ARGUMENTS 64

/* One stream of the program. buffer is NULL where it is thrown away. */
struct stream {
	int fd; /* our end of the pipe, -1 once it is at its end */
	struct byoh_buffer *buffer;
	size_t taken;
};

struct child {
	pid_t pid;
	int ended; /* eventfd, readable once the child has ended and before it is reaped */
	bool killed, cancelled;
	const atomic_bool *cancel;
	struct stream streams[2];
	struct timespec deadline;
};

/* The standard descriptors are for the program: whatever we pass to it must not lie among them, or
 * one redirection would overwrite the source of the next. */
static int above_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

static int make_pipe(int ret_ends[2], struct byoh_error *err)
{
	if (pipe2(ret_ends, O_CLOEXEC))
		return byoh_fail_errno(err, "cannot make a pipe");
	ret_ends[0] = above_standard(ret_ends[0]);
	ret_ends[1] = above_standard(ret_ends[1]);
	if (ret_ends[0] < 0 || ret_ends[1] < 0 || fcntl(ret_ends[0], F_SETFL, O_NONBLOCK))
		return byoh_fail_errno(err, "cannot make a pipe");
	return 0;
}

static int find_program(const char *name, char ret[BYOH_PATH_MAX], struct byoh_error *err)
{
	const char *folder = PATH_FOLDERS;
	struct stat st;

	if (strchr(name, '/')) {
		snprintf(ret, BYOH_PATH_MAX, "%s", name);
		return 0;
	}
	for (size_t length; *folder; folder += length + (folder[length] == ':')) {
		length = strcspn(folder, ":");
		snprintf(ret, BYOH_PATH_MAX, "%.*s/%s", (int)length, folder, name);
		if (!stat(ret, &st) && S_ISREG(st.st_mode) && !access(ret, X_OK))
			return 0;
	}
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOENT,
			 "this host has no program %s (looked in " PATH_FOLDERS ")", name);
}

/* Bytes for stdin lie in a file in memory: a pipe would have to be fed while the output is read. */
static int open_input(const struct byoh_run *run, int *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	int rc;

	if (run->input) {
		fd = memfd_create("byoh-input", MFD_CLOEXEC);
		if (fd < 0)
			return byoh_fail_errno(err, "cannot make a file in memory");
		rc = byoh_pwrite_all(fd, run->input, run->input_size, 0, err);
		if (rc < 0)
			return rc;
	} else if (run->input_fd > 0) {
		fd = fcntl(run->input_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	} else {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		fd = above_standard(TAKE_FD(fd));
	if (fd < 0)
		return byoh_fail_errno(err, "cannot open the input of a program");
	*ret = TAKE_FD(fd);
	return 0;
}

/* A process group of its own keeps Ctrl-C for us, who decide what to undo, and lets a timeout reach
 * what the program started. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	rc = posix_spawnattr_setsigdefault(attributes, &all);
	if (!rc)
		rc = posix_spawnattr_setsigmask(attributes, &none);
	if (!rc)
		rc = posix_spawnattr_setpgroup(attributes, 0);
	if (!rc)
		rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF |
								  POSIX_SPAWN_SETSIGMASK |
								  POSIX_SPAWN_SETPGROUP);
	return rc;
}

static int set_files(posix_spawn_file_actions_t *files, const int standard[3])
{
	/* else the program would hold the medium that we were started from */
	int rc = posix_spawn_file_actions_addchdir_np(files, "/");

	for (int i = 0; !rc && i < 3; i++)
		rc = posix_spawn_file_actions_adddup2(files, standard[i], i);
	return rc;
}

static int spawn(const char *path, const char *const *argv, const int standard[3], pid_t *ret)
{
	char *const environment[] = { (char[]){ "PATH=" PATH_FOLDERS }, (char[]){ "LC_ALL=C" },
				      NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int rc;

	rc = posix_spawn_file_actions_init(&files);
	if (rc)
		return rc;
	rc = posix_spawnattr_init(&attributes);
	if (!rc) {
		rc = set_files(&files, standard);
		if (!rc)
			rc = set_attributes(&attributes);
		if (!rc)
			rc = posix_spawn(ret, path, &files, &attributes, (char *const *)argv,
					 environment);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

static void *await_end(void *context)
{
	const struct child *child = context;
	siginfo_t info;

	/* WNOWAIT: until the caller reaps it nobody else can have this pid, so it may be killed by
	 * it. */
	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
		;
	eventfd_write(child->ended, 1);
	return NULL;
}

static int milliseconds_left(const struct timespec *deadline)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 +
	       (deadline->tv_nsec - now.tv_nsec) / 1000000;
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* Reads what is there. What exceeds the cap is read too, or the program would block. */
static int read_stream(struct stream *stream, struct byoh_error *err)
{
	char piece[16384];

	while (stream->fd >= 0) {
		ssize_t got = read(stream->fd, piece, sizeof(piece));
		size_t keep = 0;
		int rc;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return 0;
		if (got <= 0) {
			close(TAKE_FD(stream->fd));
			return 0;
		}
		if (stream->buffer)
			keep = (size_t)got < OUTPUT_MAX - stream->taken
				       ? (size_t)got
				       : OUTPUT_MAX - stream->taken;
		rc = keep ? byoh_buffer_add(stream->buffer, piece, keep, err) : 0;
		if (rc < 0)
			return rc;
		stream->taken += keep;
	}
	return 0;
}

/* Signals are held back while the flag is looked at and let in while poll sleeps, so that one that sets the
 * flag in between ends the sleep. */
static int poll_or_cancel(struct child *child, struct pollfd *polls, size_t count)
{
	int left = milliseconds_left(&child->deadline);
	struct timespec limit = { .tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000L };
	sigset_t all, before;
	int ready;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (child->cancel && atomic_load(child->cancel) && !child->killed) {
		child->cancelled = child->killed = true;
		kill(-child->pid, SIGKILL);
	}
	ready = ppoll(polls, count, child->killed ? NULL : &limit, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ready;
}

/* Until the program has ended; a daemon that it left behind may hold the pipes open for ever. */
static int follow(struct child *child, struct byoh_error *err)
{
	struct pollfd polls[3] = { { .fd = child->ended, .events = POLLIN } };
	int failure = 0;

	for (;;) {
		int ready, rc;

		for (size_t i = 0; i < ARRAY_SIZE(child->streams); i++)
			polls[i + 1] = (struct pollfd){ .fd = child->streams[i].fd,
							.events = POLLIN };
		ready = poll_or_cancel(child, polls, ARRAY_SIZE(polls));
		if ((ready == 0 && !milliseconds_left(&child->deadline)) || failure) {
			if (!child->killed)
				kill(-child->pid, SIGKILL);
			child->killed = true;
		}
		for (size_t i = 0; i < ARRAY_SIZE(child->streams); i++) {
			rc = ready > 0 ? read_stream(&child->streams[i], failure ? NULL : err) : 0;
			failure = rc < 0 && !failure ? rc : failure;
		}
		if (ready > 0 && polls[0].revents)
			return failure;
	}
}

static int wait_for(struct child *child, int *ret_status, struct byoh_error *err)
{
	pthread_t waiter;
	sigset_t all, before;
	int rc, status;

	/* signals belong to the threads that were there before */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&waiter, NULL, await_end, child);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		kill(-child->pid, SIGKILL);
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, rc, "cannot start a thread: %s",
			       strerror(rc));
	} else {
		rc = follow(child, err);
		pthread_join(waiter, NULL);
	}
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return rc < 0 ? rc : byoh_fail_errno(err, "cannot wait for a program");
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return rc;
}

static int start_and_wait(const struct byoh_run *run, const char *path, int *ret_status,
			  struct byoh_error *err)
{
	unsigned int timeout = run->timeout_seconds ? run->timeout_seconds
						    : DEFAULT_TIMEOUT_SECONDS;
	CLEANUP_FD int input = -1, output = -1, errors = -1, ended = -1, read_output = -1,
		       read_errors = -1;
	struct child child = { .pid = -1 };
	int rc, ends[2];

	rc = open_input(run, &input, err);
	if (rc < 0)
		return rc;
	rc = make_pipe(ends, err);
	if (rc < 0)
		return rc;
	read_output = ends[0];
	output = ends[1];
	if (run->errors) {
		rc = make_pipe(ends, err);
		if (rc < 0)
			return rc;
		read_errors = ends[0];
		errors = ends[1];
	}
	ended = above_standard(eventfd(0, EFD_CLOEXEC));
	if (ended < 0)
		return byoh_fail_errno(err, "cannot make an event descriptor");

	rc = spawn(path, run->argv, (int[]){ input, output, errors >= 0 ? errors : output },
		   &child.pid);
	if (rc)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, rc, "cannot start %s: %s", path,
				 strerror(rc));
	close(TAKE_FD(output));
	if (errors >= 0)
		close(TAKE_FD(errors));

	clock_gettime(CLOCK_MONOTONIC, &child.deadline);
	child.deadline.tv_sec += timeout;
	child.ended = ended;
	child.cancel = run->cancel;
	child.streams[0] = (struct stream){ .fd = TAKE_FD(read_output), .buffer = run->output };
	child.streams[1] = (struct stream){ .fd = TAKE_FD(read_errors), .buffer = run->errors };
	rc = wait_for(&child, ret_status, err);
	for (size_t i = 0; i < ARRAY_SIZE(child.streams); i++)
		byoh_cleanup_fd(&child.streams[i].fd);
	if (rc < 0)
		return rc;
	if (child.cancelled)
		return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted while %s ran",
				 run->argv[0]);
	if (child.killed)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ETIMEDOUT,
				 "%s did not end within %u seconds and was killed", run->argv[0],
				 timeout);
	return 0;
}

int byoh_run(const struct byoh_run *run, int *ret_status, struct byoh_error *err)
{
	char path[BYOH_PATH_MAX];
	int rc;

	rc = find_program(run->argv[0], path, err);
	if (rc < 0)
		return rc;
	return start_and_wait(run, path, ret_status, err);
}

/* The last line that says something, for a message. */
static void last_line(const struct byoh_buffer *buffer, const char **ret, int *ret_length)
{
	const char *text = byoh_buffer_text(buffer);
	size_t end = strlen(text), start;

	while (end && strchr(" \t\r\n", text[end - 1]))
		end--;
	start = end;
	while (start && text[start - 1] != '\n')
		start--;
	*ret = text + start;
	*ret_length = end - start > 300 ? 300 : (int)(end - start);
}

int byoh_run_checked(const struct byoh_run *run, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer own = { 0 };
	struct byoh_run with_output = *run;
	int rc, status, length;
	const char *line;

	if (!with_output.errors)
		with_output.output = run->output ? run->output : &own;
	rc = byoh_run(&with_output, &status, err);
	if (rc < 0 || status == 0)
		return rc;
	last_line(with_output.errors ? with_output.errors : with_output.output, &line, &length);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s%s%s failed with status %d%s%.*s",
			 run->argv[0], run->argv[1] ? " " : "", run->argv[1] ? run->argv[1] : "",
			 status, length ? ": " : "", length, line);
}

int byoh_run_simple(struct byoh_error *err, const char *program, ...)
{
	const char *argv[MAX_ARGUMENTS + 1] = { program };
	const struct byoh_run run = { .argv = argv };
	size_t count = 1;
	va_list args;

	va_start(args, program);
	while (count <= MAX_ARGUMENTS && (argv[count] = va_arg(args, const char *)))
		count++;
	va_end(args);
	if (count > MAX_ARGUMENTS)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, E2BIG, "too many arguments for %s",
				 program);
	return byoh_run_checked(&run, err);
}
