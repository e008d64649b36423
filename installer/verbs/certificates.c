/* SPDX-License-Identifier: Apache-2.0 */
/* For byoh-certificates.service: asks the cluster for certificates that no service here asks for itself, and waits
 * until somebody there has decided. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "installer/agent-certificate.h"
#include "installer/proxy-certificate.h"
#include "installer/report.h"
#include "installer/run.h"
#include "installer/verbs/verbs.h"

#define FIRST_SECONDS 5 /* an operator may be sitting there and approve at once */
#define LAST_SECONDS 60

static bool wants_certificate(const struct byoh_session *session)
{
	return session->config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP && session->config->kube_proxy.manage &&
	       session->config->kube_proxy.client_certificate;
}

static void restart(const struct byoh_session *session, const char *unit)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	if (session->host->systemd_running && byoh_run_simple(&err, "systemctl", "try-restart", unit, NULL) < 0)
		byoh_report_warning("%s", err.message);
}

/* It reads its kubeconfig once. Where it does not run yet, kube-proxy.path starts it. */
static void restart_proxy(const struct byoh_session *session)
{
	byoh_report_line(session, "kube-proxy has a certificate");
	restart(session, "kube-proxy.service");
}

/* Said once for each request and fault: it may wait for weeks. */
static void tell_renewal(const struct byoh_agent_renewal_look *look, const struct byoh_agent_renewal_look *last)
{
	if (strcmp(look->name, last->name) == 0 && strcmp(look->fault, last->fault) == 0)
		return;
	if (look->fault[0])
		byoh_report_warning("the agent's certificate is not renewed, request %s: %s", look->name, look->fault);
	else
		byoh_report_warning("the agent's next certificate waits for approval: kubectl certificate approve %s",
				    look->name);
}

/* One round for the agent. 1: there is more to wait for. */
static int settle_agent(const struct byoh_session *session, struct byoh_agent_renewal_look *last, struct byoh_error *err)
{
	struct byoh_agent_renewal_look look;
	int r = byoh_agent_certificate_settle(session->host, session->config, (uint64_t)time(NULL), &look, err);

	if (r < 0)
		return r;
	if (look.outcome == BYOH_AGENT_RENEWAL_DONE) {
		byoh_report_line(session, "the agent has its next certificate");
		restart(session, "byoh-hostagent.service");
		if (look.proxy)
			restart(session, "kube-proxy.service");
	}
	if (look.outcome == BYOH_AGENT_RENEWAL_WAITING)
		tell_renewal(&look, last);
	*last = look;
	return look.outcome == BYOH_AGENT_RENEWAL_WAITING;
}

static void wait_for(const struct byoh_session *session, unsigned int seconds)
{
	const struct timespec second = { .tv_sec = 1 };

	for (unsigned int i = 0; i < seconds && !atomic_load(session->cancel); i++)
		nanosleep(&second, NULL);
}

static int follow_agent(const struct byoh_session *session, bool once, struct byoh_error *err)
{
	struct byoh_agent_renewal_look last = {0};
	unsigned int seconds = FIRST_SECONDS;
	int r;

	while ((r = settle_agent(session, &last, err)) > 0 && !once) {
		wait_for(session, seconds);
		if (atomic_load(session->cancel))
			return 0;
		seconds = seconds * 2 < LAST_SECONDS ? seconds * 2 : LAST_SECONDS;
	}
	return r < 0 ? r : 0;
}

static int settle(const struct byoh_session *session, bool once, struct byoh_error *err)
{
	enum byoh_proxy_outcome outcome = BYOH_PROXY_WAITING;
	unsigned int seconds = FIRST_SECONDS;
	int r;

	for (;;) {
		r = byoh_proxy_certificate_settle(session->host, session->config, (uint64_t)time(NULL), &outcome, err);
		if (r < 0)
			return r;
		if (outcome == BYOH_PROXY_CHANGED)
			restart_proxy(session);
		if (outcome == BYOH_PROXY_VALID || once)
			return 0;
		if (outcome == BYOH_PROXY_CHANGED)
			continue;
		wait_for(session, seconds);
		if (atomic_load(session->cancel))
			return 0;
		seconds = seconds * 2 < LAST_SECONDS ? seconds * 2 : LAST_SECONDS;
	}
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	const char *word = session->options.argument_count ? session->options.arguments[0] : NULL;
	int r;

	if (word && strcmp(word, "once") != 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "certificates takes the word \"once\" only");
	r = byoh_session_enter_host(session, err);
	if (r == 0 && !session->host->live)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "certificates are asked for on the running host only");
	if (r < 0 || !session->state || !session->state->release_id)
		return r;
	r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	if (r == 0 && session->config->join_mode == BYOH_JOIN_AGENT)
		return follow_agent(session, word, err);
	return r < 0 || !wants_certificate(session) ? r : settle(session, word, err);
}

const struct byoh_verb byoh_verb_certificates = {
	"certificates", "[once]", NULL, "", 1, run,
};
