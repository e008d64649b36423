/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-archive BUNDLE FOLDER    writes to stdout what an installation feeds to `ctr images import -` for the bundle's
 * first image, from the blobs that the bundle's tar was unpacked to in FOLDER.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "installer/actions/actions.h"

static int open_blob(void *context, const struct byoh_digest *digest, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE], path[4096];
	int fd;

	byoh_digest_hex(digest, hex);
	snprintf(path, sizeof(path), "%s/" BYOH_IMAGE_BLOB_DIR "/%s", (const char *)context, hex);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? byoh_fail_errno(err, "cannot open %s", path) : fd;
}

static int write_archive(const char *path, char *folder, struct byoh_error *err)
{
	const struct byoh_action_context context = { .open_blob = open_blob, .blob_context = folder };
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	int r = byoh_bundle_open(path, &bundle, err);

	if (r == 0)
		r = byoh_bundle_examine(bundle, err);
	if (r == 0 && !byoh_bundle_manifest(bundle)->image_count)
		r = byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "%s has no image", path);
	return r < 0 ? r : byoh_image_archive_write(&context, &byoh_bundle_manifest(bundle)->images[0], STDOUT_FILENO, err);
}

int main(int argc, char **argv)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	if (argc != 3) {
		fprintf(stderr, "usage: image-archive BUNDLE FOLDER\n");
		return 2;
	}
	if (write_archive(argv[1], argv[2], &err) == 0)
		return 0;
	fprintf(stderr, "image-archive: %s\n", err.message);
	return 1;
}
