/* SPDX-License-Identifier: Apache-2.0 */
/* What a confined process cannot do any more, on kernels that lack something too, and the worker that is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/confine.h"
#include "installer/worker.h"

#define LANDLOCK_CREATE_RULESET 444

static char folder[] = "/tmp/test-confine-XXXXXX";
static char inside[64], outside[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(inside, sizeof(inside), "%s/in", folder);
	snprintf(outside, sizeof(outside), "%s/out", folder);
	return mkdir(inside, 0700) || mkdir(outside, 0700);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s", folder);
	return system(command);
}

static bool writes_below(const char *path)
{
	char name[128], moved[128];
	int fd;

	snprintf(name, sizeof(name), "%s/file", path);
	snprintf(moved, sizeof(moved), "%s/moved", path);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return false;
	close(fd);
	return rename(name, moved) == 0 && unlink(moved) == 0;
}

/* In the confined process: a bit for each thing that it should not be able to do, or should. */
enum { CAN_WRITE_OUT = 1, CANNOT_WRITE_IN = 2, CAN_EXEC = 4, CAN_SOCKET = 8, CAN_KILL = 16, HAS_NEW_PRIVS = 32,
       CAN_MOUNT = 64, CANNOT_READ = 128 };

static int look(void)
{
	char *const nothing[] = { NULL };
	int found = 0, fd = open("/etc/passwd", O_RDONLY);

	found |= fd < 0 ? CANNOT_READ : 0;
	found |= writes_below(outside) ? CAN_WRITE_OUT : 0;
	found |= writes_below(inside) ? 0 : CANNOT_WRITE_IN;
	found |= execve("/nonexistent", nothing, nothing) < 0 && errno == EPERM ? 0 : CAN_EXEC;
	found |= socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : CAN_SOCKET;
	found |= kill(getppid(), 0) < 0 && errno == EPERM ? 0 : CAN_KILL;
	found |= syscall(SYS_mount, "none", outside, "tmpfs", 0UL, NULL) < 0 && errno == EPERM ? 0 : CAN_MOUNT;
	found |= prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : HAS_NEW_PRIVS;
	return found;
}

/* As a kernel without it answers. */
static void lose_call(uint32_t number, uint32_t error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(255);
}

static int confined_child(uint32_t lost, uint32_t error, int *ret_lacks)
{
	int ends[2], status, answer[2] = { -1, -1 };
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		CLEANUP_FD int in = open(inside, O_RDONLY | O_DIRECTORY);

		if (lost)
			lose_call(lost, error);
		answer[0] = byoh_confine(&in, 1, NULL);
		answer[1] = look();
		_exit(write(ends[1], answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], answer, sizeof(answer)), sizeof(answer));
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	*ret_lacks = answer[0];
	return answer[1];
}

static bool has_landlock(void)
{
	return syscall(LANDLOCK_CREATE_RULESET, NULL, 0, 1) >= 2;
}

static void a_confined_process_writes_where_it_may_and_starts_nothing(void **state)
{
	int lacks, found = confined_child(0, 0, &lacks);

	(void)state;
	assert_int_equal(lacks, has_landlock() ? 0 : BYOH_CONFINE_NO_LANDLOCK);
	assert_int_equal(found, has_landlock() ? 0 : CAN_WRITE_OUT);
}

static void a_kernel_without_landlock_has_the_rest(void **state)
{
	int lacks, found = confined_child(LANDLOCK_CREATE_RULESET, ENOSYS, &lacks);

	(void)state;
	assert_int_equal(lacks, BYOH_CONFINE_NO_LANDLOCK);
	assert_int_equal(found, CAN_WRITE_OUT);
	/* switched off at boot */
	found = confined_child(LANDLOCK_CREATE_RULESET, EOPNOTSUPP, &lacks);
	assert_int_equal(lacks, BYOH_CONFINE_NO_LANDLOCK);
	assert_int_equal(found, CAN_WRITE_OUT);
}

static void a_kernel_without_filters_has_the_rest(void **state)
{
	int lacks, found = confined_child(SYS_seccomp, EINVAL, &lacks);

	(void)state;
	assert_true(lacks & BYOH_CONFINE_NO_SECCOMP);
	assert_int_equal(found & (HAS_NEW_PRIVS | CANNOT_READ | CANNOT_WRITE_IN), 0);
	if (has_landlock())
		assert_int_equal(found & CAN_WRITE_OUT, 0);
}

/*
 * The worker
 */

static atomic_bool cancel;

static int be_looked_at(void *context, struct byoh_worker *worker, struct byoh_error *err)
{
	(void)context;
	byoh_worker_bytes(worker, 5, 7);
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "found %d", look());
}

static int die(void *context, struct byoh_worker *worker, struct byoh_error *err)
{
	(void)worker;
	(void)err;
	return context ? (int)raise(SIGKILL) : (_exit(3), 0);
}

static void on_signal(int number)
{
	(void)number;
	atomic_store(&cancel, true);
}

static int wait_for_cancel(void *context, struct byoh_worker *worker, struct byoh_error *err)
{
	(void)context;
	(void)worker;
	atomic_store(&cancel, false); /* the worker's own, as a run has it that is told later */
	while (!atomic_load(&cancel))
		usleep(1000);
	return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
}

static void note_bytes(void *context, uint64_t done, uint64_t total)
{
	*(uint64_t *)context = done * 10 + total;
}

static void a_worker_is_confined_and_tells_what_it_does(void **state)
{
	CLEANUP_FD int in = open(inside, O_RDONLY | O_DIRECTORY);
	struct byoh_error err = BYOH_ERROR_INIT;
	uint64_t seen = 0;
	const struct byoh_work work = { .run = be_looked_at, .folders = &in, .folder_count = 1, .bytes = note_bytes,
					.observer = &seen };

	(void)state;
	assert_int_equal(byoh_worker_run(&work, &err), -EBADMSG);
	assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
	assert_string_equal(err.message, has_landlock() ? "found 0" : "found 1");
	assert_int_equal(seen, 57);
}

static void a_worker_that_dies_is_a_failure(void **state)
{
	struct byoh_work work = { .run = die };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_worker_run(&work, &err), -EIO);
	assert_non_null(strstr(err.message, "status 3"));
	work.context = &work;
	assert_int_equal(byoh_worker_run(&work, &err), -EIO);
	assert_non_null(strstr(err.message, "signal 9"));
}

static void an_interrupt_reaches_the_worker(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;
	struct byoh_work work = { .run = wait_for_cancel, .cancel = &cancel };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	sigaction(SIGINT, &action, &before);
	atomic_store(&cancel, true);
	assert_int_equal(byoh_worker_run(&work, &err), -EINTR);
	assert_int_equal(err.kind, BYOH_ERROR_INTERRUPTED);
	sigaction(SIGINT, &before, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_confined_process_writes_where_it_may_and_starts_nothing),
		cmocka_unit_test(a_kernel_without_landlock_has_the_rest),
		cmocka_unit_test(a_kernel_without_filters_has_the_rest),
		cmocka_unit_test(a_worker_is_confined_and_tells_what_it_does),
		cmocka_unit_test(a_worker_that_dies_is_a_failure),
		cmocka_unit_test(an_interrupt_reaches_the_worker),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
