/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "bundle/base/cleanup.h"
#include "installer/support/support-bundle.h"

struct byoh_support_archive {
	char *path;
	int fd;
	bool finished;
	struct archive *tar;
	const struct byoh_redactor *redactor;
	size_t count;
	time_t now;
};

static int fail(const struct byoh_support_archive *archive, struct byoh_error *err)
{
	int errnum = archive->tar ? archive_errno(archive->tar) : ENOMEM;

	return byoh_fail(err, BYOH_ERROR_SYSTEM, errnum > 0 ? errnum : EIO, "cannot write %s: %s", archive->path,
			 archive->tar && archive_error_string(archive->tar) ? archive_error_string(archive->tar) :
									      strerror(EIO));
}

static int open_tar(struct byoh_support_archive *archive, struct byoh_error *err)
{
	archive->tar = archive_write_new();
	if (!archive->tar || archive_write_set_format_pax_restricted(archive->tar) != ARCHIVE_OK ||
	    archive_write_add_filter_zstd(archive->tar) != ARCHIVE_OK ||
	    archive_write_open_fd(archive->tar, archive->fd) != ARCHIVE_OK)
		return fail(archive, err);
	return 0;
}

int byoh_support_archive_create(const char *path, const struct byoh_redactor *redactor,
				struct byoh_support_archive **ret, struct byoh_error *err)
{
	CLEANUP_SUPPORT_ARCHIVE struct byoh_support_archive *archive = calloc(1, sizeof(*archive));
	int rc;

	if (!archive)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	/* Never over what is there, nor through a link that somebody has put there. */
	archive->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (archive->fd < 0) {
		rc = byoh_fail_errno(err, "cannot make %s", path);
		if (rc == -EEXIST)
			byoh_error_remedy(err, "choose a name that is not taken");
		return rc;
	}
	archive->path = strdup(path);
	archive->redactor = redactor;
	archive->now = time(NULL);
	if (!archive->path)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = open_tar(archive, err);
	if (rc == 0)
		*ret = TAKE_PTR(archive);
	return rc;
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

int byoh_support_archive_add(struct byoh_support_archive *archive, const char *name, const char *text, size_t size,
			     struct byoh_error *err)
{
	CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
	CLEANUP_BUFFER struct byoh_buffer redacted = { 0 };
	CLEANUP_FREE char *path = NULL;
	int rc;

	if (size > BYOH_SUPPORT_TEXT_MAX) {
		text += size - BYOH_SUPPORT_TEXT_MAX;
		size = BYOH_SUPPORT_TEXT_MAX;
	}
	rc = byoh_redact(archive->redactor, text, size, &redacted, err);
	if (rc < 0)
		return rc;
	if (!entry || asprintf(&path, "byoh-support/%s", name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_size(entry, (la_int64_t)redacted.size);
	archive_entry_set_mtime(entry, archive->now, 0);
	if (archive_write_header(archive->tar, entry) != ARCHIVE_OK ||
	    archive_write_data(archive->tar, byoh_buffer_text(&redacted), redacted.size) != (la_ssize_t)redacted.size)
		return fail(archive, err);
	archive->count++;
	return 0;
}

int byoh_support_archive_finish(struct byoh_support_archive *archive, uint64_t *ret_size, size_t *ret_count,
				struct byoh_error *err)
{
	struct stat st;

	if (archive_write_close(archive->tar) != ARCHIVE_OK)
		return fail(archive, err);
	if (fsync(archive->fd) < 0 || fstat(archive->fd, &st) < 0)
		return byoh_fail_errno(err, "cannot write %s", archive->path);
	archive->finished = true;
	*ret_size = (uint64_t)st.st_size;
	*ret_count = archive->count;
	return 0;
}

void byoh_support_archive_free(struct byoh_support_archive *archive)
{
	if (!archive)
		return;
	archive_write_free(archive->tar);
	if (archive->fd >= 0 && !archive->finished && archive->path)
		unlink(archive->path);
	byoh_cleanup_fd(&archive->fd);
	free(archive->path);
	free(archive);
}

void byoh_support_archive_freep(struct byoh_support_archive **archive)
{
	byoh_support_archive_free(*archive);
}
