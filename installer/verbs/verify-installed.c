/* SPDX-License-Identifier: Apache-2.0 */
/* verify --installed: every byte that the installed release has put on the host, and every byte that repair,
 * rollback and uninstall would take to mend it. */
#include <errno.h>
#include <stdio.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/integrity.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

#define EXIT_DAMAGED 3
#define EXIT_DRIFT 7

static int open_release(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_session_settle_host(session, err);
	if (r == 0)
		r = byoh_session_open_installed(session, err);
	if (r == -ENOENT && session->state && session->state->release_id)
		err->kind = BYOH_ERROR_FORMAT; /* nothing can be mended without it */
	return r < 0 ? r : byoh_session_load_kept_config(session, false, err);
}

static int read_files(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_node_state state;
	int r;

	session->thorough = session->looks_only = true;
	r = byoh_session_make_plan(session, err);
	if (r < 0)
		return r;
	byoh_report_ask_images(session);
	r = byoh_node_look(session->host, session->config, &state, err);
	if (r == 0)
		byoh_node_excuse(&state, session->plan);
	return r;
}

static int read_kept(struct byoh_session *session, struct byoh_integrity *kept, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Verifying", session->options.quiet || session->options.json);
	struct byoh_progress progress = { byoh_bar_report, &bar, session->cancel };
	int r = byoh_integrity_open(session->host, kept, err);

	if (r == 0)
		r = byoh_integrity_check_bundles(kept, &progress, err);
	byoh_bar_finish(&bar);
	return r < 0 ? r : byoh_integrity_check_images(kept, session->host, session->ledger, err);
}

static const char *result_word(const struct byoh_integrity *kept, const struct byoh_plan_verdict *verdict)
{
	return kept->damage_count ? "damaged" : verdict->drifted ? "drift" : "good";
}

static int tell_json(const struct byoh_session *session, const struct byoh_integrity *kept,
		     struct byoh_plan_verdict *verdict, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, drift = { 0 };
	struct byoh_json json = byoh_json_to(&text), unused = byoh_json_to(&drift);
	int r;

	/* The result comes first, and is known when the drift has been counted. */
	byoh_report_drift_json(session, &unused, verdict);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "result", result_word(kept, verdict));
	byoh_json_field_string(&json, "id", session->state->release_id);
	byoh_json_field_string(&json, "name", session->state->name);
	byoh_json_field_string(&json, "version", session->state->version);
	byoh_json_field_u64(&json, "fileBytes", byoh_plan_bytes(session->plan));
	byoh_json_field_u64(&json, "bundles", kept->bundle_count);
	byoh_json_field_u64(&json, "bundleBytes", kept->bytes);
	byoh_json_key(&json, "drift");
	byoh_report_drift_json(session, &json, verdict);
	byoh_json_key(&json, "damaged");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < kept->damage_count; i++) {
		byoh_json_begin_object(&json);
		byoh_json_field_string(&json, "path", kept->damages[i].path);
		byoh_json_field_string(&json, "reason", kept->damages[i].reason);
		byoh_json_end_object(&json);
	}
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static void tell(const struct byoh_session *session, const struct byoh_integrity *kept,
		 struct byoh_plan_verdict *verdict)
{
	char files[32], bundles[32];

	*verdict = byoh_report_drift(session, stdout);
	for (size_t i = 0; i < kept->damage_count; i++)
		printf("damaged: %s: %s\n", kept->damages[i].path, kept->damages[i].reason);
	if (kept->damage_count)
		puts("what is kept here cannot mend this host any more: install the release again from its medium, "
		     "with --from FILE");
	else if (verdict->drifted)
		puts("`byoh-install repair` brings it back");
	printf("read %s of files and %s in %zu kept bundles\n",
	       byoh_format_size(byoh_plan_bytes(session->plan), files), byoh_format_size(kept->bytes, bundles),
	       kept->bundle_count);
	if (!kept->damage_count && !verdict->drifted)
		printf("good: %s %s\n", session->state->name, session->state->version ? session->state->version : "");
}

static int judge(struct byoh_session *session, const struct byoh_integrity *kept, struct byoh_error *err)
{
	struct byoh_plan_verdict verdict;
	int r = 0;

	if (session->options.json)
		r = tell_json(session, kept, &verdict, err);
	else
		tell(session, kept, &verdict);
	if (r < 0)
		return r;
	return kept->damage_count ? EXIT_DAMAGED : verdict.drifted ? EXIT_DRIFT : 0;
}

int byoh_verify_installed(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(byoh_integrity_release) struct byoh_integrity kept = { 0 };
	int r = open_release(session, err);

	if (r == 0)
		r = read_files(session, err);
	if (r == 0)
		r = read_kept(session, &kept, err);
	return r < 0 ? r : judge(session, &kept, err);
}
