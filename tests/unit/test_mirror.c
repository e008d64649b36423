/* SPDX-License-Identifier: Apache-2.0 */
/* What the child that reads a mirror's answer tells its caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "installer/net/mirror-protocol.h"
#include "installer/net/outside-protocol.h"

#define WHOLE 64
#define OFFSET 60
#define PIECES 30 /* one byte each */

struct meeting {
	int listener, stream; /* the server's, the caller's end of the records */
	char url[64];
	pid_t child;
};

static void listen_locally(struct meeting *meeting)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	meeting->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(meeting->listener >= 0);
	assert_int_equal(bind(meeting->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(meeting->listener, 1), 0);
	assert_int_equal(getsockname(meeting->listener, (struct sockaddr *)&address, &length), 0);
	snprintf(meeting->url, sizeof(meeting->url), "http://127.0.0.1:%d/p.bundle", ntohs(address.sin_port));
}

static void start_child(struct meeting *meeting)
{
	struct byoh_mirror_job job = { .url = meeting->url, .offset = OFFSET };
	pid_t self = getpid();
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	meeting->stream = ends[0];
	meeting->child = fork();
	assert_true(meeting->child >= 0);
	if (meeting->child == 0) {
		alarm(60);
		close(ends[0]);
		job.fd = ends[1];
		byoh_mirror_perform(&job, self);
		_exit(0);
	}
	close(ends[1]);
}

/* The whole is promised, whatever range was asked for. */
static int answer(const struct meeting *meeting)
{
	char request[4096], head[128];
	int fd = accept4(meeting->listener, NULL, NULL, SOCK_CLOEXEC), n;

	assert_true(fd >= 0);
	assert_true(recv(fd, request, sizeof(request), 0) > 0);
	n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", WHOLE);
	assert_int_equal(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
	return fd;
}

static struct byoh_mirror_record next(const struct meeting *meeting)
{
	struct byoh_mirror_record record = { 0 };

	assert_int_equal(byoh_outside_receive(meeting->stream, &record, sizeof(record), 10), 0);
	return record;
}

/* The caller counts silence: bytes that nobody asked for must not look like it. */
static void bytes_that_are_passed_over_are_a_sign_of_life(void **state)
{
	struct meeting meeting;
	struct byoh_mirror_record record;
	struct timespec moment = { .tv_nsec = 10000000 };
	char rest[WHOLE - OFFSET];
	size_t empty = 1;
	int fd;

	(void)state;
	listen_locally(&meeting);
	start_child(&meeting);
	fd = answer(&meeting);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	record = next(&meeting);
	assert_int_equal(record.type, BYOH_MIRROR_HEAD);
	assert_int_equal(record.number, WHOLE);
	record = next(&meeting); /* before the server sends any more */
	assert_int_equal(record.type, BYOH_MIRROR_DATA);
	assert_int_equal(record.size, 0);
	for (int sent = 1; sent < PIECES; sent++) {
		assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
		nanosleep(&moment, NULL);
	}
	assert_int_equal(send(fd, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxabcd", WHOLE - PIECES, MSG_NOSIGNAL), WHOLE - PIECES);
	for (record = next(&meeting); record.size == 0; record = next(&meeting), empty++)
		assert_int_equal(record.type, BYOH_MIRROR_DATA);
	assert_true(empty < PIECES / 2); /* one a second, not one a piece */
	assert_int_equal(record.size, sizeof(rest));
	assert_int_equal(byoh_outside_receive(meeting.stream, rest, sizeof(rest), 10), 0);
	assert_memory_equal(rest, "abcd", sizeof(rest));
	assert_int_equal(next(&meeting).type, BYOH_MIRROR_END);
	close(fd);
	close(meeting.listener);
	close(meeting.stream);
	assert_int_equal(waitpid(meeting.child, NULL, 0), meeting.child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_passed_over_are_a_sign_of_life),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
