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
	bool wanted = byoh_action_wants(action, "on");
	int priority;

	(void)context;
	(void)err;
	action->state = find_swap(action->subject, &priority) == wanted ? BYOH_STATE_SAME :
									  BYOH_STATE_DIFFERENT;
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

static int turn_off(const char *device, struct byoh_error *err)
{
	int priority;

	if (swapoff(device) < 0 && find_swap(device, &priority))
		return byoh_fail_errno(err, "cannot turn off the swap on %s", device);
	return 0;
}

static int turn_on(const char *device, uint64_t priority, struct byoh_error *err)
{
	if (swapon(device, (int)priority) < 0)
		return byoh_fail_errno(err, "cannot turn the swap on %s on again", device);
	return 0;
}

static int apply_swap(const struct byoh_action_context *context, const struct byoh_action *action,
		      uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)number;
	return byoh_action_wants(action, "on") ? turn_on(action->subject, action->priority, err) :
						 turn_off(action->subject, err);
}

static int revert_swap(const struct byoh_action_context *context, const struct byoh_before *before,
		       struct byoh_error *err)
{
	int priority;

	(void)context;
	if (before->existed == find_swap(before->subject, &priority))
		return 0;
	return before->existed ? turn_on(before->subject, before->priority, err) :
				 turn_off(before->subject, err);
}

const struct byoh_action_ops byoh_swap_ops = {
	.any_boot = true, .check = check_swap, .keep = keep_swap, .apply = apply_swap, .revert = revert_swap,
};
