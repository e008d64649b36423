/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/report.h"
#include "installer/run.h"
#include "installer/verbs/verbs.h"

static int open_previous(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_STATE struct byoh_state *previous = NULL;
	int r = byoh_state_read_previous(session->host, &previous, err);

	if (r < 0)
		return r;
	if (!session->state || !session->state->release_id)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "no release is installed here");
	if (!previous || !previous->release_id)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT,
				 "there is no release before %s %s on this host to go back to",
				 session->state->name, session->state->version);
	return byoh_session_open_release(session, previous->release_id, err);
}

static void tell_epoch(const struct byoh_session *session)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(session->bundle);
	uint64_t floor = byoh_state_floor(session->state, manifest->name);

	if (manifest->epoch < floor)
		byoh_report_warning("%s %s has epoch %llu, below this host's floor %llu: allowed for the release "
				    "that was kept, and the floor stays", manifest->name, manifest->version,
				    (unsigned long long)manifest->epoch, (unsigned long long)floor);
}

/* Asks no drain of who needs the old release now, but does not hide what it means. */
static void tell_minor(const struct byoh_session *session)
{
	const char *from = session->state->kubernetes;
	const char *to = byoh_bundle_manifest(session->bundle)->kubernetes;
	enum byoh_kubernetes_change change;

	if (byoh_kubernetes_change(from, to, &change, NULL) == 0 && change >= BYOH_KUBERNETES_MINOR)
		byoh_report_warning("Kubernetes %s -> %s crosses a minor release, under living pods unless the node "
				    "is drained", from, to);
}

/* Does another version of this tool come back with the release? */
static bool brings_other_tool(const struct byoh_session *session)
{
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; strcmp(step->name, "tool") == 0 && k < step->action_count; k++)
			if (step->actions[k].kind == BYOH_ACTION_FILE && byoh_action_is_change(&step->actions[k]))
				return true;
	}
	return false;
}

/* The texts that this tool writes are not those of the release's own, which knows them. It is started by systemd
 * on a live host: what we start ourselves would have no network to ask the kernel about. */
static int hand_over(struct byoh_session *session, struct byoh_error *err)
{
	const char *root = session->options.root;
	CLEANUP_FREE char *tool = NULL;
	int r;

	if (asprintf(&tool, "%s/" BYOH_EXECUTABLE_PATH, root ? root : "") < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_host_lock_free(TAKE_PTR(session->lock));
	if (root)
		r = byoh_run_simple(err, tool, "repair", "--quiet", "--root", root, NULL);
	else
		r = byoh_run_simple(err, "systemd-run", "--wait", "--pipe", "--quiet", "--collect", tool, "repair",
				    "--quiet", NULL);
	return r < 0 ? byoh_error_wrap(err, r, "the release is back, but its own tool could not write its texts") :
		       0;
}

static void let_own_tool_finish(struct byoh_session *session)
{
	struct byoh_error failure = BYOH_ERROR_INIT;

	if (session->changes && brings_other_tool(session) && hand_over(session, &failure) < 0)
		byoh_report_warning("%s; `byoh-install repair` does it", failure.message);
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_manifest *manifest;
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r == 0)
		r = open_previous(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, true, err);
	if (r < 0)
		return r;
	session->goes_back = true;
	manifest = byoh_bundle_manifest(session->bundle);
	byoh_report_line(session, "from %s %s back to %s %s and its configuration", session->state->name,
			 session->state->version, manifest->name, manifest->version);
	tell_epoch(session);
	tell_minor(session);
	r = byoh_session_confirm(session, "Go back?", err);
	if (r == 0)
		r = byoh_carry_out(session, "rollback", err);
	if (r == 0)
		let_own_tool_finish(session);
	return r;
}

const struct byoh_verb byoh_verb_rollback = {
	"rollback", "[--yes] [--drain [--drain-kubeconfig FILE]]", "Go back to the release before, its configuration included, without the medium.",
	" drain drain-kubeconfig ignore-preflight-errors ", 0, run,
};
