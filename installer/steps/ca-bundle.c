/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's trust store. The agent writes the cluster's CA over it when a cluster claims the host, in place:
 * with that goes the trust in registries, mirrors of packages and proxies. So a copy is kept, where the agent does
 * not get, and what was lost is put back beside the cluster's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/leave.h"
#include "installer/steps/node-state.h"
#include "installer/steps/steps-internal.h"

#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define KEPT "/var/lib/byoh/ca-certificates.crt"
#define MAX_SIZE ((size_t)8 << 20)
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

/* The next certificate of a text, from its first to its last line; NULL at the end. */
static const char *next_certificate(const char *text, size_t *ret_length)
{
	const char *begin = strstr(text, BEGIN);
	const char *end = begin ? strstr(begin, END) : NULL;

	if (!end)
		return NULL;
	*ret_length = (size_t)(end - begin) + strlen(END);
	return begin;
}

static bool holds(const struct byoh_buffer *text, const char *certificate, size_t length)
{
	return text->size && memmem(text->data, text->size, certificate, length);
}

bool byoh_ca_bundle_is_replaced(const struct byoh_buffer *kept, const struct byoh_buffer *current)
{
	size_t known = 0, left = 0, length;

	for (const char *at = byoh_buffer_text(kept); (at = next_certificate(at, &length)); at += length) {
		known++;
		left += holds(current, at, length);
	}
	/* An update of the distribution takes a few away, and adds some. */
	return known > 0 && 2 * left < known;
}

static int read_text(const struct byoh_host *host, const char *path, struct byoh_buffer *ret)
{
	return byoh_host_read(host->root_fd, path, MAX_SIZE, ret, NULL);
}

/* Both texts, if there are both. */
static bool read_both(const struct byoh_host *host, struct byoh_buffer *kept, struct byoh_buffer *current)
{
	return byoh_steps_exists(host, KEPT) && read_text(host, KEPT, kept) == 0 &&
	       read_text(host, BUNDLE, current) == 0;
}

const char *byoh_ca_bundle_state(const struct byoh_host *host)
{
	CLEANUP_BUFFER struct byoh_buffer kept = { 0 }, current = { 0 };

	if (!read_both(host, &kept, &current))
		return NULL;
	return byoh_ca_bundle_is_replaced(&kept, &current) ? "replaced" : "whole";
}

/* What was kept, and what only the new one has: the agent put it there on purpose. */
static int merge(const struct byoh_buffer *kept, const struct byoh_buffer *current, struct byoh_buffer *ret,
		 struct byoh_error *err)
{
	size_t length;
	int rc = byoh_buffer_add(ret, kept->data, kept->size, err);

	for (const char *at = byoh_buffer_text(current); !rc && (at = next_certificate(at, &length));
	     at += length)
		if (!holds(kept, at, length))
			rc = byoh_buffer_printf(ret, err, "%.*s\n", (int)length, at);
	return rc;
}

/* Part of the host, not of ours: it is not given back later as it is now. */
static int write_bundle(const struct byoh_host *host, const struct byoh_buffer *text, struct byoh_step *step,
			struct byoh_error *err)
{
	struct byoh_action *action;
	struct stat st;
	int rc;

	/* Where it is a link, another tool makes the file behind it. */
	if (byoh_stat_beneath(host->root_fd, BUNDLE, &st, NULL) < 0 || !S_ISREG(st.st_mode))
		return 0;
	rc = byoh_step_file(step, BUNDLE, 0644, text->data, text->size, &action, err);
	if (!rc)
		action->gives_back = true;
	return rc;
}

static int put_back(const struct byoh_host *host, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer kept = { 0 }, current = { 0 }, both = { 0 };
	int rc;

	if (!read_both(host, &kept, &current) || !byoh_ca_bundle_is_replaced(&kept, &current))
		return 0;
	rc = merge(&kept, &current, &both, err);
	return rc ? rc : write_bundle(host, &both, step, err);
}

int byoh_leave_ca_bundle(const struct byoh_host *host, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer kept = { 0 }, current = { 0 };

	if (!read_both(host, &kept, &current) || !byoh_ca_bundle_is_replaced(&kept, &current))
		return 0;
	return write_bundle(host, &kept, step, err);
}

/* Nothing but the cluster's CA, or nothing at all: an agent has been here before us. */
static bool is_worth_keeping(const struct byoh_buffer *text, const struct byoh_buffer *cluster_ca)
{
	size_t length;

	for (const char *at = byoh_buffer_text(text); (at = next_certificate(at, &length)); at += length)
		if (!holds(cluster_ca, at, length))
			return true;
	return false;
}

/* The copy is made once, before any agent runs here. A link to the file would be written through. */
static int keep(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	const struct byoh_host *host = input->host;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_action *action;
	int rc;

	if (read_text(host, byoh_steps_exists(host, KEPT) ? KEPT : BUNDLE, &text) < 0 ||
	    !is_worth_keeping(&text, &input->config->cluster.ca))
		return 0;
	rc = byoh_step_file(step, KEPT, 0600, text.data, text.size, &action, err);
	if (!rc)
		action->create_only = true;
	return rc;
}

int byoh_step_ca_bundle(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	size_t kept;
	int rc;

	if (input->config->join_mode != BYOH_JOIN_AGENT || !byoh_steps_brings(input, BYOH_BIN_AGENT))
		return 0;
	rc = keep(input, step, err);
	kept = step->action_count;
	if (!rc)
		rc = put_back(input->host, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, step->action_count > kept ?
					     "Put the system's CA certificates back beside the cluster's" :
					     "Keep a copy of the system's CA certificates");
}
