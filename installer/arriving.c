/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/arriving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define BYTES BYOH_ARRIVING_FOLDER "/bundle"
#define RECORD BYOH_ARRIVING_FOLDER "/slices"
#define RECORD_MAX ((size_t)4096)

void byoh_arriving_release(struct byoh_arriving *arriving)
{
	if (arriving->name)
		byoh_cleanup_fd(&arriving->kept.fd);
	free(arriving->name);
	*arriving = (struct byoh_arriving){ .kept.fd = -1 };
}

/* "START LENGTH NAME\n": root wrote it, and every byte that it leads to is checked all the same. */
static bool parse(const char *text, struct byoh_arriving *ret)
{
	unsigned long long start, length;
	const char *end = strchr(text, '\n');
	int used = 0;

	if (sscanf(text, "%20llu %20llu %n", &start, &length, &used) < 2 || !used || !length || !end ||
	    end <= text + used || memchr(text + used, '/', (size_t)(end - text - used)))
		return false;
	ret->kept.start = start;
	ret->kept.length = length;
	ret->name = strndup(text + used, (size_t)(end - text - used));
	return ret->name;
}

int byoh_arriving_open(const struct byoh_host *host, struct byoh_arriving *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r;

	*ret = (struct byoh_arriving){ .kept.fd = -1 };
	if (!byoh_exists_beneath(host->root_fd, RECORD))
		return 0;
	r = byoh_read_file(host->root_fd, RECORD, RECORD_MAX, &text, err);
	if (r < 0)
		return r;
	fd = byoh_open_beneath(host->root_fd, BYTES, O_RDONLY, 0, NULL);
	if (fd < 0 || fstat(fd, &st) < 0 || !parse(byoh_buffer_text(&text), ret))
		return 0;
	ret->kept.size = (uint64_t)st.st_size;
	ret->kept.fd = TAKE_FD(fd);
	return 0;
}

static int give_place(const struct byoh_host *host, int folder, const char *file, struct byoh_error *err)
{
	CLEANUP_FD int place = byoh_open_beneath(host->root_fd, BYOH_ARRIVING_FOLDER, O_RDONLY | O_DIRECTORY, 0,
						 err);

	if (place < 0)
		return place;
	if (renameat(folder, file, place, "bundle") < 0)
		return byoh_fail_errno(err, "cannot keep what has come");
	return 0;
}

int byoh_arriving_keep(const struct byoh_host *host, int folder, const char *file,
		       const struct byoh_reader *slices, uint64_t start, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int r = byoh_make_directories(host->root_fd, BYOH_ARRIVING_FOLDER, 0700, err);

	/* Bytes without a record are nothing, a record for other bytes would be wrong. */
	if (r == 0)
		r = byoh_remove_file(host->root_fd, RECORD, err);
	if (r == 0)
		r = give_place(host, folder, file, err);
	if (r == 0)
		r = byoh_buffer_printf(&text, err, "%llu %llu %s\n", (unsigned long long)start,
				       (unsigned long long)byoh_slices_length(slices), byoh_slices_name(slices));
	if (r == 0)
		r = byoh_write_file(host->root_fd, RECORD, text.data, text.size, 0600, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", BYOH_ARRIVING_FOLDER) : 0;
}

int byoh_arriving_drop(const struct byoh_host *host, struct byoh_error *err)
{
	return byoh_remove_tree(host->root_fd, BYOH_ARRIVING_FOLDER, err);
}
