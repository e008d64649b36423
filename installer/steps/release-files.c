/* SPDX-License-Identifier: Apache-2.0 */
/* What the bundle brings, each file at its place. */
#include <errno.h>
#include <string.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

static bool is_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return !strncmp(path, folder, size) && path[size] == '/';
}

/* Blobs are material of the images step; the folders down to them lie in one of ours that is made
 * 0700. */
static bool belongs_to_images(const struct byoh_file *file)
{
	if (is_below(file->path, BYOH_IMAGE_BLOB_DIR) || !strcmp(file->path, BYOH_IMAGE_BLOB_DIR))
		return true;
	return file->type == BYOH_FILE_DIRECTORY && is_below(BYOH_IMAGE_BLOB_DIR, file->path) &&
	       (is_below(file->path, "var/lib/byoh") || !strcmp(file->path, "var/lib/byoh"));
}

static int add(struct byoh_step *step, const struct byoh_file *file, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (file->type == BYOH_FILE_REGULAR)
		return byoh_step_bundle_file(step, file, NULL, err);
	if (asprintf(&path, "/%s", file->path) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (file->type == BYOH_FILE_DIRECTORY)
		return byoh_step_directory(step, path, file->mode, false, err);
	return byoh_step_link(step, path, file->target, err);
}

/* The tool of the new release must be able to mend whatever happens after it, so it comes first, together with
 * the unit by which a boot runs it. */
int byoh_step_tool(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	const struct byoh_file *tool = byoh_index_find(input->index, BYOH_EXECUTABLE_PATH);
	int rc;

	if (!tool)
		return 0;
	for (size_t i = 0; i < input->index->file_count; i++) {
		const struct byoh_file *file = &input->index->files[i];

		if (file->type != BYOH_FILE_DIRECTORY || !is_below(tool->path, file->path))
			continue;
		rc = add(step, file, err);
		if (rc)
			return rc;
	}
	rc = add(step, tool, err);
	if (rc == 0)
		rc = byoh_steps_settle_unit(input, step, err);
	return rc ? rc : byoh_step_sentence(step, err, "Install the tool that stays on this host");
}

static bool came_with_tool(const struct byoh_plan_input *input, const struct byoh_file *file)
{
	if (!byoh_index_find(input->index, BYOH_EXECUTABLE_PATH))
		return false;
	if (file->type == BYOH_FILE_DIRECTORY)
		return is_below(BYOH_EXECUTABLE_PATH, file->path);
	return !strcmp(file->path, BYOH_EXECUTABLE_PATH);
}

int byoh_step_release_files(const struct byoh_plan_input *input, struct byoh_step *step,
			    struct byoh_error *err)
{
	uint64_t bytes = 0;
	size_t files = 0;
	char size[32];
	for (size_t i = 0; i < input->index->file_count; i++) {
		const struct byoh_file *file = &input->index->files[i];
		bool left_out;
		int rc;

		if (belongs_to_images(file) || came_with_tool(input, file))
			continue;
		rc = byoh_steps_leaves_out(input, file, &left_out, err);
		if (rc)
			return rc;
		if (left_out)
			continue;
		files += file->type != BYOH_FILE_DIRECTORY;
		bytes += file->size;
		rc = add(step, file, err);
		if (rc)
			return rc;
	}
	if (!step->action_count)
		return 0;
	return byoh_step_sentence(step, err, "Install %zu files of %s %s (%s)", files,
				  input->manifest->name, input->manifest->version,
				  byoh_format_size(bytes, size));
}
