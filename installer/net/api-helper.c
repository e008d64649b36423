/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper that stands between the caller and the API server. It is forked before the network is left, gives up
 * its rights at once, and reads nothing of the server's: each request is done by a child that has one connection and
 * one pipe, and is killed when its time is over.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/net/api-protocol.h"
#include "installer/net/outside-protocol.h"

struct service {
	int fd;	      /* to the caller */
	int rights;   /* negative: they could not be given up, and nobody is asked */
	char *server; /* that of the first request; NULL before it */
};

struct answer {
	struct byoh_outside_answer head;
	struct byoh_buffer body; /* or what is wrong, where head.status is negative */
};

static void release_answer(struct answer *answer)
{
	byoh_secret_buffer_release(&answer->body);
}

static void set_failure(struct answer *answer, int rc, const char *text)
{
	answer->head = (struct byoh_outside_answer){ .status = rc < 0 ? rc : -EPROTO };
	byoh_secret_buffer_release(&answer->body);
	if (byoh_buffer_add_string(&answer->body, text, NULL) == 0)
		answer->head.size = (uint32_t)answer->body.size;
}

/* Whoever took over the caller by hostile bytes reaches through us what the caller asked for first, and nothing
 * else. */
static int check_server(struct service *service, const char *server, struct byoh_error *err)
{
	size_t length = strlen(server);

	if (length && server[length - 1] == '/')
		length--;
	if (!service->server) {
		service->server = strndup(server, length);
		return service->server ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	if (strlen(service->server) == length && strncmp(service->server, server, length) == 0)
		return 0;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "this run speaks to %.200s, and to no other server",
			 service->server);
}

static int send_answer(int fd, const struct answer *answer)
{
	int rc = byoh_outside_send(fd, &answer->head, sizeof(answer->head));

	return rc < 0 ? rc : byoh_outside_send(fd, answer->body.data, answer->head.size);
}

static _Noreturn void perform(const struct byoh_api_request *request, int fd, int parent)
{
	CLEANUP(release_answer) struct answer answer = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	unsigned int status = 0;
	int rc = byoh_api_request_perform(request, parent, &status, &answer.body, &err);

	if (rc < 0) {
		set_failure(&answer, rc, err.message);
	} else {
		answer.head.number = status;
		answer.head.size = (uint32_t)answer.body.size;
	}
	_exit(send_answer(fd, &answer) < 0);
}

static int receive_answer(int fd, struct answer *ret)
{
	int rc = byoh_outside_receive(fd, &ret->head, sizeof(ret->head), BYOH_OUTSIDE_API_SECONDS);

	if (rc == 0 && (ret->head.status > 0 || ret->head.size > BYOH_API_BODY_MAX))
		rc = -EPROTO;
	if (rc == 0)
		rc = byoh_buffer_reserve(&ret->body, ret->head.size, NULL);
	if (rc == 0)
		rc = byoh_outside_receive(fd, ret->body.data, ret->head.size, BYOH_OUTSIDE_API_SECONDS);
	if (rc < 0)
		return rc;
	ret->body.size = ret->head.size;
	ret->body.data[ret->body.size] = '\0';
	return 0;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int ask(const struct service *service, const struct byoh_api_request *request, struct answer *ret,
	       struct byoh_error *err)
{
	int rc, ends[2];
	pid_t self = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return byoh_fail_errno(err, "cannot make a pair of sockets");
	pid = fork();
	if (pid == 0) {
		close(service->fd);
		close(ends[0]);
		perform(request, ends[1], self);
	}
	close(ends[1]);
	if (pid < 0)
		rc = byoh_fail_errno(err, "cannot start a process for the request");
	else
		rc = receive_answer(ends[0], ret);
	if (pid > 0)
		end_child(pid);
	close(ends[0]);
	if (pid > 0 && rc == -ETIMEDOUT)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ETIMEDOUT, "%.200s did not answer within %d seconds",
				 request->server, BYOH_OUTSIDE_API_SECONDS);
	return rc < 0 && pid > 0 ? byoh_fail(err, BYOH_ERROR_SYSTEM, EPROTO, "the request to %.200s broke down",
					     request->server) : rc;
}

static void answer_request(struct service *service, struct byoh_buffer *bytes, struct answer *ret)
{
	struct byoh_api_unpacked unpacked;
	struct byoh_error err = BYOH_ERROR_INIT;
	int rc = byoh_api_request_unpack(bytes->data, bytes->size, &unpacked, &err);

	if (rc == 0 && service->rights < 0)
		rc = byoh_fail(&err, BYOH_ERROR_SYSTEM, -service->rights, "cannot give up rights: %s",
			       strerror(-service->rights));
	if (rc == 0)
		rc = check_server(service, unpacked.request.server, &err);
	if (rc == 0)
		rc = ask(service, &unpacked.request, ret, &err);
	if (rc < 0)
		set_failure(ret, rc, err.message);
}

static int serve_one(struct service *service)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer bytes = { 0 };
	CLEANUP(release_answer) struct answer answer = { 0 };
	struct byoh_outside_request head;
	int rc = byoh_outside_receive(service->fd, &head, sizeof(head), 0);

	if (rc < 0)
		return rc;
	if (head.operation != BYOH_OUTSIDE_API || head.size > BYOH_OUTSIDE_API_REQUEST_MAX)
		return -EPROTO;
	rc = byoh_buffer_reserve(&bytes, head.size, NULL);
	if (rc == 0)
		rc = byoh_outside_receive(service->fd, bytes.data, head.size, BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc < 0)
		return rc;
	bytes.size = head.size;
	answer_request(service, &bytes, &answer);
	return send_answer(service->fd, &answer);
}

_Noreturn void byoh_outside_serve_api(int fd, int parent)
{
	struct service service = { .fd = byoh_outside_settle_in(fd, parent, "byoh-api") };
	struct byoh_outside_answer hello = { 0 };
	int rc;

	/* A namespace of users may have no nobody. Most runs ask nothing, and do without. */
	service.rights = byoh_outside_give_up_rights(parent);
	rc = byoh_outside_send(service.fd, &hello, sizeof(hello));
	while (rc == 0)
		rc = serve_one(&service);
	_exit(0); /* no handlers of the caller's, no flushing of its streams */
}
