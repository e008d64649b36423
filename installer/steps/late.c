/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/late.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/ca-list.h"
#include "installer/credentials.h"
#include "installer/restore.h"
#include "installer/steps/steps-internal.h"

#define FILE_MAX ((size_t)8 << 20)
#define CURRENT_CLIENT "/var/lib/kubelet/pki/kubelet-client-current.pem"

/* Where a cluster's CA comes to stand: kubeconfigs and CA files of ours, of the agent, kubeadm, the kubelet, and the
 * system's trust. Certificates for registries are others' business, even if one CA signs both. */
static const struct {
	const char *path;
	unsigned int depth; /* of folders below */
} places[] = {
	{ "/etc/kubernetes", 3 },
	{ "/etc/byoh", 0 },
	{ BYOH_AGENT_FOLDER, 0 },
	{ "/var/lib/kubelet", 0 },
	{ "/var/lib/kube-proxy", 1 },
	{ "/etc/ssl/certs/ca-certificates.crt", 0 },
	{ "/usr/local/share/ca-certificates", 1 },
	{ "/etc/pki/ca-trust/source/anchors", 0 },
};

/* Who reads such a file when it starts. */
static const struct {
	const char *unit, *readers_of[4];
} readers[] = {
	{ "kubelet.service", { BYOH_KUBELET_KUBECONFIG, BYOH_KUBERNETES_CA, CURRENT_CLIENT, NULL } },
	{ "kube-proxy.service", { BYOH_KUBE_PROXY_KUBECONFIG, BYOH_KUBELET_KUBECONFIG, NULL } },
	{ "byoh-hostagent.service", { BYOH_AGENT_CONFIG, NULL } },
};

struct search {
	const struct byoh_plan_input *input;
	const struct byoh_plan *plan;
	struct byoh_step *step;
	char path[BYOH_PATH_MAX];
	unsigned int depth;
};

static bool is_planned(const struct byoh_plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t k = 0; k < plan->steps[i].action_count; k++)
			if (strcmp(plan->steps[i].actions[k].subject, path) == 0)
				return true;
	return false;
}

/* A copy that somebody keeps on purpose. */
static bool is_copy(const char *path)
{
	static const char *const marks[] = { ".byoh-saved", ".byoh-before", ".bak", ".old", ".orig", "~" };
	size_t length = strlen(path);

	if (strstr(path, ".byoh-saved"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (length > strlen(marks[i]) && strcmp(path + length - strlen(marks[i]), marks[i]) == 0)
			return true;
	return false;
}

static int exchange_file(struct search *search, const struct stat *st, struct byoh_error *err)
{
	const struct byoh_plan_input *input = search->input;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 }, other = { 0 };
	struct byoh_action *action;
	bool changed;
	int rc;

	if ((uint64_t)st->st_size > FILE_MAX || is_copy(search->path) || is_planned(search->plan, search->path) ||
	    byoh_ledger_find(input->ledger, BYOH_ACTION_FILE, search->path))
		return 0;
	rc = byoh_read_file(input->host->root_fd, search->path, FILE_MAX, &text, err);
	if (rc == 0)
		rc = byoh_ca_exchange(byoh_buffer_text(&text), text.size, &input->config->cluster.old_ca,
				      &input->config->cluster.ca, &other, &changed, err);
	if (rc < 0 || !changed)
		return rc;
	rc = byoh_step_file(search->step, search->path, st->st_mode & 07777, byoh_buffer_text(&other), other.size,
			    &action, err);
	if (rc == 0)
		action->secret = action->gives_back = true;
	return rc;
}

static int look_below(void *context, const char *name, struct byoh_error *err);

/* Links are not followed: the file behind one is found where it lies, or is another tool's. */
static int look_at(struct search *search, struct byoh_error *err)
{
	struct stat st;
	int rc;

	if (byoh_stat_beneath(search->input->host->root_fd, search->path, &st, NULL) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return exchange_file(search, &st, err);
	if (!S_ISDIR(st.st_mode))
		return 0;
	rc = byoh_each_name(search->input->host->root_fd, search->path, look_below, search, err);
	return rc;
}

static int look_below(void *context, const char *name, struct byoh_error *err)
{
	struct search *search = context;
	size_t length = strlen(search->path);
	struct stat st;
	int rc = 0;

	if (snprintf(search->path + length, sizeof(search->path) - length, "/%s", name) >=
	    (int)(sizeof(search->path) - length))
		goto out;
	if (byoh_stat_beneath(search->input->host->root_fd, search->path, &st, NULL) < 0 ||
	    (S_ISDIR(st.st_mode) && !search->depth))
		goto out;
	search->depth -= S_ISDIR(st.st_mode);
	rc = look_at(search, err);
	search->depth += S_ISDIR(st.st_mode);
out:
	search->path[length] = '\0';
	return rc;
}

static int exchange_ca(const struct byoh_plan_input *input, const struct byoh_plan *plan, struct byoh_step *step,
		       struct byoh_error *err)
{
	struct search search = { .input = input, .plan = plan, .step = step };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places) && rc == 0; i++) {
		snprintf(search.path, sizeof(search.path), "%s", places[i].path);
		search.depth = places[i].depth;
		rc = look_at(&search, err);
	}
	return rc < 0 || !step->action_count ? rc : byoh_step_sentence(step, err, "Put the new CA in place of the old "
								       "one in %zu files of others", step->action_count);
}

/*
 * Anew
 */

static int put_aside(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		     struct byoh_error *err)
{
	char name[BYOH_PATH_MAX];
	struct stat st;
	int rc = byoh_stat_beneath(input->host->root_fd, path, &st, NULL);

	if (rc < 0)
		return 0;
	/* The file behind a link stays where it is. */
	rc = S_ISREG(st.st_mode) ? byoh_restore_saved_name(input->host, path, name, err) : 0;
	if (rc == 0 && S_ISREG(st.st_mode) && name[0])
		rc = byoh_step_other(step, BYOH_ACTION_SAVE, name, path, NULL, err);
	if (rc == 0)
		rc = byoh_step_remove(step, path, err);
	if (rc == 0)
		step->actions[step->action_count - 1].gives_back = true;
	return rc;
}

static int forget_credentials(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	bool agent = input->config->join_mode == BYOH_JOIN_AGENT;
	int rc;

	if (input->config->join_mode == BYOH_JOIN_KUBEADM)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOTSUP,
				 "--again is for the join modes agent and tlsBootstrap; what kubeadm has joined it joins anew "
				 "after `kubeadm reset`");
	if (!byoh_steps_can_join(input))
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
				 "there is no token to ask anew with; bring one: `join --again --token-file FILE`");
	if (agent)
		rc = put_aside(input, step, BYOH_AGENT_CONFIG, err);
	else
		rc = put_aside(input, step, BYOH_KUBELET_KUBECONFIG, err);
	if (rc == 0 && !agent)
		rc = put_aside(input, step, CURRENT_CLIENT, err);
	return rc < 0 || !step->action_count ? rc : byoh_step_sentence(step, err, "Put the %s's credentials aside, so that "
								       "it asks anew", agent ? "agent" : "kubelet");
}

/*
 * Who has to read it
 */

static int add_reason(struct byoh_action *unit, const char *path, struct byoh_error *err)
{
	size_t count = 0;
	char **list;

	while (unit->restart_on && unit->restart_on[count])
		count++;
	list = reallocarray(unit->restart_on, count + 2, sizeof(*list));
	if (!list)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	unit->restart_on = list;
	list[count] = strdup(path);
	list[count + 1] = NULL;
	return list[count] ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static struct byoh_action *find_unit(struct byoh_plan *plan, const char *unit)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t k = 0; k < plan->steps[i].action_count; k++)
			if (plan->steps[i].actions[k].kind == BYOH_ACTION_UNIT &&
			    strcmp(plan->steps[i].actions[k].subject, unit) == 0)
				return &plan->steps[i].actions[k];
	return NULL;
}

static bool changes(const struct byoh_step *step, const char *path)
{
	for (size_t i = 0; i < step->action_count; i++)
		if (strcmp(step->actions[i].subject, path) == 0)
			return true;
	return false;
}

/* In join modes where others start the services the plan names none of them. */
static int add_unit(const struct byoh_plan_input *input, struct byoh_plan *plan, const char *unit, struct byoh_error *err)
{
	struct byoh_step step = { .name = "readers" };
	int rc;

	if (!byoh_steps_unit_exists(input->host, unit))
		return 0;
	rc = byoh_step_unit(&step, unit, true, NULL, err);
	if (rc == 0)
		rc = byoh_step_sentence(&step, err, "Restart %s, which reads what has changed", unit);
	if (rc == 0)
		return byoh_plan_add(plan, &step, err);
	byoh_step_release(&step);
	return rc;
}

static int let_read(const struct byoh_plan_input *input, struct byoh_plan *plan, const struct byoh_step *step,
		    struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		for (const char *const *path = readers[i].readers_of; *path && rc == 0; path++) {
			if (!changes(step, *path))
				continue;
			if (!find_unit(plan, readers[i].unit))
				rc = add_unit(input, plan, readers[i].unit, err);
			if (rc == 0 && find_unit(plan, readers[i].unit))
				rc = add_reason(find_unit(plan, readers[i].unit), *path, err);
		}
	}
	return rc;
}

static int add(const struct byoh_plan_input *input, struct byoh_plan *plan, struct byoh_step *step, int rc,
	       struct byoh_error *err)
{
	if (rc == 0)
		rc = let_read(input, plan, step, err);
	if (rc == 0)
		return byoh_plan_add_early(plan, step, err);
	byoh_step_release(step);
	return rc;
}

int byoh_late_complete(const struct byoh_plan_input *input, bool anew, struct byoh_plan *plan, struct byoh_error *err)
{
	struct byoh_step exchange = { .name = "ca-exchange" }, forget = { .name = "ask-anew" };
	int rc = 0;

	if (anew)
		rc = add(input, plan, &forget, forget_credentials(input, &forget, err), err);
	if (rc == 0 && input->config->cluster.old_ca.size)
		rc = add(input, plan, &exchange, exchange_ca(input, plan, &exchange, err), err);
	return rc;
}
