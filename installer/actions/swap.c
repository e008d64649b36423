/* SPDX-License-Identifier: Apache-2.0 */
/* Swap off now, by the system call; what turns it on at boot is other actions' (fstab, units). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"

/* Finds the device in /proc/swaps: name, type, size, used, priority. */
static bool find_swap(const char *device, int *ret_priority)
{
	CLEANUP_FILE FILE *file = fopen("/proc/swaps", "re");
	char line[4096 + 256];

	while (file && fgets(line, sizeof(line), file)) {
		size_t length = strcspn(line, " \t\n");
		const char *last;

		if (length != strlen(device) || memcmp(line, device, length) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		last = strrchr(line, '\t');
		*ret_priority = last ? atoi(last + 1) : -1;
		return true;
	}
	return false;
}

static int check_swap(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	int priority;

	(void)context;
	(void)err;
	action->state = find_swap(action->subject, &priority) ? BYOH_STATE_DIFFERENT : BYOH_STATE_SAME;
	return 0;
}

static int keep_swap(const struct byoh_action_context *context, const struct byoh_action *action,
		     struct byoh_before *before, struct byoh_error *err)
{
	int priority = -1;

	(void)context;
	(void)err;
	before->existed = find_swap(action->subject, &priority);
	/* Negative ones are the kernel's own choice and cannot be asked for. */
	if (priority >= 0)
		before->priority = (uint64_t)SWAP_FLAG_PREFER | ((uint64_t)priority & SWAP_FLAG_PRIO_MASK);
	return 0;
}

static int apply_swap(const struct byoh_action_context *context, const struct byoh_action *action,
		      uint64_t number, struct byoh_error *err)
{
	int priority;

	(void)context;
	(void)number;
	if (swapoff(action->subject) < 0 && find_swap(action->subject, &priority))
		return byoh_fail_errno(err, "cannot turn off the swap on %s", action->subject);
	return 0;
}

static int revert_swap(const struct byoh_action_context *context, const struct byoh_before *before,
		       struct byoh_error *err)
{
	int priority;

	(void)context;
	if (!before->existed || find_swap(before->subject, &priority))
		return 0;
	if (swapon(before->subject, (int)before->priority) < 0)
		return byoh_fail_errno(err, "cannot turn the swap on %s on again", before->subject);
	return 0;
}

const struct byoh_action_ops byoh_swap_ops = {
	.check = check_swap, .keep = keep_swap, .apply = apply_swap, .revert = revert_swap,
};
