/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each test runs in a child process of its own: the filter cannot be taken off again. The child
 * first moves into a namespace that stands for the host's, so that no test touches this machine's
 * network.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"
#include "installer/net/outside-protocol.h"
#include "installer/net/outside.h"
#include "installer/run.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
				errno); \
			_exit(1); \
		} \
	} while (0)
#define CANNOT 77 /* the machine lacks what the test needs */

static void in_child(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		fprintf(stderr, "SKIP: needs root, network namespaces, and for the foreign ABI a "
				"32-bit gate\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A namespace that plays the host's: with loopback up. */
static void enter_pretended_host(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET))
		_exit(CANNOT);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK(!ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	CHECK(!ioctl(fd, SIOCSIFFLAGS, &request));
	close(fd);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static char first_byte(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte = 0;

	CHECK(fd >= 0);
	CHECK(read(fd, &byte, 1) == 1);
	close(fd);
	return byte;
}

static void refuses_families(void)
{
	static const int families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		errno = 0;
		CHECK(socket(families[i], SOCK_RAW, 0) < 0 && errno == EACCES);
		errno = 0;
		CHECK(socket(families[i], SOCK_STREAM, 0) < 0 && errno == EACCES);
	}
}

static void inside_only_refuses(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];

	CHECK(fd >= 0);
	CHECK(byoh_inside_only(&err) == 0);
	refuses_families();
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	errno = 0;
	CHECK(syscall(425, 1, NULL) < 0 && errno == EPERM); /* io_uring_setup */
#ifdef __x86_64__
	errno = 0;
	CHECK(syscall(0x40000000L + SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
#endif
}

static void test_inside_only(void **state)
{
	(void)state;
	in_child(inside_only_refuses);
}

static void unprivileged_refuses(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(CANNOT);
	CHECK(byoh_inside_only(&err) == 0);
	refuses_families();
}

static void test_inside_only_without_privilege(void **state)
{
	(void)state;
	in_child(unprivileged_refuses);
}

static void children_are_refused_and_work(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const shell[] = { "bash", "-c",
				      "echo works; exec 3<>/dev/tcp/127.0.0.1/9 || echo refused",
				      NULL };
	const struct byoh_run run = { .argv = shell, .output = &output };
	int status;

	CHECK(byoh_inside_only(&err) == 0);
	CHECK(byoh_run(&run, &status, &err) == 0);
	CHECK(strstr(byoh_buffer_text(&output), "works"));
	CHECK(strstr(byoh_buffer_text(&output), "refused"));
	CHECK(strstr(byoh_buffer_text(&output), "ermission denied"));
}

static void test_children_inherit_the_filter(void **state)
{
	(void)state;
	in_child(children_are_refused_and_work);
}

/* getpid(2) by the 32-bit gate; how a child that tries it ends. */
static int status_after_foreign_call(bool filtered)
{
	int status = 0;
#ifdef __x86_64__
	struct byoh_error err = BYOH_ERROR_INIT;
	pid_t pid = fork();
	long answer;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(!filtered || byoh_inside_only(&err) == 0);
		__asm__ volatile("int $0x80"
				 : "=a"(answer)
				 : "a"(20L)
				 : "memory", "r8", "r9", "r10", "r11");
		_exit(answer == getpid() ? 3 : 4);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
#else
	(void)filtered;
#endif
	return status;
}

static void foreign_abi(void)
{
	int status = status_after_foreign_call(false);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
		_exit(CANNOT);
	status = status_after_foreign_call(true);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void test_foreign_abi_is_killed(void **state)
{
	(void)state;
	in_child(foreign_abi);
}

static void caller_is_outside_no_more(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, gone = { 0 };
	int host;

	enter_pretended_host();
	host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	CHECK(host >= 0);
	write_text("/proc/sys/net/ipv4/ip_forward", "0");
	CHECK(byoh_outside_start(&outside, &err) == 0);
	refuses_families();

	CHECK(byoh_outside_sysctl_read(outside, "net.ipv4.ip_forward", &text, &err) == 0);
	CHECK(!strcmp(byoh_buffer_text(&text), "0"));
	CHECK(byoh_outside_sysctl_write(outside, "net.ipv4.ip_forward", "1", &err) == 0);
	text.size = 0;
	CHECK(byoh_outside_sysctl_read(outside, "net.ipv4.ip_forward", &text, &err) == 0);
	CHECK(!strcmp(byoh_buffer_text(&text), "1"));
	CHECK(byoh_outside_sysctl_write(outside, "net.ipv4.conf.lo.rp_filter", "2", &err) == 0);
	CHECK(byoh_outside_sysctl_write(outside, "net/ipv4/conf/lo/arp_ignore", "1", &err) == 0);
	CHECK(byoh_outside_sysctl_read(outside, "net.ipv4.no_such_key", &gone, &err) == -ENOENT);
	CHECK(strstr(err.message, "net.ipv4.no_such_key"));

	/* ours is another namespace, and the host's took the value */
	CHECK(first_byte("/proc/sys/net/ipv4/conf/lo/arp_ignore") == '0');
	CHECK(!setns(host, CLONE_NEWNET));
	CHECK(first_byte("/proc/sys/net/ipv4/ip_forward") == '1');
	CHECK(first_byte("/proc/sys/net/ipv4/conf/lo/rp_filter") == '2');
	CHECK(first_byte("/proc/sys/net/ipv4/conf/lo/arp_ignore") == '1');
}

static void test_sysctls_are_the_hosts(void **state)
{
	(void)state;
	in_child(caller_is_outside_no_more);
}

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(!bind(fd, (struct sockaddr *)&at, sizeof(at)));
	CHECK(!listen(fd, 8));
	CHECK(!getsockname(fd, (struct sockaddr *)&at, &size));
	*ret_port = ntohs(at.sin_port);
	return fd;
}

/* Answers each connection with what the path asks for: "/200" gets status 200, "/junk" no HTTP. */
static void serve_http(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char request[512] = "", answer[128];
		ssize_t got = fd < 0 ? -1 : read(fd, request, sizeof(request) - 1);

		if (got > 0 && !strncmp(request, "GET /junk ", 10))
			snprintf(answer, sizeof(answer), "no such thing as a status line\r\n");
		else
			snprintf(answer, sizeof(answer), "HTTP/1.1 %.3s Word\r\n\r\n%080d",
				 request + 5, 0);
		if (got > 0 && write(fd, answer, strlen(answer)) < 0)
			_exit(1);
		close(fd);
	}
}

static void loopback_gets(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer tcp = { 0 };
	unsigned int status;
	uint16_t port;
	char listening[32];
	int listener;
	pid_t server;

	enter_pretended_host();
	listener = listen_on_loopback(&port);
	server = fork();
	CHECK(server >= 0);
	if (server == 0)
		serve_http(listener);
	close(listener);
	CHECK(byoh_outside_start(&outside, &err) == 0);

	/* far more often than there are sockets */
	for (int i = 0; i < 40; i++) {
		CHECK(byoh_outside_loopback_get(outside, port, "/200", &status, &err) == 0 &&
		      status == 200);
		CHECK(byoh_outside_loopback_get(outside, port, "/503", &status, &err) == 0 &&
		      status == 503);
		CHECK(byoh_outside_loopback_get(outside, port, "/junk", &status, &err) == -EPROTO);
		CHECK(byoh_outside_loopback_get(outside, 1, "/200", &status, &err) ==
		      -ECONNREFUSED);
	}
	CHECK(byoh_outside_loopback_get(outside, port, "/200 HTTP/1.1\r\nX: y", &status, &err) ==
	      -EINVAL);
	CHECK(byoh_outside_proc_net(outside, "tcp", &tcp, &err) == 0);
	snprintf(listening, sizeof(listening), "0100007F:%04X 00000000:0000 0A", port);
	CHECK(strstr(byoh_buffer_text(&tcp), listening));
	kill(server, SIGKILL);
	CHECK(waitpid(server, NULL, 0) == server);
	CHECK(byoh_outside_loopback_get(outside, port, "/200", &status, &err) == -ECONNREFUSED);
}

static void test_loopback_get(void **state)
{
	(void)state;
	in_child(loopback_gets);
}

static void reads_interfaces(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, route = { 0 };

	if (geteuid() != 0)
		_exit(CANNOT);
	CHECK(byoh_outside_start(&outside, &err) == 0);
	CHECK(byoh_outside_interfaces(outside, &text, &err) == 0);
	CHECK(strstr(byoh_buffer_text(&text), "lo 00:00:00:00:00:00\n"));
	CHECK(byoh_outside_proc_net(outside, "route", &route, &err) == 0);
	CHECK(!strncmp(byoh_buffer_text(&route), "Iface", 5));
	CHECK(byoh_outside_proc_net(outside, "../mounts", &route, &err) == -EINVAL);
	CHECK(byoh_outside_proc_net(outside, "no_such_file", &route, &err) == -ENOENT);
}

static void test_interfaces_and_routes(void **state)
{
	(void)state;
	in_child(reads_interfaces);
}

/* The helper's end by itself: what a caller in hostile hands may send. */
static int start_bare_helper(pid_t *ret_pid)
{
	struct byoh_outside_answer hello = { .status = 1 };
	int ends[2];
	pid_t parent = getpid();

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	*ret_pid = fork();
	CHECK(*ret_pid >= 0);
	if (*ret_pid == 0) {
		close(ends[0]);
		byoh_outside_serve(ends[1], parent);
	}
	close(ends[1]);
	CHECK(byoh_outside_receive(ends[0], &hello, sizeof(hello), 20) == 0);
	CHECK(hello.status == 0);
	return ends[0];
}

static int ask_bare(int fd, uint32_t operation, uint32_t number, const void *body, uint32_t size)
{
	const struct byoh_outside_request request = { operation, number, size };
	struct byoh_outside_answer answer;
	char *text;

	CHECK(byoh_outside_send(fd, &request, sizeof(request)) == 0);
	CHECK(byoh_outside_send(fd, body, size) == 0);
	CHECK(byoh_outside_receive(fd, &answer, sizeof(answer), 20) == 0);
	text = malloc(answer.size + 1);
	CHECK(text);
	CHECK(byoh_outside_receive(fd, text, answer.size, 20) == 0);
	free(text);
	return answer.status;
}

static void helper_checks_by_itself(void)
{
	static const struct {
		uint32_t operation, number;
		const char *body;
		uint32_t size;
	} bad[] = {
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "kernel.hostname", 15 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "net/../kernel/hostname", 22 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "net...kernel", 12 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "net//ipv4/ip_forward", 20 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "/net/ipv4/ip_forward", 20 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "", 0 },
		{ BYOH_OUTSIDE_SYSCTL_READ, 0, "net.ipv4.ip forward", 19 },
		{ BYOH_OUTSIDE_SYSCTL_WRITE, 0, "kernel.core_pattern\0|/bin/sh", 28 },
		{ BYOH_OUTSIDE_SYSCTL_WRITE, 0, "net.ipv4.ip_forward", 19 },
		{ BYOH_OUTSIDE_SYSCTL_WRITE, 0, "net.ipv4.ip_forward\0" "1\n", 22 },
		{ BYOH_OUTSIDE_PROC_NET, 0, "../mem", 6 },
		{ BYOH_OUTSIDE_PROC_NET, 0, ".", 1 },
		{ BYOH_OUTSIDE_LOOPBACK_GET, 0, "/", 1 },
		{ BYOH_OUTSIDE_LOOPBACK_GET, 65536, "/", 1 },
		{ BYOH_OUTSIDE_LOOPBACK_GET, 80, "/ x", 3 },
		{ BYOH_OUTSIDE_HELLO, 0, "", 0 },
		{ 99, 0, "", 0 },
	};
	struct byoh_outside_request huge = { BYOH_OUTSIDE_PROC_NET, 0, 0xffffffffU };
	char rest;
	pid_t pid;
	int status, fd = start_bare_helper(&pid);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int rc = ask_bare(fd, bad[i].operation, bad[i].number, bad[i].body, bad[i].size);

		if (rc != -EINVAL)
			fprintf(stderr, "row %zu: %d\n", i, rc);
		CHECK(rc == -EINVAL);
	}
	CHECK(ask_bare(fd, BYOH_OUTSIDE_PROC_NET, 0, "route", 5) == 0);
	CHECK(byoh_outside_send(fd, &huge, sizeof(huge)) == 0);
	CHECK(byoh_outside_receive(fd, &rest, 1, 20) < 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_helper_refuses_bad_requests(void **state)
{
	(void)state;
	in_child(helper_checks_by_itself);
}

static void helper_dies_with_caller(void)
{
	struct pollfd one;
	int ends[2], pid_pipe[2];
	pid_t middle, helper = 0;

	CHECK(!pipe(ends) && !pipe(pid_pipe));
	middle = fork();
	CHECK(middle >= 0);
	if (middle == 0) {
		start_bare_helper(&helper);
		CHECK(write(pid_pipe[1], &helper, sizeof(helper)) == sizeof(helper));
		pause();
	}
	CHECK(read(pid_pipe[0], &helper, sizeof(helper)) == sizeof(helper));
	one = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, helper, 0), .events = POLLIN };
	CHECK(one.fd >= 0);
	CHECK(poll(&one, 1, 0) == 0);
	kill(middle, SIGKILL);
	CHECK(waitpid(middle, NULL, 0) == middle);
	CHECK(poll(&one, 1, 20000) == 1);
}

static void test_helper_dies_with_caller(void **state)
{
	(void)state;
	in_child(helper_dies_with_caller);
}

static void helper_survives_terminal_signals(void)
{
	pid_t pid;
	int fd = start_bare_helper(&pid);

	kill(pid, SIGINT);
	kill(pid, SIGTERM);
	kill(pid, SIGHUP);
	CHECK(ask_bare(fd, BYOH_OUTSIDE_PROC_NET, 0, "route", 5) == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static void test_helper_survives_ctrl_c(void **state)
{
	(void)state;
	in_child(helper_survives_terminal_signals);
}

static void lost_helper_is_said(void)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[64], line[128];
	FILE *children;
	pid_t helper;

	CHECK(byoh_outside_start(&outside, &err) == 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	children = fopen(path, "re");
	CHECK(children && fgets(line, sizeof(line), children));
	fclose(children);
	helper = (pid_t)atoi(line);
	CHECK(helper > 1);
	kill(helper, SIGKILL);
	CHECK(byoh_outside_proc_net(outside, "route", &text, &err) < 0);
	CHECK(err.message[0]);
	CHECK(byoh_outside_proc_net(outside, "route", &text, &err) == -EPIPE);
}

static void test_lost_helper_is_said(void **state)
{
	(void)state;
	in_child(lost_helper_is_said);
}

static void test_sysctl_paths(void **state)
{
	static const struct {
		const char *key, *path; /* NULL: refused */
	} rows[] = {
		{ "net.ipv4.ip_forward", "net/ipv4/ip_forward" },
		{ "net/ipv4/ip_forward", "net/ipv4/ip_forward" },
		{ "net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter" },
		{ "net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter" },
		{ "net.bridge.bridge-nf-call-iptables", "net/bridge/bridge-nf-call-iptables" },
		{ "net", NULL },
		{ "net.", NULL },
		{ "network.ipv4", NULL },
		{ "kernel.panic", NULL },
		{ "vm/overcommit_memory", NULL },
		{ "net.ipv4..ip_forward", NULL },
		{ "net.//.kernel.panic", NULL },
		{ "net.ipv4.ip_forward=1", NULL },
		{ "net/./ipv4", NULL },
		{ "net/x/../../kernel", NULL },
	};
	char path[BYOH_OUTSIDE_KEY_MAX + 1], too_long[BYOH_OUTSIDE_KEY_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool ok = byoh_outside_sysctl_path(rows[i].key, path);

		if (ok != (rows[i].path != NULL))
			fail_msg("%s: %s", rows[i].key, ok ? path : "refused");
		if (ok)
			assert_string_equal(path, rows[i].path);
	}
	memset(too_long, 'a', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = 0;
	memcpy(too_long, "net/", 4);
	assert_false(byoh_outside_sysctl_path(too_long, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sysctl_paths),
		cmocka_unit_test(test_inside_only),
		cmocka_unit_test(test_inside_only_without_privilege),
		cmocka_unit_test(test_children_inherit_the_filter),
		cmocka_unit_test(test_foreign_abi_is_killed),
		cmocka_unit_test(test_sysctls_are_the_hosts),
		cmocka_unit_test(test_loopback_get),
		cmocka_unit_test(test_interfaces_and_routes),
		cmocka_unit_test(test_helper_refuses_bad_requests),
		cmocka_unit_test(test_helper_dies_with_caller),
		cmocka_unit_test(test_helper_survives_ctrl_c),
		cmocka_unit_test(test_lost_helper_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
