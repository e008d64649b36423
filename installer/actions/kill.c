/* SPDX-License-Identifier: Apache-2.0 */
/* Ends all processes of a control group (cgroup v2), those below it included, and waits until they are gone. A group
 * that is no unit of systemd's goes as well. Pods: after an undo the kubelet starts them again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define WAIT_MILLISECONDS 30000
#define MAX_DEPTH 16

static int open_group(const char *group, struct byoh_error *err)
{
	CLEANUP_FD int root = open(CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return byoh_fail_errno(err, "cannot open " CGROUP_ROOT);
	return byoh_open_beneath(root, group, O_RDONLY | O_DIRECTORY, 0, err);
}

/* cgroup.events: "populated 1" as long as any process is in the group or below it. */
static bool is_populated(int events)
{
	char text[256];
	ssize_t n = pread(events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "populated 1") != NULL;
}

/* systemd takes away the groups of its units by itself. */
static bool is_of_a_unit(const char *group)
{
	const char *slash = strrchr(group, '/');

	return strchr(slash ? slash : group, '.') != NULL;
}

static int check_kill(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	CLEANUP_FD int group = open_group(action->subject, NULL);
	CLEANUP_FD int events = group < 0 ? -1 : openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);

	(void)context;
	(void)err;
	action->state = events >= 0 && (is_populated(events) || !is_of_a_unit(action->subject)) ?
				BYOH_STATE_DIFFERENT : BYOH_STATE_SAME;
	return 0;
}

/* Linux before 5.14 has no cgroup.kill: then one after the other, each group's own. */
static void signal_members(int parent, const char *name)
{
	CLEANUP_FD int group = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int fd = group < 0 ? -1 : openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	CLEANUP_FILE FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	long pid;

	if (!file)
		return;
	fd = -1;
	while (fscanf(file, "%ld", &pid) == 1)
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
}

static void remove_group(int parent, const char *name)
{
	(void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* visit gets each group below, the deepest first. */
static void walk(int group, int depth, void (*visit)(int parent, const char *name))
{
	int list = depth ? openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	CLEANUP_DIR DIR *directory = list < 0 ? NULL : fdopendir(list);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		CLEANUP_FD int below = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(group, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			continue;
		walk(below, depth - 1, visit);
		visit(group, entry->d_name);
	}
}

static void kill_group(int group)
{
	CLEANUP_FD int fd = openat(group, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && byoh_write_all(fd, "1", 1, NULL) == 0)
		return;
	walk(group, MAX_DEPTH, signal_members);
	signal_members(group, ".");
}

/* An empty group costs nothing: where one stays, that is no failure. */
static void remove_with_all_below(int group, const char *name)
{
	CLEANUP_FD int root = open(CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);

	walk(group, MAX_DEPTH, remove_group);
	if (root >= 0)
		remove_group(root, name);
}

static int apply_kill(const struct byoh_action_context *context, const struct byoh_action *action,
		      uint64_t number, struct byoh_error *err)
{
	CLEANUP_FD int group = open_group(action->subject, NULL);
	CLEANUP_FD int events = group < 0 ? -1 : openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd changed = { .fd = events, .events = POLLPRI };

	(void)context;
	(void)number;
	if (events < 0)
		return 0; /* gone with its last process */
	kill_group(group);
	while (is_populated(events)) {
		int n = poll(&changed, 1, WAIT_MILLISECONDS);

		if (n < 0 && errno != EINTR)
			return byoh_fail_errno(err, "cannot wait for %s", action->subject);
		if (n == 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY,
					 "processes of %s do not end, though they were killed: they hang in the "
					 "kernel; reboot, and run this again", action->subject);
	}
	if (!is_of_a_unit(action->subject))
		remove_with_all_below(group, action->subject);
	return 0;
}

const struct byoh_action_ops byoh_kill_ops = {
	.check = check_kill, .keep = byoh_keep_nothing, .apply = apply_kill, .revert = byoh_revert_nothing,
};
