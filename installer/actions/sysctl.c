/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel parameters now; a file for the boot is another action. /proc/sys/net is the caller's own network
 * namespace's, so keys of net are asked for and set from outside. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/net/outside.h"

#define MAX_KEY 256
#define MAX_VALUE 4096

static bool is_net(const char *key)
{
	return strncmp(key, "net.", 4) == 0;
}

/* A "/" in a key stands for a dot in a name (sysctl.d(5)): net.ipv4.conf.eth0/5.forwarding. */
static int key_path(const char *key, char ret[static MAX_KEY], struct byoh_error *err)
{
	if (snprintf(ret, MAX_KEY, "%s", key) >= MAX_KEY || strstr(key, ".."))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "\"%s\" is no kernel parameter", key);
	for (char *p = ret; *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return 0;
}

/* Opens /proc/sys and tells the key's path below it. */
static int open_proc(const char *key, char ret_path[static MAX_KEY], struct byoh_error *err)
{
	int proc, r = key_path(key, ret_path, err);

	if (r < 0)
		return r;
	proc = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return proc < 0 ? byoh_fail_errno(err, "cannot open /proc/sys") : proc;
}

static int read_value(const struct byoh_action_context *context, const char *key, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	CLEANUP_FD int proc = -1;
	char path[MAX_KEY];
	int r;

	if (is_net(key) && context->host->outside)
		return byoh_outside_sysctl_read(context->host->outside, key, ret, err);
	proc = open_proc(key, path, err);
	if (proc < 0)
		return proc;
	r = byoh_read_file(proc, path, MAX_VALUE, ret, err);
	while (r == 0 && ret->size && ret->data[ret->size - 1] == '\n')
		ret->data[--ret->size] = '\0';
	return r;
}

static int write_value(const struct byoh_action_context *context, const char *key, const char *value,
		       struct byoh_error *err)
{
	CLEANUP_FD int proc = -1;
	CLEANUP_FD int fd = -1;
	char path[MAX_KEY];

	if (is_net(key) && context->host->outside)
		return byoh_outside_sysctl_write(context->host->outside, key, value, err);
	proc = open_proc(key, path, err);
	if (proc < 0)
		return proc;
	fd = byoh_open_beneath(proc, path, O_WRONLY, 0, err);
	return fd < 0 ? fd : byoh_write_all(fd, value, strlen(value), err);
}

/* The kernel separates the numbers of one parameter by tabs. */
static bool is_same_value(const char *a, const char *b)
{
	for (;;) {
		size_t first, second;

		a += strspn(a, " \t");
		b += strspn(b, " \t");
		first = strcspn(a, " \t");
		second = strcspn(b, " \t");
		if (first != second || memcmp(a, b, first) != 0)
			return false;
		if (!first)
			return true;
		a += first;
		b += second;
	}
}

static int check_sysctl(const struct byoh_action_context *context, struct byoh_action *action,
			struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer value = { 0 };
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r = read_value(context, action->subject, &value, &failure);

	if (r == -ENOENT) { /* a module that an action before loads may bring it */
		action->state = BYOH_STATE_ABSENT;
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = failure;
		return r;
	}
	action->state = is_same_value(byoh_buffer_text(&value), action->value) ? BYOH_STATE_SAME :
										 BYOH_STATE_DIFFERENT;
	return 0;
}

static int keep_sysctl(const struct byoh_action_context *context, const struct byoh_action *action,
		       struct byoh_before *before, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer value = { 0 };
	int r = read_value(context, action->subject, &value, err);

	if (r < 0)
		return r;
	before->existed = true;
	return byoh_before_set(&before->value, byoh_buffer_text(&value), err);
}

static int apply_sysctl(const struct byoh_action_context *context, const struct byoh_action *action,
			uint64_t number, struct byoh_error *err)
{
	(void)number;
	return write_value(context, action->subject, action->value, err);
}

static int revert_sysctl(const struct byoh_action_context *context, const struct byoh_before *before,
			 struct byoh_error *err)
{
	int r = write_value(context, before->subject, before->value ? before->value : "", err);

	return r == -ENOENT ? 0 : r; /* gone with its module or its interface */
}

const struct byoh_action_ops byoh_sysctl_ops = {
	.any_boot = true, .check = check_sysctl, .keep = keep_sysctl, .apply = apply_sysctl, .revert = revert_sysctl,
};
