/* SPDX-License-Identifier: Apache-2.0 */
/* The helper that connects to the mirror and to nothing else. It reads nothing of the server's: that is for a child
 * with one connection. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "installer/net/mirror-protocol.h"
#include "installer/net/outside-protocol.h"

struct service {
	int fd; /* to the caller */
	const char *url;
	const struct byoh_buffer *ca;
	pid_t child; /* of the connection before; 0: none */
};

static void end_child(struct service *service)
{
	if (service->child > 0) {
		kill(service->child, SIGKILL);
		while (waitpid(service->child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	service->child = 0;
}

static int pass_descriptor(int to, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	char byte = 0;
	struct iovec one = { &byte, 1 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(to, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int serve_one(struct service *service)
{
	struct byoh_mirror_job job = { .url = service->url, .ca = service->ca };
	pid_t self = getpid();
	int ends[2], rc = byoh_outside_receive(service->fd, &job.offset, sizeof(job.offset), 0);

	if (rc < 0)
		return rc;
	end_child(service);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	service->child = fork();
	if (service->child == 0) {
		close(service->fd);
		close(ends[0]);
		job.fd = ends[1];
		byoh_mirror_perform(&job, self);
		_exit(0);
	}
	close(ends[1]);
	/* Without a child the caller finds the stream at its end. */
	rc = pass_descriptor(service->fd, ends[0]);
	close(ends[0]);
	return rc;
}

_Noreturn void byoh_mirror_serve(int fd, int parent, const char *url, const struct byoh_buffer *ca)
{
	struct service service = { .fd = byoh_outside_settle_in(fd, parent, "byoh-mirror"), .url = url, .ca = ca };
	struct byoh_outside_answer hello = { .status = byoh_outside_give_up_rights(parent) };
	int rc = byoh_outside_send(service.fd, &hello, sizeof(hello));

	while (rc == 0 && hello.status == 0)
		rc = serve_one(&service);
	end_child(&service);
	_exit(0); /* no handlers of the caller's, no flushing of its streams */
}
