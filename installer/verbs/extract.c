/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

struct extraction {
	const struct byoh_index *index;
	const char *folder;
	int root_fd;
	bool made; /* the folder was not there before */
};

static int open_file(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const struct extraction *extraction = context;
	CLEANUP_FD int fd = byoh_open_beneath(extraction->root_fd, file->path,
					      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);

	if (fd < 0)
		return fd;
	if (fchmod(fd, file->mode) < 0)
		return byoh_fail_errno(err, "cannot set the mode");
	return TAKE_FD(fd);
}

static int make_frame(const struct extraction *extraction, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < extraction->index->file_count && r == 0; i++) {
		const struct byoh_file *file = &extraction->index->files[i];

		if (file->type == BYOH_FILE_DIRECTORY)
			r = byoh_make_directories(extraction->root_fd, file->path, 0700, err);
		else if (file->type == BYOH_FILE_SYMLINK && byoh_exists_beneath(extraction->root_fd, file->path))
			r = byoh_fail(err, BYOH_ERROR_SYSTEM, EEXIST,
				      "%s exists already; name an empty folder", file->path);
		else if (file->type == BYOH_FILE_SYMLINK)
			r = byoh_write_link(extraction->root_fd, file->path, file->target, err);
	}
	return r;
}

/* Last, since a folder may well forbid to write into it. */
static int set_folder_modes(const struct extraction *extraction, struct byoh_error *err)
{
	for (size_t i = extraction->index->file_count; i-- > 0;) {
		const struct byoh_file *file = &extraction->index->files[i];
		CLEANUP_FD int fd = -1;

		if (file->type != BYOH_FILE_DIRECTORY)
			continue;
		fd = byoh_open_beneath(extraction->root_fd, file->path, O_RDONLY | O_DIRECTORY, 0, err);
		if (fd < 0)
			return fd;
		if (fchmod(fd, file->mode) < 0)
			return byoh_fail_errno(err, "cannot set the mode of %s", file->path);
	}
	return 0;
}

static int check_empty(const char *folder, struct byoh_error *err)
{
	CLEANUP_DIR DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return byoh_fail_errno(err, "cannot list the folder %s", folder);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return byoh_fail(err, BYOH_ERROR_USAGE, ENOTEMPTY,
					 "the folder %s is not empty; name an empty or a new one", folder);
	return 0;
}

static int open_folder(struct extraction *extraction, struct byoh_error *err)
{
	extraction->made = mkdir(extraction->folder, 0755) == 0;
	if (!extraction->made) {
		int r = errno == EEXIST ? check_empty(extraction->folder, err)
					: byoh_fail_errno(err, "cannot make the folder %s",
							  extraction->folder);

		if (r < 0)
			return r;
	}
	extraction->root_fd = open(extraction->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return extraction->root_fd < 0 ?
		       byoh_fail_errno(err, "cannot open the folder %s", extraction->folder) : 0;
}

/* Half of a bundle looks like a whole one: nothing of it stays. The folder was empty before. */
static void clear_folder(const struct extraction *extraction)
{
	for (size_t i = 0; i < extraction->index->file_count; i++)
		if (!strchr(extraction->index->files[i].path, '/'))
			(void)!byoh_remove_tree(extraction->root_fd, extraction->index->files[i].path, NULL);
	if (extraction->made)
		rmdir(extraction->folder);
}

static int fill_folder(struct byoh_session *session, struct extraction *extraction, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Extracting", session->options.quiet);
	const struct byoh_unpack unpack = {
		.open = open_file,
		.context = extraction,
		.progress = { byoh_bar_report, &bar, session->cancel },
		.scratch_fd = extraction->root_fd,
	};
	int r = make_frame(extraction, err);

	if (r == 0)
		r = byoh_bundle_unpack(session->bundle, &unpack, err);
	byoh_bar_finish(&bar);
	return r < 0 ? r : set_folder_modes(extraction, err);
}

static int extract(struct byoh_session *session, const char *folder, struct byoh_error *err)
{
	struct extraction extraction = { byoh_bundle_index(session->bundle), folder, -1, false };
	int r = open_folder(&extraction, err);

	if (r < 0)
		return r;
	r = fill_folder(session, &extraction, err);
	if (r < 0)
		clear_folder(&extraction);
	byoh_cleanup_fd(&extraction.root_fd);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", folder);
	byoh_report_line(session, "extracted to %s", folder);
	return 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	int r;

	if (session->options.argument_count != 1)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "extract needs a folder");
	r = byoh_session_enter_reader(session, err);
	if (r == 0)
		r = byoh_session_open_bundle(session, NULL, err);
	if (r == 0)
		r = byoh_session_attach_base(session, err);
	return r < 0 ? r : extract(session, session->options.arguments[0], err);
}

const struct byoh_verb byoh_verb_extract = {
	"extract", "DIR [--from FILE|DIR|URL]", "Unpack the files into a folder, without installing.",
	" from mirror-ca ", 1, run,
};
