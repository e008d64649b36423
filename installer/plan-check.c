/* SPDX-License-Identifier: Apache-2.0 */
/* How far a host is from a plan. A thorough look reads gigabytes: its files are read on all cores, the rest is
 * looked at in order. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "installer/transaction-internal.h"

#define MAX_THREADS 16 /* more would only wait for the disk */

/* A folder that has been moved elsewhere by a link is the host's doing, and nothing has been changed yet. */
static int refuse_link(int r, struct byoh_error *err)
{
	if (err && (r == -ELOOP || r == -EXDEV))
		err->kind = BYOH_ERROR_PREFLIGHT;
	return r;
}

/*
 * Files, by several threads
 */

struct reading {
	struct byoh_plan *plan;
	const struct byoh_action_context *context;
	const struct byoh_progress *progress; /* may be NULL */
	uint64_t total;
	pthread_mutex_t lock; /* guards what follows */
	size_t next_step, next_action;
	uint64_t done;
	int failure;
	struct byoh_error err;
};

static bool is_cancelled(const struct byoh_progress *progress)
{
	return progress && progress->cancel && atomic_load(progress->cancel);
}

/* The next file that nobody took. */
static struct byoh_action *next_file(struct reading *reading)
{
	while (reading->next_step < reading->plan->step_count) {
		struct byoh_step *step = &reading->plan->steps[reading->next_step];

		while (reading->next_action < step->action_count) {
			struct byoh_action *action = &step->actions[reading->next_action++];

			if (action->kind == BYOH_ACTION_FILE)
				return action;
		}
		reading->next_step++;
		reading->next_action = 0;
	}
	return NULL;
}

/* NULL at the end, after a failure or a cancel. */
static struct byoh_action *take_file(struct reading *reading)
{
	struct byoh_action *action = NULL;

	pthread_mutex_lock(&reading->lock);
	if (is_cancelled(reading->progress) && !reading->failure)
		reading->failure = byoh_fail(&reading->err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	if (!reading->failure)
		action = next_file(reading);
	pthread_mutex_unlock(&reading->lock);
	return action;
}

static void finish_file(struct reading *reading, const struct byoh_action *action, int r,
			const struct byoh_error *err)
{
	pthread_mutex_lock(&reading->lock);
	if (r < 0 && !reading->failure) {
		reading->failure = r;
		reading->err = *err;
	}
	reading->done += action->size;
	if (reading->progress && reading->progress->report)
		reading->progress->report(reading->progress->context, reading->done, reading->total);
	pthread_mutex_unlock(&reading->lock);
}

static void *read_files(void *argument)
{
	struct reading *reading = argument;
	struct byoh_action *action;

	while ((action = take_file(reading))) {
		struct byoh_error err = BYOH_ERROR_INIT;
		int r = byoh_action_check(reading->context, action, &err);

		finish_file(reading, action, r, &err);
	}
	return NULL;
}

static unsigned int count_threads(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (unsigned int)cores;
}

static int run_threads(struct reading *reading, struct byoh_error *err)
{
	unsigned int wanted = count_threads(), started = 0;
	pthread_t ids[MAX_THREADS];

	/* Too few threads only make it slower; none at all is done right here. */
	while (started < wanted && pthread_create(&ids[started], NULL, read_files, reading) == 0)
		started++;
	if (!started)
		read_files(reading);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	if (reading->failure && err)
		*err = reading->err;
	return reading->failure;
}

uint64_t byoh_plan_bytes(const struct byoh_plan *plan)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			if (plan->steps[i].actions[j].kind == BYOH_ACTION_FILE)
				bytes += plan->steps[i].actions[j].size;
	return bytes;
}

static int read_all_files(struct byoh_plan *plan, const struct byoh_action_context *context,
			  const struct byoh_progress *progress, struct byoh_error *err)
{
	struct reading reading = { .plan = plan, .context = context, .progress = progress,
				   .total = byoh_plan_bytes(plan), .err = BYOH_ERROR_INIT };
	int r;

	pthread_mutex_init(&reading.lock, NULL);
	r = run_threads(&reading, err);
	pthread_mutex_destroy(&reading.lock);
	return refuse_link(r, err);
}

/*
 * All of it
 */

static int check_action(const struct byoh_action_context *context, struct byoh_action *action,
			struct byoh_error *err)
{
	if (context->thorough && action->kind == BYOH_ACTION_FILE)
		return 0; /* read already */
	return refuse_link(byoh_action_check(context, action, err), err);
}

static void forget_states(struct byoh_plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			plan->steps[i].actions[j].state = BYOH_STATE_UNKNOWN;
}

int byoh_plan_check_with(struct byoh_plan *plan, const struct byoh_action_context *context,
			 const struct byoh_progress *progress, size_t *ret_changes, bool *ret_later,
			 struct byoh_error *err)
{
	int r;

	*ret_changes = 0;
	*ret_later = false;
	forget_states(plan);
	r = context->thorough ? read_all_files(plan, context, progress, err) : 0;
	for (size_t i = 0; i < plan->step_count; i++) {
		for (size_t j = 0; r == 0 && j < plan->steps[i].action_count; j++) {
			struct byoh_action *action = &plan->steps[i].actions[j];

			r = check_action(context, action, err);
			*ret_changes += byoh_action_is_change(action);
			*ret_later |= action->state == BYOH_STATE_LATER;
		}
	}
	return r;
}

int byoh_plan_check(struct byoh_plan *plan, const struct byoh_plan_input *input, size_t *ret_changes,
		    struct byoh_error *err)
{
	const struct byoh_action_context context = { .host = input->host, .plan = plan,
						     .ledger = input->ledger,
						     .thorough = input->thorough };
	bool later;

	return byoh_plan_check_with(plan, &context, input->progress, ret_changes, &later, err);
}
