/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a command, or fails its system calls, at the Nth that changes something. One counter runs over all
 * of its processes and threads: what strace counts for each of them alone could not reach every point.
 *
 * A filter stops the command at the calls of the table only (changing-calls.c), so that the rest runs at
 * full speed. A call that is to fail is skipped where it is entered: its number becomes -1.
 */
#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "tests/fault/changing-calls.h"

#define NEVER UINT64_MAX
#define MAX_THREADS 4096
#define OPTIONS (PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
		 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
#define CALL_STOP (SIGTRAP | 0x80)

struct thread {
	pid_t id;
	bool inside; /* a call that was counted, and may have to be waited for */
};

struct injection {
	uint64_t kill_at, fail_at, from, length;
	int error;
	const char *count_path, *hit_path;
	FILE *list;
	uint64_t count;
	bool ending; /* the point was reached; calls counted before come to their end, no other begins */
	bool killed;
	char hit[8192 + 32]; /* the call that was hit first */
	struct thread threads[MAX_THREADS];
	size_t thread_count;
};

static const char usage[] =
	"usage: inject [OPTION]... [--] COMMAND...\n"
	"  --kill-at N     the Nth changing call does not happen, and all processes die: exit code 137\n"
	"  --fail-at N     the Nth changing call fails\n"
	"  --from N        it and all later ones fail; with ENOSPC those that need room\n"
	"  --for COUNT     so many from there, not all\n"
	"  --errno NAME    EIO (default) or ENOSPC\n"
	"  --count FILE    write the number of changing calls\n"
	"  --list FILE     write a line for each: its number and what it is\n"
	"  --hit FILE      write the line of the call that was hit; empty if none was\n";

static void give_up(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(125);
}

static struct thread *find_thread(struct injection *injection, pid_t id)
{
	for (size_t i = 0; i < injection->thread_count; i++)
		if (injection->threads[i].id == id)
			return &injection->threads[i];
	return NULL;
}

static struct thread *add_thread(struct injection *injection, pid_t id)
{
	struct thread *thread = find_thread(injection, id);

	if (thread)
		return thread;
	if (injection->thread_count == MAX_THREADS) {
		errno = E2BIG;
		give_up("threads");
	}
	thread = &injection->threads[injection->thread_count++];
	*thread = (struct thread){ .id = id };
	return thread;
}

static void remove_thread(struct injection *injection, pid_t id)
{
	struct thread *thread = find_thread(injection, id);

	if (thread)
		*thread = injection->threads[--injection->thread_count];
}

/* A call that had begun before the point was reached has happened: whoever kills in between would skip it. */
static void kill_when_quiet(struct injection *injection)
{
	for (size_t i = 0; i < injection->thread_count; i++)
		if (injection->threads[i].inside)
			return;
	injection->killed = true;
	for (size_t i = 0; i < injection->thread_count; i++)
		kill(injection->threads[i].id, SIGKILL);
}

/* The kernel goes on with call number -1, which is none, and with this result. */
static void skip_call(pid_t thread, long result)
{
#if defined(__x86_64__)
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) < 0)
		return;
	registers.orig_rax = (unsigned long long)-1;
	registers.rax = (unsigned long long)result;
	ptrace(PTRACE_SETREGS, thread, NULL, &registers);
#elif defined(__aarch64__)
	struct user_regs_struct registers;
	struct iovec vector = { &registers, sizeof(registers) };
	int none = -1;
	struct iovec number = { &none, sizeof(none) };

	if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &vector) < 0)
		return;
	registers.regs[0] = (unsigned long long)result;
	ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &number);
	ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &vector);
#else
#error "how a system call is skipped here is not known"
#endif
}

static bool is_due(const struct injection *injection, const struct changing_call *row,
		   const struct pending_call *call)
{
	if (injection->count == injection->kill_at || injection->count == injection->fail_at)
		return true;
	return injection->count >= injection->from && injection->count - injection->from < injection->length &&
	       (injection->error != ENOSPC || changing_call_allocates(row, call));
}

static void note_call(struct injection *injection, const struct changing_call *row,
		      const struct pending_call *call, bool due)
{
	char text[8192];

	if (!injection->list && (!due || injection->hit[0]))
		return;
	changing_call_describe(row, call, text, sizeof(text));
	if (injection->list)
		fprintf(injection->list, "%" PRIu64 " %s\n", injection->count, text);
	if (due && !injection->hit[0])
		snprintf(injection->hit, sizeof(injection->hit), "%" PRIu64 " %s", injection->count, text);
}

/* The one call has failed, and nobody asks how many come after it. */
static bool is_over(const struct injection *injection)
{
	return injection->hit[0] && injection->count >= injection->fail_at && injection->kill_at == NEVER &&
	       injection->from == NEVER && !injection->list && !injection->count_path;
}

/* A thread is about to make a call of the table. Will it? */
static bool on_call(struct injection *injection, struct thread *thread)
{
	struct __ptrace_syscall_info info;
	struct pending_call call = { .thread = thread->id };
	const struct changing_call *row;
	bool due;

	if (is_over(injection))
		return true;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->id, (void *)sizeof(info), &info) <= 0)
		return true;
	call.number = (long)info.seccomp.nr;
	for (size_t i = 0; i < ARRAY_SIZE(call.arguments); i++)
		call.arguments[i] = info.seccomp.args[i];
	row = changing_call_find(&call);
	if (!row)
		return true;
	if (injection->ending) {
		skip_call(thread->id, -EINTR);
		return false;
	}
	injection->count++;
	due = is_due(injection, row, &call);
	note_call(injection, row, &call, due);
	thread->inside = !due && injection->kill_at != NEVER;
	injection->ending = injection->count == injection->kill_at;
	if (due)
		skip_call(thread->id, -(long)injection->error);
	return !injection->ending;
}

static void go_on(const struct injection *injection, const struct thread *thread, int event, int signal)
{
	if (event == PTRACE_EVENT_STOP && signal != SIGTRAP && !injection->killed)
		ptrace(PTRACE_LISTEN, thread->id, NULL, NULL); /* stopped by job control */
	else
		ptrace(thread->inside ? PTRACE_SYSCALL : PTRACE_CONT, thread->id, NULL,
		       (void *)(long)(event || signal == CALL_STOP ? 0 : signal));
}

/* A traced thread has stopped. */
static void on_stop(struct injection *injection, pid_t id, int status)
{
	struct thread *thread = add_thread(injection, id);
	int event = status >> 16, signal = WSTOPSIG(status);
	unsigned long child;
	bool goes_on = true;

	if (injection->killed)
		kill(id, SIGKILL);
	else if (event == PTRACE_EVENT_SECCOMP)
		goes_on = on_call(injection, thread);
	else if (signal == CALL_STOP)
		thread->inside = false;
	if ((event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) &&
	    ptrace(PTRACE_GETEVENTMSG, id, NULL, &child) == 0)
		add_thread(injection, (pid_t)child);
	if (goes_on)
		go_on(injection, find_thread(injection, id), event, signal);
	if (injection->ending && !injection->killed)
		kill_when_quiet(injection);
}

/* Until the last of them has ended; returns how the command did. */
static int follow(struct injection *injection, pid_t command)
{
	int status, result = 0;
	pid_t thread;

	while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (thread < 0)
			continue;
		if (WIFSTOPPED(status)) {
			on_stop(injection, thread, status);
			continue;
		}
		remove_thread(injection, thread);
		if (injection->ending && !injection->killed)
			kill_when_quiet(injection);
		if (thread == command)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return injection->killed ? 128 + SIGKILL : result;
}

static void install_filter(void)
{
	struct sock_filter filter[256];
	const long *numbers;
	size_t count = changing_call_numbers(&numbers), used = 0;
	struct sock_fprog program;

	filter[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						      offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < count; i++)
		filter[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							      (uint32_t)numbers[i],
							      (unsigned char)(count - i), 0);
	filter[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	program = (struct sock_fprog){ .len = (unsigned short)used, .filter = filter };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
		return;
	/* Root needs no promise that it gains nothing by execve; others do. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		give_up("cannot filter system calls");
}

/* The command waits for its tracer behind a pipe. */
static pid_t start(char *const argv[])
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready) < 0)
		give_up("pipe");
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			_exit(125);
		close(ready[0]);
		install_filter();
		execvp(argv[0], argv);
		fprintf(stderr, "inject: cannot start %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(ready[0]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(long)OPTIONS) < 0)
		give_up("cannot trace");
	if (write(ready[1], "", 1) != 1)
		give_up("pipe");
	close(ready[1]);
	return pid;
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*end || end == text || number == 0) {
		fputs(usage, stderr);
		exit(125);
	}
	return number;
}

static void set_option(struct injection *injection, int option)
{
	switch (option) {
	case 'k': injection->kill_at = parse_number(optarg); break;
	case 'f': injection->fail_at = parse_number(optarg); break;
	case 'F': injection->from = parse_number(optarg); break;
	case 'n': injection->length = parse_number(optarg); break;
	case 'e': injection->error = strcmp(optarg, "ENOSPC") == 0 ? ENOSPC : EIO; break;
	case 'c': injection->count_path = optarg; break;
	case 't': injection->hit_path = optarg; break;
	case 'l':
		injection->list = fopen(optarg, "we");
		if (!injection->list)
			give_up(optarg);
		break;
	default:
		fputs(usage, option == 'h' ? stdout : stderr);
		exit(option == 'h' ? 0 : 125);
	}
}

static void parse_options(struct injection *injection, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "kill-at", required_argument, NULL, 'k' }, { "fail-at", required_argument, NULL, 'f' },
		{ "from", required_argument, NULL, 'F' },    { "for", required_argument, NULL, 'n' },
		{ "errno", required_argument, NULL, 'e' },   { "count", required_argument, NULL, 'c' },
		{ "list", required_argument, NULL, 'l' },    { "hit", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },	     { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		set_option(injection, option);
	if (optind == argc) {
		fputs(usage, stderr);
		exit(125);
	}
}

static void write_line(const char *path, const char *line)
{
	CLEANUP_FILE FILE *file = path ? fopen(path, "we") : NULL;

	if (path && (!file || fprintf(file, "%s%s", line, *line ? "\n" : "") < 0 || fflush(file)))
		give_up(path);
}

int main(int argc, char *argv[])
{
	static struct injection injection = { .kill_at = NEVER, .fail_at = NEVER, .from = NEVER,
					      .length = NEVER, .error = EIO };
	char count[32];
	pid_t command;
	int code;

	parse_options(&injection, argc, argv);
	command = start(argv + optind);
	add_thread(&injection, command);
	code = follow(&injection, command);
	if (injection.list && fclose(injection.list))
		give_up("list");
	snprintf(count, sizeof(count), "%" PRIu64, injection.count);
	write_line(injection.count_path, count);
	write_line(injection.hit_path, injection.hit);
	if (injection.hit[0])
		fprintf(stderr, "inject: %s at %s\n", injection.killed ? "killed" : "failed", injection.hit);
	return code;
}
