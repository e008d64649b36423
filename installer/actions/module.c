/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: modprobe now; a file for the boot is another action. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/run.h"

#define MAX_MODULE_NAME 64

/* The kernel writes "_" where file names may have "-". */
static void normalize(const char *name, char ret[static MAX_MODULE_NAME])
{
	snprintf(ret, MAX_MODULE_NAME, "%s", name);
	for (char *p = ret; *p; p++)
		if (*p == '-')
			*p = '_';
}

static bool is_loaded(const char *name)
{
	char path[MAX_MODULE_NAME + 32];
	char normal[MAX_MODULE_NAME];

	normalize(name, normal);
	snprintf(path, sizeof(path), "/sys/module/%s", normal);
	return access(path, F_OK) == 0;
}

/* One line of modules.builtin: "kernel/fs/overlayfs/overlay.ko". */
static bool line_names(const char *line, const char *name)
{
	const char *slash = strrchr(line, '/');
	const char *dot = slash ? strstr(slash, ".ko") : NULL;
	char wanted[MAX_MODULE_NAME], found[MAX_MODULE_NAME];

	if (!dot || dot - slash - 1 >= MAX_MODULE_NAME)
		return false;
	snprintf(wanted, sizeof(wanted), "%.*s", (int)(dot - slash - 1), slash + 1);
	normalize(wanted, found);
	normalize(name, wanted);
	return strcmp(found, wanted) == 0;
}

static bool is_built_in(const char *name)
{
	CLEANUP_FILE FILE *file = NULL;
	struct utsname kernel;
	char path[256], line[512];

	if (uname(&kernel) < 0)
		return false;
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin", kernel.release);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (line_names(line, name))
			return true;
	return false;
}

/* A kernel without module files may still have it: file systems are listed by name. */
static bool is_file_system(const char *name)
{
	CLEANUP_FILE FILE *file = fopen("/proc/filesystems", "re");
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		char *tab = strchr(line, '\t');

		line[strcspn(line, "\n")] = '\0';
		if (tab && strcmp(tab + 1, name) == 0)
			return true;
	}
	return false;
}

static int check_module(const struct byoh_action_context *context, struct byoh_action *action,
			struct byoh_error *err)
{
	bool there = is_loaded(action->subject) || is_built_in(action->subject) ||
		     is_file_system(action->subject);

	(void)context;
	(void)err;
	if (byoh_action_wants(action, "unloaded"))
		action->state = is_loaded(action->subject) ? BYOH_STATE_DIFFERENT : BYOH_STATE_SAME;
	else
		action->state = there ? BYOH_STATE_SAME : BYOH_STATE_ABSENT;
	return 0;
}

static int keep_module(const struct byoh_action_context *context, const struct byoh_action *action,
		       struct byoh_before *before, struct byoh_error *err)
{
	(void)context;
	(void)err;
	before->existed = is_loaded(action->subject);
	return 0;
}

/* Refused while something uses it, which is then not ours to break: it stays until the next boot. So do the modules
 * that it brought along. `modprobe -r` would take those too, and a host's bridges all vanish with the module bridge,
 * which br_netfilter stands on and which nobody's bridge counts as a user of. */
static void unload(const char *name)
{
	char normal[MAX_MODULE_NAME];

	normalize(name, normal);
	(void)syscall(SYS_delete_module, normal, O_NONBLOCK);
}

static int apply_module(const struct byoh_action_context *context, const struct byoh_action *action,
			uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)number;
	if (!byoh_action_wants(action, "unloaded"))
		return byoh_run_simple(err, "modprobe", action->subject, NULL);
	unload(action->subject);
	return 0;
}

static int revert_module(const struct byoh_action_context *context, const struct byoh_before *before,
			 struct byoh_error *err)
{
	(void)context;
	if (before->existed && !is_loaded(before->subject))
		return byoh_run_simple(err, "modprobe", before->subject, NULL);
	if (!before->existed && is_loaded(before->subject))
		unload(before->subject);
	return 0;
}

const struct byoh_action_ops byoh_module_ops = {
	.any_boot = true, .check = check_module, .keep = keep_module, .apply = apply_module, .revert = revert_module,
};
