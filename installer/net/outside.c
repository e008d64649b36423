/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's end: starts the helper, shuts itself in, asks. */
#include "installer/net/outside.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/net/outside-internal.h"

struct helper {
	int fd;	   /* -1 once an answer was missed: later ones would belong to other questions */
	pid_t pid; /* 0: none */
};

struct byoh_outside {
	struct helper host;
	struct helper api;
};

/* An unprivileged caller (a --root install, a preflight that is about to say so) keeps its
 * namespace: the filter holds for it all the same. */
static int shut_in(struct byoh_error *err)
{
	int rc;

	if (unshare(CLONE_NEWNET) && errno != EPERM)
		return byoh_fail_errno(err, "cannot make an empty network namespace");
	rc = byoh_outside_load_filter();
	if (rc < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc,
				 "cannot load the system call filter that keeps the network away: "
				 "%s; the kernel "
				 "needs CONFIG_SECCOMP_FILTER",
				 strerror(-rc));
	return 0;
}

int byoh_inside_only(struct byoh_error *err)
{
	return shut_in(err);
}

static int start_helper(struct helper *helper, void (*serve)(int fd, int parent), struct byoh_error *err)
{
	struct byoh_outside_answer hello;
	pid_t parent = getpid();
	int rc, ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return byoh_fail_errno(err, "cannot make a pair of sockets");
	helper->fd = ends[0];
	helper->pid = fork();
	if (helper->pid < 0) {
		helper->pid = 0;
		close(ends[1]);
		return byoh_fail_errno(err,
				       "cannot start the helper outside of the network namespace");
	}
	if (helper->pid == 0) {
		close(ends[0]);
		serve(ends[1], parent);
	}
	close(ends[1]);
	rc = byoh_outside_receive(helper->fd, &hello, sizeof(hello), BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc == 0)
		rc = hello.status;
	if (rc < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc,
				 "the helper outside of the network namespace did not start: %s",
				 strerror(-rc));
	return 0;
}

int byoh_outside_start(struct byoh_outside **ret, struct byoh_error *err)
{
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = calloc(1, sizeof(*outside));
	int rc;

	if (!outside)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	outside->host.fd = outside->api.fd = -1;
	rc = start_helper(&outside->host, byoh_outside_serve, err);
	if (rc == 0)
		rc = start_helper(&outside->api, byoh_outside_serve_api, err);
	if (rc == 0)
		rc = shut_in(err);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(outside);
	return 0;
}

static void end_helper(struct helper *helper)
{
	byoh_cleanup_fd(&helper->fd);
	if (helper->pid > 0) {
		kill(helper->pid, SIGKILL);
		while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*helper = (struct helper){ .fd = -1 };
}

void byoh_outside_free(struct byoh_outside *outside)
{
	if (!outside)
		return;
	end_helper(&outside->api);
	end_helper(&outside->host);
	free(outside);
}

void byoh_outside_freep(struct byoh_outside **outside)
{
	byoh_outside_free(*outside);
}

static int receive_body(int fd, size_t size, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FREE char *bytes = malloc(size ? size : 1);
	int rc;

	if (!bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_outside_receive(fd, bytes, size, BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "the helper did not answer: %s",
				 strerror(-rc));
	return byoh_buffer_add(ret, bytes, size, err);
}

static int exchange(int fd, const struct byoh_outside_request *request, const char *body,
		    struct byoh_outside_answer *ret_answer, struct byoh_buffer *ret,
		    struct byoh_error *err)
{
	int rc = byoh_outside_send(fd, request, sizeof(*request));

	if (rc == 0)
		rc = byoh_outside_send(fd, body, request->size);
	if (rc == 0)
		rc = byoh_outside_receive(fd, ret_answer, sizeof(*ret_answer),
					  BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc == 0 && (ret_answer->size > BYOH_OUTSIDE_ANSWER_MAX || ret_answer->status > 0))
		rc = -EPROTO;
	if (rc < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "the helper did not answer: %s",
				 strerror(-rc));
	return receive_body(fd, ret_answer->size, ret, err);
}

/* 0 with the answer, whose status the caller turns into words; negative where there is none. */
static int ask(struct byoh_outside *outside, const struct byoh_outside_request *request,
	       const char *body, struct byoh_outside_answer *ret_answer, struct byoh_buffer *ret,
	       struct byoh_error *err)
{
	int rc;

	if (outside->host.fd < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EPIPE,
				 "the helper outside of the network namespace is gone");
	rc = exchange(outside->host.fd, request, body, ret_answer, ret, err);
	if (rc < 0)
		close(TAKE_FD(outside->host.fd));
	return rc;
}

int byoh_outside_sysctl_read(struct byoh_outside *outside, const char *key, struct byoh_buffer *ret,
			     struct byoh_error *err)
{
	char path[BYOH_OUTSIDE_KEY_MAX + 1];
	struct byoh_outside_request request = { .operation = BYOH_OUTSIDE_SYSCTL_READ };
	struct byoh_outside_answer answer;
	int rc;

	if (!byoh_outside_sysctl_path(key, path))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "%s is no key of a net sysctl",
				 key);
	request.size = (uint32_t)strlen(key);
	rc = ask(outside, &request, key, &answer, ret, err);
	if (rc == 0 && answer.status < 0)
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, -answer.status,
			       "cannot read the kernel parameter %s: %s", key,
			       strerror(-answer.status));
	return rc;
}

int byoh_outside_sysctl_write(struct byoh_outside *outside, const char *key, const char *value,
			      struct byoh_error *err)
{
	char path[BYOH_OUTSIDE_KEY_MAX + 1];
	CLEANUP_BUFFER struct byoh_buffer body = { 0 }, nothing = { 0 };
	struct byoh_outside_request request = { .operation = BYOH_OUTSIDE_SYSCTL_WRITE };
	struct byoh_outside_answer answer;
	int rc;

	if (!byoh_outside_sysctl_path(key, path) || !byoh_outside_value_ok(value))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "\"%s = %s\" is no net sysctl",
				 key, value);
	rc = byoh_buffer_printf(&body, err, "%s%c%s", key, 0, value);
	if (rc < 0)
		return rc;
	request.size = (uint32_t)body.size;
	rc = ask(outside, &request, body.data, &answer, &nothing, err);
	if (rc == 0 && answer.status < 0)
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, -answer.status,
			       "cannot set the kernel parameter %s to %s: %s", key, value,
			       strerror(-answer.status));
	return rc;
}

int byoh_outside_proc_net(struct byoh_outside *outside, const char *name, struct byoh_buffer *ret,
			  struct byoh_error *err)
{
	struct byoh_outside_request request = { .operation = BYOH_OUTSIDE_PROC_NET };
	struct byoh_outside_answer answer;
	int rc;

	if (!byoh_outside_name_ok(name))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "%s is no file of /proc/net",
				 name);
	request.size = (uint32_t)strlen(name);
	rc = ask(outside, &request, name, &answer, ret, err);
	if (rc == 0 && answer.status < 0)
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, -answer.status,
			       "cannot read /proc/net/%s: %s", name, strerror(-answer.status));
	return rc;
}

int byoh_outside_interfaces(struct byoh_outside *outside, struct byoh_buffer *ret,
			    struct byoh_error *err)
{
	const struct byoh_outside_request request = { .operation = BYOH_OUTSIDE_INTERFACES };
	struct byoh_outside_answer answer;
	int rc;

	rc = ask(outside, &request, "", &answer, ret, err);
	if (rc == 0 && answer.status < 0)
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, -answer.status,
			       "cannot read /sys/class/net: %s", strerror(-answer.status));
	return rc;
}

int byoh_outside_loopback_get(struct byoh_outside *outside, uint16_t port, const char *path,
			      unsigned int *ret_status, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer nothing = { 0 };
	struct byoh_outside_request request = { .operation = BYOH_OUTSIDE_LOOPBACK_GET,
						.number = port };
	struct byoh_outside_answer answer;
	int rc;

	if (!port || !byoh_outside_url_path_ok(path))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL,
				 "%s is no path that is asked on loopback", path);
	request.size = (uint32_t)strlen(path);
	rc = ask(outside, &request, path, &answer, &nothing, err);
	if (rc < 0)
		return rc;
	if (answer.status < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -answer.status,
				 "http://127.0.0.1:%u%s: %s", port, path, strerror(-answer.status));
	*ret_status = answer.number;
	return 0;
}

int *byoh_outside_api_fd(struct byoh_outside *outside)
{
	return &outside->api.fd;
}
