/* SPDX-License-Identifier: Apache-2.0 */
/* The running kernel's host name; /etc/hostname is another action's. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"

static int check_hostname(const struct byoh_action_context *context, struct byoh_action *action,
			  struct byoh_error *err)
{
	struct utsname kernel;

	(void)context;
	if (uname(&kernel) < 0)
		return byoh_fail_errno(err, "cannot read the host name");
	action->state = strcmp(kernel.nodename, action->subject) == 0 ? BYOH_STATE_SAME :
									 BYOH_STATE_DIFFERENT;
	return 0;
}

static int keep_hostname(const struct byoh_action_context *context, const struct byoh_action *action,
			 struct byoh_before *before, struct byoh_error *err)
{
	struct utsname kernel;

	(void)context;
	(void)action;
	if (uname(&kernel) < 0)
		return byoh_fail_errno(err, "cannot read the host name");
	before->existed = true;
	return byoh_before_set(&before->value, kernel.nodename, err);
}

static int apply_hostname(const struct byoh_action_context *context, const struct byoh_action *action,
			  uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)number;
	if (sethostname(action->subject, strlen(action->subject)) < 0)
		return byoh_fail_errno(err, "cannot set the host name %s", action->subject);
	return 0;
}

static int revert_hostname(const struct byoh_action_context *context, const struct byoh_before *before,
			   struct byoh_error *err)
{
	(void)context;
	if (before->value && sethostname(before->value, strlen(before->value)) < 0)
		return byoh_fail_errno(err, "cannot set the host name %s again", before->value);
	return 0;
}

const struct byoh_action_ops byoh_hostname_ops = {
	.any_boot = true, .check = check_hostname, .keep = keep_hostname, .apply = apply_hostname,
	.revert = revert_hostname,
};
