/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure [-m] FILE COMMAND...    runs the command and adds a line to FILE: seconds by the clock, of all its
 * processors in user and in system mode, the most resident memory of one of its processes in KiB, and with -m
 * the most anonymous memory of the process and its children together (RssAnon of /proc/PID/status, looked at a
 * thousand times a second, which is why it is not done while the time matters). Ends as the command does.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static long anonymous_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %ld kB", &kib) == 1)
			break;
	fclose(file);
	return kib;
}

static long anonymous_of_family(pid_t pid)
{
	long kib = anonymous_kib(pid);
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	if (!file)
		return kib;
	while (fscanf(file, "%d", &child) == 1)
		kib += anonymous_kib((pid_t)child);
	fclose(file);
	return kib;
}

/* Waits, and looks at the memory meanwhile if that is wanted. */
static int wait_for(pid_t pid, bool memory, struct rusage *usage, long *ret_anonymous)
{
	const struct timespec millisecond = { 0, 1000000 };
	int status;

	while (wait4(pid, &status, memory ? WNOHANG : 0, usage) == 0) {
		long now = anonymous_of_family(pid);

		*ret_anonymous = now > *ret_anonymous ? now : *ret_anonymous;
		nanosleep(&millisecond, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	bool memory = argc > 1 && strcmp(argv[1], "-m") == 0;
	char **rest = argv + 1 + memory;
	struct rusage usage;
	struct timespec start;
	long anonymous = 0;
	FILE *file;
	pid_t pid;
	int code;

	if (argc < 3 + memory) {
		fprintf(stderr, "usage: measure [-m] FILE COMMAND...\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		execvp(rest[1], rest + 1);
		fprintf(stderr, "measure: %s: %s\n", rest[1], strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return 1;
	code = wait_for(pid, memory, &usage, &anonymous);
	file = fopen(rest[0], "ae");
	if (!file || code)
		return code ? code : 1;
	fprintf(file, "%.4f %.4f %.4f %ld %ld\n", seconds_since(&start), seconds_of(&usage.ru_utime),
		seconds_of(&usage.ru_stime), usage.ru_maxrss, anonymous);
	return fclose(file) == 0 ? 0 : 1;
}
