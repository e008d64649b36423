/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that upstream projects publish, as a publisher opens them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/archive.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "tests/fuzz/fuzz.h"

static bool want_all(void *context, const char *path)
{
	(void)context;
	require(byoh_path_is_clean(path));
	return true;
}

static void check(const struct byoh_archive *archive)
{
	for (size_t i = 0; i < archive->count; i++) {
		const struct byoh_archive_entry *entry = &archive->entries[i];

		require(byoh_path_is_clean(entry->path));
		require(byoh_archive_find(archive, entry->path));
		require(!entry->source || entry->type == BYOH_FILE_REGULAR);
	}
}

static void clear(const char *folder)
{
	CLEANUP_DIR DIR *dir = opendir(folder);
	const struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			require(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char folder[] = "/dev/shm/fuzz-archive-XXXXXX";
	CLEANUP_SCRATCH struct byoh_scratch scratch = BYOH_SCRATCH_INIT;
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	CLEANUP_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct byoh_error err = BYOH_ERROR_INIT;

	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	require(mkdtemp(folder));
	require(byoh_scratch_open(folder, &scratch, NULL) == 0);
	require(byoh_pwrite_all(fd, data, size, 0, NULL) == 0);
	if (byoh_archive_read(fd, "fuzz", want_all, NULL, &scratch, &archive, &err) == 0)
		check(archive);
	else
		require(err.message[0]);
	clear(folder);
	require(rmdir(folder) == 0);
	return 0;
}
