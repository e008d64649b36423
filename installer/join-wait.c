/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/join-wait.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/agent-config.h"
#include "installer/credentials.h"
#include "installer/net/api.h"
#include "installer/report.h"
#include "installer/steps/node-state.h"

#define REQUESTS "/apis/certificates.k8s.io/v1/certificatesigningrequests"
#define KUBELET_SIGNER "kubernetes.io/kube-apiserver-client-kubelet"
#define AGENT_SIGNER "kubernetes.io/kube-apiserver-client"
#define LIST_MAX "200" /* of the requests that wait in a cluster: each has some kilobytes */
#define KEY_MAX ((size_t)64 << 10)
#define ASK_SECONDS 4  /* between questions to a server that others need as well */

/* Whose request it is, by its names. */
struct target {
	bool agent;
	char path[1024], common_name[300], username[64];
	struct byoh_request_wanted wanted;
};

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static void aim(const struct byoh_session *session, struct target *ret)
{
	const char *token = session->config->cluster.token;
	char host[256];

	*ret = (struct target){ .agent = session->config->join_mode == BYOH_JOIN_AGENT };
	snprintf(host, sizeof(host), "%s", session->host->hostname);
	lower(host); /* as the kubelet does */
	if (ret->agent) {
		snprintf(ret->path, sizeof(ret->path), REQUESTS "/byoh-csr-%s", session->host->hostname);
		snprintf(ret->common_name, sizeof(ret->common_name), "byoh:host:%s", session->host->hostname);
	} else {
		snprintf(ret->path, sizeof(ret->path), REQUESTS "?limit=" LIST_MAX
			 "&fieldSelector=spec.signerName%%3Dkubernetes.io%%2Fkube-apiserver-client-kubelet");
		snprintf(ret->common_name, sizeof(ret->common_name), "system:node:%s", host);
	}
	/* Anybody with a token may ask for a certificate in this host's name: only the own one is to be approved. The
	 * agent's has but one name, and may have been made with an earlier token; it is told by its key. */
	if (!ret->agent && token && byoh_token_is_bootstrap(token))
		snprintf(ret->username, sizeof(ret->username), "system:bootstrap:%.6s", token);
	ret->wanted = (struct byoh_request_wanted){
		.signer = ret->agent ? AGENT_SIGNER : KUBELET_SIGNER,
		.common_name = ret->common_name,
		.username = ret->username[0] ? ret->username : NULL,
	};
}

/* 0 with *ret_status; what kept the server from answering is no failure of ours, and stands in look. */
static int ask(struct byoh_session *session, const char *path, struct byoh_join_look *look, struct byoh_buffer *ret,
	       unsigned int *ret_status)
{
	const struct byoh_api_request request = {
		.server = session->config->cluster.server,
		.ca = &session->config->cluster.ca,
		.token = session->config->cluster.token,
		.method = "GET",
		.path = path,
	};
	struct byoh_error failure = BYOH_ERROR_INIT;
	int rc = byoh_outside_api(session->host->outside, &request, ret_status, ret, &failure);

	if (rc < 0)
		byoh_join_look_fail(look, rc, &failure);
	else if (*ret_status != 200)
		byoh_join_look_status(look, *ret_status);
	return rc < 0 ? rc : 0;
}

int byoh_join_try(struct byoh_session *session, struct byoh_join_look *look, struct byoh_error *err)
{
	const char *path = session->config->cluster.token ? REQUESTS "?limit=1" : "/version";
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	unsigned int status;

	(void)err;
	*look = (struct byoh_join_look){ .reason = BYOH_JOIN_STARTED,
					 .agent = session->config->join_mode == BYOH_JOIN_AGENT };
	if (!session->config->cluster.server || !session->config->cluster.ca.size)
		look->reason = BYOH_JOIN_NO_CREDENTIALS;
	else
		(void)!ask(session, path, look, &body, &status);
	return 0;
}

static int ask_for_request(struct byoh_session *session, struct target *target, struct byoh_join_look *look,
			   struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer key = { 0 };
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	unsigned int status = 0;
	int rc = ask(session, target->path, look, &body, &status);

	if (rc < 0 || status != 200)
		return rc == -ENOMEM ? byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory") : 0;
	target->wanted.key = target->agent && byoh_host_read(session->host->root_fd, BYOH_AGENT_KEY, KEY_MAX, &key,
							     NULL) == 0 ? &key : NULL;
	rc = byoh_join_look_answer(look, &body, &target->wanted, err);
	target->wanted.key = NULL;
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	/* No answer that can be read is one more way of not knowing. */
	byoh_join_look_fail(look, -EBADMSG, err);
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

static bool has_agent_config(const struct byoh_session *session, struct byoh_join_look *look)
{
	CLEANUP_AGENT_CONFIG struct byoh_agent_config agent = { 0 };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (byoh_agent_config_look(session->host, session->config, &agent, NULL) < 0 ||
	    byoh_agent_config_describe(&agent, &text, NULL) < 0)
		return false;
	if (byoh_agent_config_is_stale(&agent) && look) {
		look->reason = BYOH_JOIN_STALE;
		snprintf(look->detail, sizeof(look->detail), "%.500s", byoh_buffer_text(&text));
	}
	return agent.state == BYOH_AGENT_CONFIG_GOOD;
}

/* look: told of an agent that goes by a kubeconfig which is of no use; may be NULL. */
static bool has_certificate(const struct byoh_session *session, struct byoh_join_look *look)
{
	if (session->config->join_mode == BYOH_JOIN_AGENT)
		return has_agent_config(session, look);
	return byoh_kubelet_has_certificate(session->host);
}

bool byoh_join_is_joined(const struct byoh_session *session)
{
	return has_certificate(session, NULL);
}

/*
 * Waiting
 */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Folders that are not there yet are watched for by their parent; each change has all of them looked at anew. */
static void watch(int fd, bool agent)
{
	static const char *const agents[] = { "/root", BYOH_AGENT_FOLDER };
	static const char *const kubelets[] = { "/var/lib/kubelet", "/var/lib/kubelet/pki" };

	for (size_t i = 0; i < 2; i++)
		(void)inotify_add_watch(fd, agent ? agents[i] : kubelets[i], IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE);
}

/* Until something changes there, or time is over. Without inotify only the time is left. */
static void sleep_on(int fd, double seconds)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };
	char events[4096];

	if (seconds > 0 && poll(&one, 1, (int)(seconds * 1000) + 1) > 0)
		(void)!read(fd, events, sizeof(events));
}

static bool is_cancelled(const struct byoh_session *session)
{
	return session->cancel && atomic_load(session->cancel);
}

static void report_change(const struct byoh_session *session, const struct byoh_join_look *look,
			  enum byoh_join_reason *last)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (look->reason == *last || look->reason == BYOH_JOIN_NO_REQUEST || !byoh_join_may_change(look->reason))
		return;
	*last = look->reason;
	if (byoh_join_sentence(look, &text, NULL) == 0)
		byoh_report_line(session, "%s", byoh_buffer_text(&text));
}

/* One turn: 1 if it is decided. */
static int look_once(struct byoh_session *session, struct target *target, struct byoh_join_look *look,
		     double *next_question, struct byoh_error *err)
{
	int rc = 0;

	if (has_certificate(session, look)) {
		look->reason = BYOH_JOIN_JOINED;
		return 1;
	}
	if (look->reason != BYOH_JOIN_STALE && now() >= *next_question) {
		rc = ask_for_request(session, target, look, err);
		*next_question = now() + ASK_SECONDS;
	}
	return rc < 0 ? rc : !byoh_join_may_change(look->reason);
}

int byoh_join_wait(struct byoh_session *session, unsigned int seconds, struct byoh_join_look *look,
		   struct byoh_error *err)
{
	double end = now() + seconds, next_question = 0;
	CLEANUP_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	enum byoh_join_reason last = BYOH_JOIN_STARTED;
	struct target target;
	int rc;

	aim(session, &target);
	*look = (struct byoh_join_look){ .reason = BYOH_JOIN_NO_REQUEST, .agent = target.agent };
	for (;;) {
		double left;

		watch(fd, target.agent);
		rc = look_once(session, &target, look, &next_question, err);
		left = end - now();
		if (rc != 0 || left <= 0 || is_cancelled(session))
			return rc < 0 ? rc : 0;
		report_change(session, look, &last);
		sleep_on(fd, left < next_question - now() ? left : next_question - now());
	}
}
