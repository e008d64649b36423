/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle by the name of its file, or of any of its slices. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/bundle.h"
#include "bundle/slices.h"

int byoh_bundle_open_any(const char *path, struct byoh_bundle **ret, struct byoh_error *err)
{
	CLEANUP_READER struct byoh_reader *reader = NULL;
	CLEANUP_FREE char *whole = NULL;
	CLEANUP_FREE char *folder = NULL;
	const char *slash, *folders[1];
	struct byoh_slices_input input = { .folders = folders, .folder_count = 1 };
	size_t length;
	int r;

	if (!byoh_slice_is_name(path, &length))
		return byoh_bundle_open(path, ret, err);
	whole = strndup(path, length);
	slash = whole ? strrchr(whole, '/') : NULL;
	folder = !slash ? strdup(".") : strndup(whole, slash == whole ? 1 : (size_t)(slash - whole));
	if (!whole || !folder)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	folders[0] = folder;
	input.name = slash ? slash + 1 : whole;
	r = byoh_slices_open(&input, &reader, err);
	if (r == 0)
		r = byoh_bundle_open_reader(reader, whole, ret, err);
	if (r == 0)
		reader = NULL;
	return r;
}
