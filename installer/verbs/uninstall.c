/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "installer/ledger.h"
#include "installer/report.h"
#include "installer/restore.h"
#include "installer/run.h"
#include "installer/steps/leave.h"
#include "installer/verbs/verbs.h"

/* What stays, to be said at the end, where it is read: messages, each with its zero. */
struct kept {
	struct byoh_buffer messages;
};

static void note_kept(void *context, const char *message)
{
	struct kept *kept = context;

	if (byoh_buffer_add(&kept->messages, message, strlen(message) + 1, NULL) < 0)
		byoh_report_warning("%s", message);
}

static const char *next_kept(const struct kept *kept, const char *message)
{
	const char *begin = byoh_buffer_text(&kept->messages);
	const char *next = message ? message + strlen(message) + 1 : begin;

	return next < begin + kept->messages.size ? next : NULL;
}

static int tell_json(const struct byoh_session *session, const struct kept *kept, const char *result,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_json json = byoh_json_to(&text);
	const char *message = NULL;
	int r;

	if (!session->options.json)
		return 0;
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "result", result);
	byoh_json_key(&json, "kept");
	byoh_json_begin_array(&json);
	while ((message = next_kept(kept, message)))
		byoh_json_string(&json, message);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static void show_plan(const struct byoh_session *session)
{
	byoh_report_line(session, "this host is given back as it was before %s %s:", session->state->name,
			 session->state->version ? session->state->version : "");
	for (size_t i = 0; i < session->plan->step_count; i++)
		byoh_report_line(session, "  %s", session->plan->steps[i].sentence);
}

static int give_back(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_observer observer = byoh_report_observer(session);
	struct byoh_transaction_input input = {
		.plan_input = &session->plan_input,
		.plan = session->plan,
		.verb = "uninstall",
		.observer = &observer,
		.cancel = session->cancel,
		.leaves = true,
	};
	int r = byoh_transaction_run(&input, err);

	byoh_report_end_progress(session);
	/* The units that mend an interrupted run went last: systemd forgets them now. */
	if (r == 0 && session->host->systemd_running)
		(void)!byoh_run_simple(NULL, "systemctl", "daemon-reload", NULL);
	return r;
}

/* An empty one would give back nothing, and say that all is as it was. */
static int check_ledger(const struct byoh_session *session, struct byoh_error *err)
{
	if (!session->state->release_id || byoh_exists_beneath(session->host->root_fd, BYOH_LEDGER_PATH))
		return 0;
	(void)!byoh_fail(err, BYOH_ERROR_SYSTEM, ENOENT, BYOH_LEDGER_PATH " is lost");
	byoh_ledger_remedy(err);
	return -ENOENT;
}

static int make_plan(struct byoh_session *session, struct kept *kept, struct byoh_error *err)
{
	struct byoh_restore_input restore = { .host = session->host, .keep_data = session->options.keep_data,
					      .note = note_kept, .context = kept };
	int r = check_ledger(session, err);

	if (r == 0)
		r = byoh_ledger_read(session->host, &session->ledger, err);
	restore.ledger = session->ledger;
	if (r == 0)
		r = byoh_restore_all(&restore, &session->plan, err);
	session->plan_input = (struct byoh_plan_input){ .host = session->host, .ledger = session->ledger };
	return r < 0 ? r : byoh_plan_check(session->plan, &session->plan_input, &session->changes, err);
}

static int uninstall(struct byoh_session *session, struct kept *kept, struct byoh_error *err)
{
	const char *message = NULL, *until_boot;
	struct timespec start;
	int r = make_plan(session, kept, err);

	if (r < 0)
		return r;
	show_plan(session);
	r = byoh_session_confirm(session, "Give this host back?", err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_MONOTONIC, &start);
	r = give_back(session, err);
	if (r < 0)
		return r;
	while ((message = next_kept(kept, message)))
		byoh_report_warning("%s", message);
	byoh_report_line(session, "done: the host is as it was%s, %.1f s",
			 kept->messages.size ? " but for these" : "", byoh_seconds_since(&start));
	until_boot = byoh_leave_until_boot(session->ledger);
	if (until_boot && session->host->live)
		byoh_report_line(session, "%s", until_boot);
	return tell_json(session, kept, "uninstalled", err);
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	struct kept kept = {{0}};
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r < 0)
		return r;
	if (!session->state) {
		byoh_report_line(session, "nothing to do: no release is installed here");
		return tell_json(session, &kept, "unchanged", err);
	}
	r = uninstall(session, &kept, err);
	byoh_buffer_release(&kept.messages);
	return r;
}

const struct byoh_verb byoh_verb_uninstall = {
	"uninstall", "[--yes] [--keep-data]",
	"Give the host back as it was: files, modules, kernel parameters, swap and services.",
	" keep-data ", 0, run,
};
