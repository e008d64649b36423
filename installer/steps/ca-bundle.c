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
#include "installer/ca-list.h"
#include "installer/run.h"
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

/*
 * The guard: byoh-ca-guard.path waits for a write to the trust store, and for the cluster's CA, which the agent
 * may write later.
 */

static const char guard_path_unit[] =
	"[Unit]\n"
	"Description=Watch for the agent's replacing of the system's CA certificates\n"
	"Documentation=man:byoh-install(8)\n"
	"\n"
	"[Path]\n"
	"PathChanged=" BUNDLE "\n"
	"PathChanged=" BYOH_KUBERNETES_CA "\n"
	"Unit=byoh-ca-guard.service\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

/* Its own write is one more change, which it then finds nothing to do about. */
static const char guard_service_unit[] =
	"[Unit]\n"
	"Description=Put the system's CA certificates back beside the cluster's\n"
	"Documentation=man:byoh-install(8)\n"
	"StartLimitIntervalSec=0\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"ExecStart=" BYOH_BIN_TOOL " settle --ca-bundle\n";

static bool is_guarded(const struct byoh_plan_input *input)
{
	return input->config->join_mode == BYOH_JOIN_AGENT && byoh_steps_brings(input, BYOH_BIN_AGENT) &&
	       byoh_steps_brings(input, BYOH_BIN_TOOL);
}

/* Before the agent starts, which may replace them at once. */
int byoh_step_start_guard(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	static const char *const restart_on[] = { BYOH_UNIT_DIR "/" BYOH_CA_GUARD_UNIT, NULL };
	int rc;

	if (!is_guarded(input))
		return 0;
	rc = byoh_step_unit(step, BYOH_CA_GUARD_UNIT, true, restart_on, err);
	return rc ? rc : byoh_step_sentence(step, err, "Watch the system's CA certificates");
}

int byoh_step_ca_guard(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int rc;

	if (!is_guarded(input))
		return 0;
	rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/byoh-ca-guard.service", 0644, guard_service_unit, err);
	if (!rc)
		rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" BYOH_CA_GUARD_UNIT, 0644, guard_path_unit, err);
	if (!rc)
		rc = byoh_steps_enable(step, BYOH_CA_GUARD_UNIT, err);
	return rc ? rc : byoh_step_sentence(step, err, "Guard the system's CA certificates against the agent");
}

/* Adds what a file or the configuration knows of the cluster's CA. */
static void add_list(const struct byoh_buffer *pem, struct byoh_ca_list *list)
{
	struct byoh_ca_list more;

	if (!pem->size || byoh_ca_list_read(pem->data, pem->size, &more, NULL) < 0)
		return;
	for (size_t i = 0; i < more.count && list->count < BYOH_CA_LIST_MAX; i++)
		list->digests[list->count++] = more.digests[i];
}

/* Nothing but certificates of the cluster: what the agent writes, and hardly ever what a person would. */
static bool is_agents_work(const struct byoh_host *host, const struct byoh_config *config,
			   const struct byoh_buffer *current)
{
	CLEANUP_BUFFER struct byoh_buffer placed = { 0 };
	struct byoh_ca_list cluster = { 0 }, found;

	add_list(&config->cluster.ca, &cluster);
	if (read_text(host, BYOH_KUBERNETES_CA, &placed) == 0)
		add_list(&placed, &cluster);
	if (byoh_ca_list_read(byoh_buffer_text(current), current->size, &found, NULL) < 0 || !found.count)
		return false;
	for (size_t i = 0; i < found.count; i++)
		if (!byoh_ca_list_holds(&cluster, &found.digests[i]))
			return false;
	return true;
}

/* The distribution's own tool knows the certificates of today; the copy those of the first installation. */
static int read_base(const struct byoh_host *host, const struct byoh_buffer *kept, struct byoh_buffer *ret,
		     struct byoh_error *err)
{
	if (host->live && byoh_host_has_program(host, "update-ca-certificates") &&
	    byoh_run_simple(NULL, "update-ca-certificates", NULL) == 0 && read_text(host, BUNDLE, ret) == 0 &&
	    !byoh_ca_bundle_is_replaced(kept, ret))
		return 0;
	ret->size = 0;
	return byoh_buffer_add(ret, kept->data, kept->size, err);
}

int byoh_ca_bundle_guard(const struct byoh_host *host, const struct byoh_config *config, bool *ret_mended,
			 struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer kept = { 0 }, current = { 0 }, base = { 0 }, both = { 0 };
	struct stat st;
	int rc;

	*ret_mended = false;
	/* Where it is a link, another tool makes the file behind it. */
	if (byoh_stat_beneath(host->root_fd, BUNDLE, &st, NULL) < 0 || !S_ISREG(st.st_mode) ||
	    !read_both(host, &kept, &current) || !byoh_ca_bundle_is_replaced(&kept, &current) ||
	    !is_agents_work(host, config, &current))
		return 0;
	rc = read_base(host, &kept, &base, err);
	if (!rc)
		rc = merge(&base, &current, &both, err);
	if (!rc)
		rc = byoh_write_file(host->root_fd, BUNDLE, both.data, both.size, st.st_mode & 07777, err);
	*ret_mended = rc == 0;
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
