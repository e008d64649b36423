/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

struct extraction {
	int root_fd;
};

static int open_file(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const struct extraction *extraction = context;

	return byoh_open_beneath(extraction->root_fd, file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
				 file->mode, err);
}

static int make_frame(int root_fd, const struct byoh_index *index, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < index->file_count && r == 0; i++) {
		const struct byoh_file *file = &index->files[i];

		if (file->type == BYOH_FILE_DIRECTORY)
			r = byoh_make_directories(root_fd, file->path, file->mode | 0700, err);
		else if (file->type == BYOH_FILE_SYMLINK)
			r = byoh_write_link(root_fd, file->path, file->target, err);
	}
	return r;
}

static int extract(struct byoh_session *session, const char *folder, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Extracting", session->options.quiet);
	CLEANUP_FD int root = -1;
	struct extraction extraction;
	struct byoh_unpack unpack = { .open = open_file, .context = &extraction };
	int r;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return byoh_fail_errno(err, "cannot make the folder %s", folder);
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return byoh_fail_errno(err, "cannot open the folder %s", folder);
	extraction.root_fd = root;
	unpack.progress = (struct byoh_progress){ byoh_bar_report, &bar, session->cancel };
	r = make_frame(root, byoh_bundle_index(session->bundle), err);
	if (r == 0)
		r = byoh_bundle_unpack(session->bundle, &unpack, err);
	byoh_bar_finish(&bar);
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
	return r < 0 ? r : extract(session, session->options.arguments[0], err);
}

const struct byoh_verb byoh_verb_extract = {
	"extract", "DIR [--from FILE]", "Unpack the files into a folder, without installing.", " from ", 1, run,
};
