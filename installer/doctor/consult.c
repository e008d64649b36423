/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/doctor/consult.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/gather.h"
#include "installer/report.h"

void byoh_consultation_release(struct byoh_consultation *consultation)
{
	byoh_evidence_release(&consultation->evidence);
	free(consultation->diagnosis);
	free(consultation->transaction);
	free(consultation->release_fault);
}

static int keep(const struct byoh_error *cause, char **ret, struct byoh_error *err)
{
	*ret = strdup(cause->message);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* As every verb does; here one that cannot be settled is what is looked for. */
static int settle(struct byoh_session *session, struct byoh_consultation *ret,
		  struct byoh_error *err)
{
	struct byoh_error cause = BYOH_ERROR_INIT;
	int r = byoh_session_settle_host(session, &cause);

	return r < 0 ? keep(&cause, &ret->transaction, err) : 0;
}

static int compare(struct byoh_session *session, struct byoh_consultation *ret,
		   struct byoh_error *err)
{
	struct byoh_error cause = BYOH_ERROR_INIT;
	int r = byoh_session_open_installed(session, &cause);

	session->looks_only = true;
	/* The configuration says more than the bundle, and does not need it. */
	if (byoh_session_load_kept_config(session, false, r < 0 ? NULL : &cause) < 0 && r == 0)
		r = -EBADMSG;
	if (r == 0)
		r = byoh_session_make_plan(session, &cause);
	if (r < 0)
		return keep(&cause, &ret->release_fault, err);
	byoh_report_ask_images(session);
	return 0;
}

static int look(struct byoh_session *session, struct byoh_consultation *ret, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *fallback = NULL;
	int r = session->config ? 0 : byoh_config_default(&fallback, err);

	if (r == 0)
		r = byoh_node_look(session->host, session->config ? session->config : fallback,
				   &ret->node, err);
	if (r == 0 && session->plan && !ret->release_fault)
		byoh_node_excuse(&ret->node, session->plan);
	return r;
}

int byoh_consult(struct byoh_session *session, struct byoh_consultation *ret,
		 struct byoh_error *err)
{
	struct byoh_gather_input input = { .host = session->host, .node = &ret->node };
	int r = settle(session, ret, err);

	if (r == 0 && session->state && session->state->release_id)
		r = compare(session, ret, err);
	if (r == 0)
		r = look(session, ret, err);
	if (r < 0)
		return r;
	input.config = session->config;
	input.state = session->state;
	input.plan = ret->release_fault ? NULL : session->plan;
	input.images_unknown = session->images_unknown;
	input.transaction = ret->transaction;
	input.release_fault = ret->release_fault;
	r = byoh_evidence_gather(&input, &ret->evidence, err);
	if (r < 0)
		return r;
	ret->diagnosis = malloc(sizeof(*ret->diagnosis));
	if (!ret->diagnosis)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_diagnose(&ret->evidence, ret->diagnosis);
	return 0;
}
