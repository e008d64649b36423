/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over a corpus without a fuzzer, so that every input that was ever of interest is an
 * ordinary test. Arguments are files and folders. Each input is also given cut short, since a length that
 * is believed too early is the most common fault of a parser.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define CUTS_PER_INPUT 64

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static size_t inputs;

static void die(const char *what, const char *path)
{
	fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

/* A block of exactly the input's size, so that the sanitizer sees a read of one byte too many. */
static void run_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size);

	if (!copy && size)
		die("cannot hold", "an input");
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_input(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1);
	FILE *file = fopen(path, "rb");
	size_t step = size / CUTS_PER_INPUT + 1;

	if (!file || !data || fread(data, 1, size, file) != size)
		die("cannot read", path);
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	run_copy(data, size);
	for (size_t cut = 0; cut < size; cut += step)
		run_copy(data, cut);
	free(data);
	inputs++;
}

static void run_path(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count;

	if (stat(path, &st))
		die("cannot read", path);
	if (!S_ISDIR(st.st_mode)) {
		run_input(path, (size_t)st.st_size);
		return;
	}
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		die("cannot list", path);
	for (int i = 0; i < count; i++) {
		char *child;

		if (entries[i]->d_name[0] != '.') {
			if (asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0)
				die("cannot name", path);
			run_path(child);
			free(child);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%zu inputs\n", inputs);
	if (!inputs)
		fprintf(stderr, "replay: no input\n");
	return inputs ? 0 : 1;
}
