/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's end. It answers five small questions and nothing else: whoever took over the caller
 * by hostile bytes gets from it net sysctls, /proc/net and a GET on loopback, and no way out.
 */
#include "installer/net/outside-protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"

#define LOOPBACK_SOCKETS 4
#define NOBODY 65534
#define CLOSE_RANGE \
	436 /* close_range(2), the same on every architecture; missing in older headers */

struct helper {
	int fd;
	int loopback[LOOPBACK_SOCKETS]; /* -1: could not be had, or spent */
};

/* The bundle's file, terminals, locks: nothing of the caller's stays open here. */
static void close_all_but(int keep)
{
	struct rlimit limit;

	if (!syscall(CLOSE_RANGE, 0U, (unsigned int)keep - 1, 0U) &&
	    !syscall(CLOSE_RANGE, (unsigned int)keep + 1, ~0U, 0U))
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
		if (fd != keep)
			close(fd);
}

/* Signals of the terminal are for the caller: it needs us to undo what it did. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP,
				       SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int bind_to_loopback(int fd)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo"));
}

/* Bound to the device, so that these few can reach nothing but this host whatever address they are
 * given. Without the privilege there is none, and health checks are refused. */
static void open_loopback(struct helper *helper)
{
	for (size_t i = 0; i < LOOPBACK_SOCKETS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd >= 0 && bind_to_loopback(fd))
			close(TAKE_FD(fd));
		helper->loopback[i] = fd;
	}
}

/* A stream socket that is connected to nothing again can be connected anew: no other can be had. */
static void renew(int *fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (connect(*fd, &nobody, sizeof(nobody)) || bind_to_loopback(*fd))
		close(TAKE_FD(*fd));
}

static int wait_until(int fd, short events, const struct timespec *deadline)
{
	struct pollfd one = { .fd = fd, .events = events };
	struct timespec now;
	int64_t left;
	int ready;

	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 +
		       (deadline->tv_nsec - now.tv_nsec) / 1000000;
		ready = left > 0 ? poll(&one, 1, (int)left) : 0;
	} while (ready < 0 && errno == EINTR);
	return ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
}

static int connect_loopback(int fd, uint16_t port, const struct timespec *deadline)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(int);
	int rc, failure = 0;

	if (!connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	rc = wait_until(fd, POLLOUT, deadline);
	if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size))
		return -errno;
	return rc < 0 ? rc : -failure;
}

/* "HTTP/1.1 200 OK": the status is all that is wanted. */
static int parse_status(const char *line, uint32_t *ret)
{
	if (strncmp(line, "HTTP/1.", 7) || line[7] < '0' || line[7] > '9' || line[8] != ' ')
		return -EPROTO;
	*ret = 0;
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EPROTO;
		*ret = *ret * 10 + (uint32_t)(line[i] - '0');
	}
	return 0;
}

static int get(int fd, uint16_t port, const char *path, uint32_t *ret_status)
{
	char request[BYOH_OUTSIDE_URL_PATH_MAX + 64], line[13] = "";
	struct timespec deadline;
	size_t have = 0;
	int rc, length;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += BYOH_OUTSIDE_LOOPBACK_SECONDS;
	rc = connect_loopback(fd, port, &deadline);
	if (rc < 0)
		return rc;
	length = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
			  path);
	if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
		return -EIO; /* an empty socket buffer takes it whole */
	while (have < sizeof(line) - 1) {
		ssize_t got;

		rc = wait_until(fd, POLLIN, &deadline);
		if (rc < 0)
			return rc;
		got = recv(fd, line + have, sizeof(line) - 1 - have, 0);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return got ? -errno : -EPROTO;
		have += (size_t)got;
	}
	return parse_status(line, ret_status);
}

static int answer_loopback_get(struct helper *helper, uint32_t port, const char *path,
			       uint32_t *ret_status)
{
	if (port == 0 || port > UINT16_MAX || !byoh_outside_url_path_ok(path))
		return -EINVAL;
	for (size_t i = 0; i < LOOPBACK_SOCKETS; i++) {
		int rc;

		if (helper->loopback[i] < 0)
			continue;
		rc = get(helper->loopback[i], (uint16_t)port, path, ret_status);
		renew(&helper->loopback[i]);
		return rc;
	}
	return -EPERM;
}

/* The kernel's text files tell no size. What exceeds the cap is left away: in /proc/net/tcp the
 * listening sockets, which are what is asked for, come first. */
static int read_text(const char *path, struct byoh_buffer *ret)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char piece[16384];

	if (fd < 0)
		return -errno;
	while (ret->size <= BYOH_OUTSIDE_ANSWER_MAX - sizeof(piece)) {
		ssize_t got = read(fd, piece, sizeof(piece));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		if (byoh_buffer_add(ret, piece, (size_t)got, NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void drop_newline(struct byoh_buffer *text)
{
	while (text->size && text->data[text->size - 1] == '\n')
		text->data[--text->size] = 0;
}

static int answer_sysctl_read(const char *key, struct byoh_buffer *ret)
{
	char below[BYOH_OUTSIDE_KEY_MAX + 1], path[sizeof(below) + 16];
	int rc;

	if (!byoh_outside_sysctl_path(key, below))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/sys/%s", below);
	rc = read_text(path, ret);
	drop_newline(ret);
	return rc;
}

static int answer_sysctl_write(const char *key, const char *value)
{
	char below[BYOH_OUTSIDE_KEY_MAX + 1], path[sizeof(below) + 16];
	CLEANUP_FD int fd = -1;
	ssize_t done;

	if (!byoh_outside_sysctl_path(key, below) || !byoh_outside_value_ok(value))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/sys/%s", below);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	do {
		done = write(fd, value,
			     strlen(value)); /* one write: the kernel takes no second half */
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : (size_t)done != strlen(value) ? -EIO : 0;
}

static int answer_proc_net(const char *name, struct byoh_buffer *ret)
{
	char path[BYOH_OUTSIDE_NAME_MAX + 16];

	if (!byoh_outside_name_ok(name))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/net/%.*s", BYOH_OUTSIDE_NAME_MAX, name);
	return read_text(path, ret);
}

static int answer_interfaces(struct byoh_buffer *ret)
{
	CLEANUP_DIR DIR *dir = opendir("/sys/class/net");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		CLEANUP_BUFFER struct byoh_buffer address = { 0 };
		char path[300];

		snprintf(path, sizeof(path), "/sys/class/net/%s/address", entry->d_name);
		if (entry->d_name[0] == '.' || read_text(path, &address) < 0)
			continue; /* bonding_masters is a file; a device may have gone */
		drop_newline(&address);
		if (byoh_buffer_printf(ret, NULL, "%s %s\n", entry->d_name,
				       byoh_buffer_text(&address)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* body is followed by two zero bytes, so that key and value are strings whatever it holds. */
static int answer(struct helper *helper, const struct byoh_outside_request *request,
		  const char *body, uint32_t *ret_number, struct byoh_buffer *ret)
{
	switch (request->operation) {
	case BYOH_OUTSIDE_SYSCTL_READ:
		return answer_sysctl_read(body, ret);
	case BYOH_OUTSIDE_SYSCTL_WRITE:
		return answer_sysctl_write(body, body + strlen(body) + 1);
	case BYOH_OUTSIDE_PROC_NET:
		return answer_proc_net(body, ret);
	case BYOH_OUTSIDE_INTERFACES:
		return answer_interfaces(ret);
	case BYOH_OUTSIDE_LOOPBACK_GET:
		return answer_loopback_get(helper, request->number, body, ret_number);
	}
	return -EINVAL;
}

static int serve_one(struct helper *helper)
{
	char body[BYOH_OUTSIDE_REQUEST_MAX + 2] = "";
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_outside_request request;
	struct byoh_outside_answer head = { 0 };
	int rc;

	rc = byoh_outside_receive(helper->fd, &request, sizeof(request), 0);
	if (rc < 0 || request.size > BYOH_OUTSIDE_REQUEST_MAX)
		return rc < 0 ? rc : -EPROTO;
	rc = byoh_outside_receive(helper->fd, body, request.size, BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc < 0)
		return rc;
	head.status = answer(helper, &request, body, &head.number, &text);
	head.size = head.status < 0 ? 0 : (uint32_t)text.size;
	rc = byoh_outside_send(helper->fd, &head, sizeof(head));
	if (rc == 0)
		rc = byoh_outside_send(helper->fd, text.data, head.size);
	return rc;
}

int byoh_outside_settle_in(int fd, int parent, const char *name)
{
	prctl(PR_SET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
	ignore_signals();
	/* The end of the stream ends us too; this one holds even while we wait for something else.
	 */
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) || getppid() != parent)
		_exit(1);
	if (fd <= STDERR_FILENO)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close_all_but(fd);
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (open("/dev/null", O_RDWR) < 0)
			break; /* a root without /dev: nothing here writes to them anyway */
	if (chdir("/"))
		_exit(1);
	return fd;
}

int byoh_outside_give_up_rights(int parent)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
			       setresuid(NOBODY, NOBODY, NOBODY)))
		return -errno;
	/* A change of user forgets it. */
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

_Noreturn void byoh_outside_serve(int fd, int parent)
{
	struct helper helper = { .fd = byoh_outside_settle_in(fd, parent, "byoh-outside") };
	struct byoh_outside_answer hello = { 0 };
	int rc;

	open_loopback(&helper);
	hello.status = byoh_outside_load_filter();
	rc = byoh_outside_send(helper.fd, &hello, sizeof(hello));
	while (rc == 0 && hello.status == 0)
		rc = serve_one(&helper);
	_exit(0); /* no handlers of the caller's, no flushing of its streams */
}
