/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/run.h"

static int shell(const char *script, struct byoh_run run, int *ret_status, struct byoh_error *err)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	run.argv = argv;
	return byoh_run(&run, ret_status, err);
}

static void test_output_and_status(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 }, errors = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status = -1;

	(void)state;
	assert_int_equal(shell("echo out; echo err >&2; exit 7",
			       (struct byoh_run){ .output = &output, .errors = &errors }, &status,
			       &err),
			 0);
	assert_int_equal(status, 7);
	assert_string_equal(byoh_buffer_text(&output), "out\n");
	assert_string_equal(byoh_buffer_text(&errors), "err\n");
}

static void test_errors_join_output(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status;

	(void)state;
	assert_int_equal(shell("echo one; echo two >&2", (struct byoh_run){ .output = &output },
			       &status, &err),
			 0);
	assert_string_equal(byoh_buffer_text(&output), "one\ntwo\n");
}

static void test_signal_is_128_and_more(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int status;

	(void)state;
	assert_int_equal(shell("kill -TERM $$", (struct byoh_run){ 0 }, &status, &err), 0);
	assert_int_equal(status, 128 + SIGTERM);
}

static void test_environment_is_clean(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const argv[] = { "env", NULL };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status;

	(void)state;
	setenv("HTTPS_PROXY", "http://proxy:3128", 1);
	setenv("LD_PRELOAD_LIKE", "x", 1);
	assert_int_equal(
		byoh_run(&(struct byoh_run){ .argv = argv, .output = &output }, &status, &err), 0);
	assert_string_equal(
		byoh_buffer_text(&output),
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n");
}

/* Signals that we block or ignore must be the program's own again. */
static void test_signals_are_reset(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	const char *const argv[] = { "grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status",
				     NULL };
	sigset_t set, before;
	const char *ignored;
	int status;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &before);
	assert_int_equal(
		byoh_run(&(struct byoh_run){ .argv = argv, .output = &output }, &status, &err), 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_non_null(strstr(byoh_buffer_text(&output), "SigBlk:\t0000000000000000\n"));
	ignored = strstr(byoh_buffer_text(&output), "SigIgn:\t");
	assert_non_null(ignored);
	assert_int_equal(strtoull(ignored + 8, NULL, 16) & (1ULL << (SIGPIPE - 1)), 0);
}

static void test_input(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	CLEANUP_FREE char *large = malloc(300000);
	struct byoh_error err = BYOH_ERROR_INIT;
	int status, ends[2];

	(void)state;
	assert_non_null(large);
	memset(large, 'x', 300000);
	assert_int_equal(
		shell("tr x y | tr -d '\\n'",
		      (struct byoh_run){ .input = large, .input_size = 300000, .output = &output },
		      &status, &err),
		0);
	assert_int_equal(output.size, 300000);
	assert_int_equal(output.data[299999], 'y');

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "piped", 5), 5);
	close(ends[1]);
	output.size = 0;
	assert_int_equal(shell("cat", (struct byoh_run){ .input_fd = ends[0], .output = &output },
			       &status, &err),
			 0);
	close(ends[0]);
	assert_string_equal(byoh_buffer_text(&output), "piped");

	output.size = 0;
	assert_int_equal(
		shell("cat; echo end", (struct byoh_run){ .output = &output }, &status, &err), 0);
	assert_string_equal(byoh_buffer_text(&output), "end\n");
}

static void test_output_is_capped(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status = -1;

	(void)state;
	assert_int_equal(shell("head -c 5000000 /dev/zero; exit 3",
			       (struct byoh_run){ .output = &output }, &status, &err),
			 0);
	assert_int_equal(status, 3);
	assert_int_equal(output.size, 1 << 20);
}

static void test_timeout_kills_the_group(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct pollfd watch = { .events = POLLIN };
	struct timespec before, after;
	pid_t grandchild;
	int status;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(shell("sleep 600 & echo $!; wait",
			       (struct byoh_run){ .output = &output, .timeout_seconds = 1 },
			       &status, &err),
			 -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 30);
	assert_non_null(strstr(err.message, "within 1 seconds"));
	grandchild = (pid_t)atoi(byoh_buffer_text(&output));
	assert_true(grandchild > 1);
	watch.fd = (int)syscall(SYS_pidfd_open, grandchild, 0);
	assert_true(watch.fd >= 0 || errno == ESRCH);
	if (watch.fd >= 0) {
		assert_int_equal(poll(&watch, 1, 20000), 1);
		close(watch.fd);
	}
}

/* A daemon that keeps the pipe open is not waited for. */
static void test_daemon_left_behind(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct timespec before, after;
	int status;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(
		shell("sleep 20 & echo $!", (struct byoh_run){ .output = &output }, &status, &err),
		0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_int_equal(status, 0);
	assert_true(after.tv_sec - before.tv_sec < 15);
	assert_true(atoi(byoh_buffer_text(&output)) > 1);
	kill((pid_t)atoi(byoh_buffer_text(&output)), SIGKILL);
}

static void test_missing_program(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_run_simple(&err, "no-such-program", "x", NULL), -ENOENT);
	assert_non_null(strstr(err.message, "no-such-program"));
	assert_true(byoh_run_simple(&err, "/proc/self/status", NULL) < 0);
}

static void test_checked_tells_the_last_line(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_run_simple(&err, "true", NULL), 0);
	assert_string_equal(err.message, "");
	assert_int_equal(byoh_run_simple(&err, "sh", "-c",
					 "echo first; echo 'the cause' >&2; echo; exit 5", NULL),
			 -EIO);
	assert_string_equal(err.message, "sh -c failed with status 5: the cause");
	assert_int_equal(byoh_run_simple(&err, "false", NULL), -EIO);
	assert_string_equal(err.message, "false failed with status 1");
}

/* Even with our own standard descriptors closed the program gets its three. */
static void test_closed_standard_descriptors(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status, rc, kept[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		close(i);
	}
	rc = shell("cat; echo out; echo err >&2",
		   (struct byoh_run){ .input = "in ", .input_size = 3, .output = &output }, &status,
		   &err);
	for (int i = 0; i < 3; i++) {
		dup2(kept[i], i);
		close(kept[i]);
	}
	assert_int_equal(rc, 0);
	assert_string_equal(byoh_buffer_text(&output), "in out\nerr\n");
}

static void test_no_descriptor_leaks(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), second;
	int status;

	(void)state;
	assert_true(first >= 0);
	close(first);
	for (int i = 0; i < 20; i++)
		assert_int_equal(shell("true", (struct byoh_run){ 0 }, &status, &err), 0);
	second = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(second);
	assert_int_equal(first, second);
}

static atomic_bool cancelled;

static void set_cancelled(int signal_number)
{
	(void)signal_number;
	atomic_store(&cancelled, true);
}

static void an_interrupt_ends_the_program(void **state)
{
	const char *const argv[] = { "sleep", "60", NULL };
	struct byoh_run run = { .argv = argv, .cancel = &cancelled };
	struct sigaction action = { .sa_handler = set_cancelled };
	struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	struct byoh_error err = BYOH_ERROR_INIT;
	int status = 0;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(byoh_run(&run, &status, &err), -EINTR);
	assert_int_equal(err.kind, BYOH_ERROR_INTERRUPTED);
	assert_int_equal(status, 128 + SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_and_status),
		cmocka_unit_test(test_errors_join_output),
		cmocka_unit_test(test_signal_is_128_and_more),
		cmocka_unit_test(test_environment_is_clean),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_output_is_capped),
		cmocka_unit_test(test_timeout_kills_the_group),
		cmocka_unit_test(test_daemon_left_behind),
		cmocka_unit_test(test_missing_program),
		cmocka_unit_test(test_checked_tells_the_last_line),
		cmocka_unit_test(test_closed_standard_descriptors),
		cmocka_unit_test(an_interrupt_ends_the_program),
		cmocka_unit_test(test_no_descriptor_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
