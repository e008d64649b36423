/* SPDX-License-Identifier: Apache-2.0 */
/* What the injection is tried on: `subject FOLDER N` makes 3 N folders, N by each of two threads and by a
 * child process. Between them it does a lot that changes nothing. Exit code: how many could not be made. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

struct worker {
	const char *folder;
	char name;
	int count, failed;
};

static void change_nothing(const char *folder)
{
	CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char byte = 0;
	int ends[2];

	if (pipe(ends) < 0 || write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1)
		abort();
	close(ends[0]);
	close(ends[1]);
	if (printf("working\n") < 0 || fflush(stdout))
		abort();
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	char path[4096];

	for (int i = 0; i < worker->count; i++) {
		change_nothing(worker->folder);
		snprintf(path, sizeof(path), "%s/%c%d", worker->folder, worker->name, i);
		worker->failed += mkdir(path, 0755) < 0;
	}
	return NULL;
}

int main(int argc, char *argv[])
{
	struct worker workers[] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' } };
	pthread_t threads[2];
	int status = 0;
	pid_t child;

	if (argc != 3)
		return 125;
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i].folder = argv[1];
		workers[i].count = atoi(argv[2]);
	}
	child = fork();
	if (child == 0) {
		work(&workers[2]);
		return workers[2].failed;
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		if (child < 0 || pthread_create(&threads[i], NULL, work, &workers[i]))
			return 125;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	if (waitpid(child, &status, 0) != child)
		return 125;
	return workers[0].failed + workers[1].failed + WEXITSTATUS(status);
}
