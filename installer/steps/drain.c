/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/drain.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubernetes-config.h"
#include "installer/run.h"
#include "installer/steps/node-state.h"

#define KUBECTL "/usr/local/bin/kubectl"
#define UNIT "byoh-kubectl"
#define DRAIN_SECONDS 600
#define SYSTEMD_WITH_COLLECT 236 /* systemd-run --pipe and --collect */

bool byoh_drain_is_node(const struct byoh_host *host)
{
	return byoh_kubelet_is_admitted(host);
}

/* As the kubelet names its node. */
static void node_name(const struct byoh_drain *drain, char ret[static 256])
{
	size_t i = 0;

	for (; drain->host->hostname[i] && i < 255; i++)
		ret[i] = (char)tolower((unsigned char)drain->host->hostname[i]);
	ret[i] = '\0';
}

void byoh_drain_command(const struct byoh_drain *drain, const char *const *words,
			const char *ret[static BYOH_DRAIN_ARGUMENTS])
{
	/* kubectl keeps what it discovers in its home, which goes with the unit. */
	static const char *const front[] = {
		"systemd-run", "--quiet", "--collect", "--wait", "--pipe", "--unit=" UNIT,
		"--property=RuntimeDirectory=" UNIT, "--setenv=HOME=/run/" UNIT, "--", KUBECTL,
		"--request-timeout=30s", "--kubeconfig",
	};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(front); i++)
		ret[count++] = front[i];
	ret[count++] = drain->kubeconfig ? drain->kubeconfig : BYOH_KUBELET_KUBECONFIG;
	while (*words && count < BYOH_DRAIN_ARGUMENTS - 1)
		ret[count++] = *words++;
	ret[count] = NULL;
}

static int kubectl(const struct byoh_drain *drain, const char *const *words, struct byoh_buffer *output,
		   struct byoh_error *err)
{
	const char *argv[BYOH_DRAIN_ARGUMENTS];
	const struct byoh_run run = { .argv = argv, .cancel = drain->cancel, .output = output,
				      .timeout_seconds = DRAIN_SECONDS + 60 };
	int r;

	byoh_drain_command(drain, words, argv);
	r = byoh_run_checked(&run, err);
	/* What was given up on goes on as a unit otherwise. */
	if (r < 0)
		(void)!byoh_run_simple(NULL, "systemctl", "stop", UNIT ".service", NULL);
	return r < 0 ? byoh_error_wrap(err, r, "kubectl %s", words[0]) : 0;
}

static int uncordon(const struct byoh_drain *drain, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	char name[256];
	const char *const words[] = { "uncordon", name, NULL };

	node_name(drain, name);
	return kubectl(drain, words, &output, err);
}

/* A node that the operator has cordoned stays so. */
static int look(const struct byoh_drain *drain, bool *ret_cordoned, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	char name[256];
	const char *const words[] = { "get", "node", name, "--output=jsonpath={.spec.unschedulable}", NULL };
	int r;

	node_name(drain, name);
	r = kubectl(drain, words, &output, err);
	*ret_cordoned = r == 0 && strcmp(byoh_buffer_text(&output), "true") == 0;
	return r;
}

static int move_pods(struct byoh_drain *drain, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	char name[256], timeout[32];
	/* Pods that nobody would make again are refused: no --force. */
	const char *const words[] = { "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", timeout,
				      NULL };
	bool before = false;
	int r = look(drain, &before, err);

	if (r < 0)
		return r;
	drain->cordoned = !before;
	node_name(drain, name);
	snprintf(timeout, sizeof(timeout), "--timeout=%ds", DRAIN_SECONDS);
	return kubectl(drain, words, &output, err);
}

int byoh_drain_begin(struct byoh_drain *drain, struct byoh_error *err)
{
	int r;

	if (!byoh_host_exists(drain->host->root_fd, KUBECTL))
		r = byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOENT, "there is no " KUBECTL " to drain this node with");
	else if (drain->host->systemd_version < SYSTEMD_WITH_COLLECT)
		r = byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
			      "this host's systemd %u is too old to drain the node from here",
			      drain->host->systemd_version);
	else
		r = move_pods(drain, err);
	if (r == 0 || (err && err->kind == BYOH_ERROR_INTERRUPTED))
		return r;
	if (err)
		err->kind = BYOH_ERROR_PREFLIGHT;
	byoh_error_remedy(err, "nothing was changed on this host; %sor drain the node yourself and say --drained",
			  drain->kubeconfig ? "" : "name a kubeconfig that may drain it by --drain-kubeconfig FILE, ");
	return r;
}

int byoh_drain_end(struct byoh_drain *drain, struct byoh_error *err)
{
	const atomic_bool *cancel = drain->cancel;
	int r;

	if (!drain->cordoned)
		return 0;
	drain->cancel = NULL;
	r = uncordon(drain, err);
	drain->cancel = cancel;
	drain->cordoned = false;
	if (r < 0)
		byoh_error_remedy(err, "no pod will be placed here until you do it: kubectl uncordon %s",
				  drain->host->hostname);
	return r;
}
