/* SPDX-License-Identifier: Apache-2.0 */
/* All files or none: they are made in a folder beside, which then takes the place of the one that was
 * named. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/manifests/manifests.h"

static int write_one(int folder, const struct byoh_object_file *manifest, struct byoh_error *err)
{
	char parent[BYOH_OBJECT_NAME_MAX];
	char *last;
	CLEANUP_FD int fd = -1;
	int r = 0;

	memcpy(parent, manifest->name, sizeof(parent));
	last = strrchr(parent, '/');
	if (last) {
		*last = '\0';
		r = byoh_make_directories(folder, parent, 0755, err);
	}
	if (r < 0)
		return r;
	fd = byoh_open_beneath(folder, manifest->name, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
	if (fd < 0)
		return fd;
	r = byoh_write_all(fd, byoh_buffer_text(&manifest->text), manifest->text.size, err);
	if (r == 0 && (fchmod(fd, manifest->mode) < 0 || fsync(fd) < 0))
		r = byoh_fail_errno(err, "cannot write");
	return r < 0 ? byoh_error_wrap(err, r, "%s", manifest->name) : 0;
}

static int write_all(int folder, const struct byoh_manifests *manifests, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < manifests->count; i++)
		r = write_one(folder, &manifests->items[i], err);
	return r;
}

/* rename(2) takes an empty folder's place, and refuses every other one. */
static int publish(const char *made, const char *folder, struct byoh_error *err)
{
	if (rename(made, folder) == 0)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOTEMPTY,
				 "%s is there already and not empty; nothing is ever overwritten: name "
				 "a new folder",
				 folder);
	return byoh_fail_errno(err, "cannot make the folder %s", folder);
}

/* Looked at first as well, since nothing else is worth doing then. */
static int check_free(const char *folder, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(folder, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : byoh_fail_errno(err, "cannot look at %s", folder);
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
				 "%s is there already; nothing is ever overwritten: name a new folder",
				 folder);
	return 0;
}

int byoh_manifests_write(const struct byoh_manifests *manifests, const char *folder,
			 struct byoh_error *err)
{
	CLEANUP_FREE char *made = NULL, *copy = strdup(folder);
	CLEANUP_FD int fd = -1, parent = -1;
	int r = check_free(folder, err);

	if (r < 0)
		return r;
	if (!copy || asprintf(&made, "%s/.manifests-XXXXXX", dirname(copy)) < 0) {
		made = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	parent = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* dirname() left the parent in it */
	if (parent < 0 || !mkdtemp(made))
		return byoh_fail_errno(err, "cannot make a folder beside %s", folder);
	fd = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? byoh_fail_errno(err, "cannot open %s", made) : write_all(fd, manifests, err);
	if (r == 0)
		r = publish(made, folder, err);
	if (r == 0 && fsync(parent) < 0)
		return byoh_fail_errno(err, "cannot write %s", folder);
	if (r < 0)
		(void)!byoh_remove_tree(parent, strrchr(made, '/') + 1, NULL);
	return r;
}
