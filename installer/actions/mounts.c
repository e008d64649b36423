/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/actions/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

struct mounts {
	size_t count;
	char **points; /* in order of mounting */
};

bool byoh_mount_is_below(const char *mount_point, const char *path)
{
	size_t length = strlen(path);

	if (strncmp(mount_point, path, length) != 0)
		return false;
	return !mount_point[length] || mount_point[length] == '/' || path[length - 1] == '-' ||
	       path[length - 1] == '/';
}

static bool is_octal(const char *digits)
{
	for (int i = 0; i < 3; i++)
		if (digits[i] < '0' || digits[i] > '7')
			return false;
	return true;
}

char *byoh_mount_point_of(char *line)
{
	char *field = line, *to;

	for (int i = 0; i < 4; i++) {
		field = strchr(field, ' ');
		if (!field)
			return NULL;
		field++;
	}
	field[strcspn(field, " \n")] = '\0';
	to = field;
	for (const char *from = field; *from; to++) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
	return field;
}

static void release_mounts(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->points[i]);
	free(mounts->points);
	*mounts = (struct mounts){ 0 };
}

static int add(struct mounts *mounts, const char *point, struct byoh_error *err)
{
	char **grown = reallocarray(mounts->points, mounts->count + 1, sizeof(*grown));
	char *copy = grown ? strdup(point) : NULL;

	if (grown)
		mounts->points = grown;
	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	grown[mounts->count++] = copy;
	return 0;
}

static int find(const char *path, struct mounts *ret, struct byoh_error *err)
{
	CLEANUP_FILE FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!file)
		return byoh_fail_errno(err, "cannot read /proc/self/mountinfo");
	while (r == 0 && getline(&line, &size, file) >= 0) {
		const char *point = byoh_mount_point_of(line);

		if (point && byoh_mount_is_below(point, path))
			r = add(ret, point, err);
	}
	return r;
}

int byoh_mounts_count(const char *path, struct byoh_error *err)
{
	CLEANUP(release_mounts) struct mounts mounts = { 0 };
	int r = find(path, &mounts, err);

	return r < 0 ? r : (int)mounts.count;
}

int byoh_mounts_refuse(const char *path, struct byoh_error *err)
{
	CLEANUP(release_mounts) struct mounts mounts = { 0 };
	int r = find(path, &mounts, err);

	if (r < 0 || !mounts.count)
		return r;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY,
			 "%s is still mounted, and what is in it may be somebody's data: unmount it (`fuser -vm` "
			 "shows who uses it) and run this again",
			 mounts.points[mounts.count - 1]);
}

/* A later mount may hide an earlier one at the same place, so the latest goes first. */
int byoh_mounts_release(const char *path, struct byoh_error *err)
{
	CLEANUP(release_mounts) struct mounts mounts = { 0 };
	int r = find(path, &mounts, err);

	if (r < 0)
		return r;
	for (size_t i = mounts.count; i > 0; i--)
		if (umount2(mounts.points[i - 1], UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
			return byoh_fail_errno(err, "cannot unmount %s", mounts.points[i - 1]);
	return 0;
}

/*
 * The action. The mounts were pods': after an undo the kubelet mounts them anew.
 */

static int check_unmount(const struct byoh_action_context *context, struct byoh_action *action,
			 struct byoh_error *err)
{
	int count = byoh_mounts_count(action->subject, err);

	(void)context;
	if (count < 0)
		return count;
	action->state = count ? BYOH_STATE_DIFFERENT : BYOH_STATE_SAME;
	return 0;
}

static int apply_unmount(const struct byoh_action_context *context, const struct byoh_action *action,
			 uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)number;
	return byoh_mounts_release(action->subject, err);
}

const struct byoh_action_ops byoh_unmount_ops = {
	.check = check_unmount, .keep = byoh_keep_nothing, .apply = apply_unmount, .revert = byoh_revert_nothing,
};
