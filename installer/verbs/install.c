/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "installer/integrity.h"
#include "installer/join-answer.h"
#include "installer/preflight/elf.h"
#include "installer/report.h"
#include "installer/steps/drain.h"
#include "installer/steps/node-state.h"
#include "installer/verbs/verbs.h"

#define PLAN_MAX ((size_t)16 << 20)

static int check_host(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;
	int r = byoh_preflight_run(&session->plan_input, session->options.ignored_preflight,
				   session->state != NULL, &preflight, err);

	if (r < 0)
		return r;
	if (!session->options.quiet || preflight->failed)
		byoh_report_preflight(preflight, session->options.verbose, stderr);
	if (preflight->failed)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
				 "%zu of the checks failed and nothing was changed; mend them, or go on with "
				 "--ignore-preflight-errors ID,...",
				 preflight->failed);
	return 0;
}

/* The lock made the folder that it lies in: to the plan, which was made without one, it was absent. */
static void look_past_lock(struct byoh_session *session)
{
	if (!session->lock || !byoh_host_lock_made_home(session->lock))
		return;
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++)
			if (step->actions[k].kind == BYOH_ACTION_DIRECTORY &&
			    strcmp(step->actions[k].subject, BYOH_HOME) == 0)
				step->actions[k].state = BYOH_STATE_ABSENT;
	}
}

/* The plan that the operator approved is the plan that is carried out, or nothing is. */
static int check_approved_plan(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer approved = {0}, made = {0};
	int r;

	if (!session->options.plan)
		return 0;
	look_past_lock(session);
	r = byoh_read_named_file(session->options.plan, PLAN_MAX, &approved, err);
	if (r == 0)
		r = byoh_plan_json(session->plan, &session->plan_input, &made, err);
	if (r < 0)
		return r;
	if (approved.size != made.size || memcmp(approved.data, made.data, made.size) != 0)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE,
				 "%s: host, bundle or configuration are not what they were when this plan was "
				 "made; look at the difference with `plan --json`, and approve a new one",
				 session->options.plan);
	return 0;
}

static const char *result_word(const struct byoh_session *session)
{
	static const char *const words[][2] = { { "repair", "repaired" }, { "rollback", "rolledBack" } };

	if (!session->changes)
		return "unchanged";
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(session->verb, words[i][0]) == 0)
			return words[i][1];
	return "installed";
}

/* Why it has not joined, by name and by what to do. */
static int add_join(const struct byoh_join_look *look, struct byoh_json *json, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer sentence = {0}, command = {0};
	int r = byoh_join_sentence(look, &sentence, err);

	if (r == 0)
		r = byoh_join_approve_command(look, &command, err);
	if (r < 0)
		return r;
	byoh_json_field_string(json, "joinReason", byoh_join_reason_word(look->reason));
	byoh_json_field_string(json, "joinText", byoh_buffer_text(&sentence));
	byoh_json_field_string(json, "csr", look->csr.name[0] ? look->csr.name : NULL);
	byoh_json_field_string(json, "approve", command.size ? command.data : NULL);
	return 0;
}

static int tell_json(const struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_json json = byoh_json_to(&text);
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	byoh_digest_hex(byoh_bundle_id(session->bundle), hex);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "result", result_word(session));
	byoh_json_field_u64(&json, "changes", session->changes);
	byoh_json_field_string(&json, "id", hex);
	byoh_json_field_string(&json, "name", session->plan_input.manifest->name);
	byoh_json_field_string(&json, "version", session->plan_input.manifest->version);
	byoh_json_field_string(&json, "join", byoh_join_outcome(session));
	byoh_json_field_string(&json, "joinCause", session->join.cause[0] ? session->join.cause : NULL);
	byoh_json_field_string(&json, "joinRemedy", session->join.remedy[0] ? session->join.remedy : NULL);
	if (session->join_look) {
		r = add_join(session->join_look, &json, err);
		if (r < 0)
			return r;
	}
	byoh_json_field_bool(&json, "rebootRequired", false);
	byoh_json_field_bool(&json, "atBoot", !session->host->live);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static void tell_join(const struct byoh_session *session)
{
	if (!session->host->live)
		byoh_report_line(session, "services start and images are imported at the first boot of %s",
				 session->host->root);
	else if (session->config->join_mode != BYOH_JOIN_KUBEADM && session->config->cluster.token &&
		 !session->config->cluster.ca.size)
		byoh_report_line(session, "join: pending; `byoh-install install` finds the cluster's CA once %s is "
					  "reached", session->config->cluster.server);
	else if (strcmp(byoh_join_outcome(session), "pending") == 0 && !session->config->cluster.token)
		byoh_report_line(session, "join: pending; bring the token with `byoh-install join --token-file "
					  "FILE`, or --kubeconfig FILE");
	else if (session->config->join_mode == BYOH_JOIN_AGENT)
		byoh_report_line(session, "the agent registers this host now; the management cluster has to "
					  "approve the request byoh-csr-%s", session->host->hostname);
	else if (session->config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP &&
		 !byoh_kubelet_has_certificate(session->host))
		byoh_report_line(session, "the kubelet asks %s for its certificate now",
				 session->config->cluster.server);
}

double byoh_seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* A program whose libraries the host lacks would only be noticed when its service fails. */
static int check_program(void *context, int root_fd, const char *staged_path, const struct byoh_file *file,
			 struct byoh_error *err)
{
	const struct byoh_session *session = context;
	CLEANUP_BUFFER struct byoh_buffer missing = {0};
	int r;

	if (!session->host->live || !(file->mode & 0111) ||
	    byoh_preflight_is_ignored(session->options.ignored_preflight, BYOH_CHECK_ELF_NEEDS))
		return 0;
	r = byoh_preflight_elf(root_fd, staged_path, &missing, err);
	if (r < 0 || !missing.size)
		return r;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOENT,
			 "/%s needs what this host does not have: %s; nothing was changed: install the packages "
			 "that hold it, or use a bundle that brings it (check \"%s\")",
			 file->path, byoh_buffer_text(&missing), BYOH_CHECK_ELF_NEEDS);
}

static int change_now(struct byoh_session *session, const char *verb, struct byoh_error *err)
{
	struct byoh_observer observer = byoh_report_observer(session);
	struct byoh_transaction_input input = {
		.plan_input = &session->plan_input,
		.plan = session->plan,
		.bundle = session->bundle,
		.verb = verb,
		.ignored_preflight = session->options.ignored_preflight,
		.observer = &observer,
		.cancel = session->cancel,
		.staged = check_program,
		.staged_context = session,
		.renews_copy = session->renews_copy,
		.keeps_previous = strcmp(verb, "install") == 0 || strcmp(verb, "rollback") == 0,
	};
	struct timespec start;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &start);
	r = byoh_transaction_run(&input, err);
	byoh_report_end_progress(session);
	if (r < 0)
		return r;
	byoh_report_pins(session);
	byoh_report_line(session, "done: %s %s, %zu changes in %.1f s", session->plan_input.manifest->name,
			 session->plan_input.manifest->version, session->changes, byoh_seconds_since(&start));
	tell_join(session);
	return 0;
}

/* Whatever becomes of the run, who took the node out puts it back in. */
static int change_drained(struct byoh_session *session, const char *verb, const char *kubeconfig,
			  struct byoh_error *err)
{
	struct byoh_drain drain = { .host = session->host, .kubeconfig = kubeconfig, .cancel = session->cancel };
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r;

	byoh_report_line(session, "moving the pods of this node away");
	r = byoh_drain_begin(&drain, err);
	if (r == 0)
		r = change_now(session, verb, err);
	if (byoh_drain_end(&drain, &failure) < 0)
		byoh_report_warning("%s", failure.message);
	return r;
}

static int change_host(struct byoh_session *session, const char *verb, struct byoh_error *err)
{
	const char *named = session->options.drain_kubeconfig;
	CLEANUP_FREE char *kubeconfig = named ? realpath(named, NULL) : NULL;

	if (named && !kubeconfig)
		return byoh_fail(err, BYOH_ERROR_USAGE, errno, "--drain-kubeconfig %s: %s", named, strerror(errno));
	if (!session->options.drain || !session->host->live || !byoh_drain_is_node(session->host))
		return change_now(session, verb, err);
	return change_drained(session, verb, kubeconfig, err);
}

/* What repair works from may be lost or damaged, and here is a bundle to keep in its place. */
static int look_at_copy(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Verifying", session->options.quiet || session->options.json);
	struct byoh_progress progress = { byoh_bar_report, &bar, session->cancel };
	char hex[BYOH_DIGEST_HEX_SIZE];
	bool good = true;
	int r = 0;

	byoh_digest_hex(byoh_bundle_id(session->bundle), hex);
	if (!session->bundle_is_kept)
		r = byoh_integrity_has_bundle(session->host, hex, &progress, &good, err);
	byoh_bar_finish(&bar);
	session->renews_copy = !good;
	return r;
}

int byoh_carry_out_untold(struct byoh_session *session, const char *verb, bool *ret_changed, struct byoh_error *err)
{
	bool unsettled;
	int r = byoh_session_make_plan(session, err);

	if (r == 0)
		r = check_approved_plan(session, err);
	if (r == 0)
		r = look_at_copy(session, err);
	if (r < 0)
		return r;
	/* A boot may have found everything done by the host itself: then only the state is left to say so. */
	unsettled = (session->host->live && session->state && !session->state->settled) || session->renews_copy;
	*ret_changed = session->changes || unsettled;
	if (*ret_changed) {
		if (!session->options.quiet)
			byoh_report_plan(session, stderr);
		r = check_host(session, err);
		if (r == 0)
			r = change_host(session, verb, err);
	} else {
		byoh_report_line(session, "nothing to do: %s %s is installed as configured",
				 session->plan_input.manifest->name, session->plan_input.manifest->version);
	}
	if (r == 0 && strcmp(verb, "settle") != 0)
		byoh_follow_join(session);
	return r;
}

int byoh_carry_out_tell(struct byoh_session *session, bool changed, struct byoh_error *err)
{
	int r = tell_json(session, err);

	if (r == 0 || !changed)
		return r;
	/* The host has changed: no exit code may say otherwise. */
	clearerr(stdout);
	byoh_report_warning("%s", err->message);
	return 0;
}

int byoh_carry_out(struct byoh_session *session, const char *verb, struct byoh_error *err)
{
	bool changed = false;
	int r = byoh_carry_out_untold(session, verb, &changed, err);

	return r < 0 || !session->options.json ? r : byoh_carry_out_tell(session, changed, err);
}

static int check_options(const struct byoh_options *options, struct byoh_error *err)
{
	if (options->drain && options->drained)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--drain and --drained exclude each other");
	if (options->drain_kubeconfig && !options->drain)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--drain-kubeconfig belongs to --drain");
	return 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	int r = check_options(&session->options, err);

	if (r == 0)
		r = byoh_session_enter_host(session, err);
	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r == 0)
		r = byoh_session_open_bundle(session, NULL, err);
	if (r == 0)
		r = byoh_session_load_config(session, err);
	if (r == 0)
		r = byoh_session_find_ca(session, false, err);
	return r < 0 ? r : byoh_carry_out(session, "install", err);
}

const struct byoh_verb byoh_verb_install = {
	"install",
	"[--from FILE|DIR|URL]... [--plan FILE] [--drain [--drain-kubeconfig FILE]|--drained] [--allow-downgrade] "
	"[--adopt-node] [--ignore-preflight-errors ID,...]",
	"Check the host, unpack, configure and start. Run again, it says that there is nothing to do.",
	" from mirror-ca plan drain drained drain-kubeconfig allow-downgrade adopt-node ignore-preflight-errors ", 0, run,
};
