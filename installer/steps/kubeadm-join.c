/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/kubeadm-join.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/kubeadm-config.h"
#include "installer/run.h"
#include "installer/steps/steps-internal.h"

/* It waits for the API server, then for the kubelet's certificate; each of these ends by itself before that. */
#define ATTEMPT_SECONDS 1500
#define FOLLOW_SECONDS 420
#define LOG_MAX ((off_t)4 << 20)
#define ATTEMPT_MARK BYOH_HOME "/kubeadm-attempt"
#define BOOTSTRAP "/etc/kubernetes/bootstrap-kubelet.conf"

/* What kubeadm and its kubelet write before a host is a node; kubeadm refuses to begin while they are there. */
static const char *const half_way[] = {
	BOOTSTRAP, BYOH_KUBELET_KUBECONFIG, BYOH_KUBERNETES_CA, BYOH_KUBELET_CONFIG, BYOH_KUBEADM_FLAGS,
	"/var/lib/kubelet/instance-config.yaml",
};

bool byoh_kubeadm_is_node(int root_fd)
{
	return byoh_exists_beneath(root_fd, BYOH_KUBELET_KUBECONFIG) &&
	       byoh_exists_beneath(root_fd, BYOH_KUBELET_CLIENT);
}

/* What an attempt of ours has left, never what somebody else put there: the mark says that nothing of it was there. */
static int clear_half_way(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	int r = 0;

	if (!byoh_exists_beneath(join->root_fd, ATTEMPT_MARK))
		return 0;
	if (join->live)
		r = byoh_run_simple(err, "systemctl", "stop", "kubelet.service", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(half_way) && r == 0; i++)
		r = byoh_remove_file(join->root_fd, half_way[i], err);
	return r < 0 ? r : byoh_remove_file(join->root_fd, ATTEMPT_MARK, err);
}

static int mark_attempt(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(half_way); i++)
		if (byoh_exists_beneath(join->root_fd, half_way[i]))
			return 0;
	return byoh_write_file(join->root_fd, ATTEMPT_MARK, "", 0, 0600, err);
}

/* A log is no reason to fail, and one that only grows fills the disk. */
static void log_output(const struct byoh_kubeadm_join *join, int status, const struct byoh_buffer *output)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	time_t now = time(NULL);
	char stamp[32] = "";
	struct tm parts;
	struct stat st;
	int flags = O_WRONLY | O_CREAT | O_APPEND;

	if (gmtime_r(&now, &parts))
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &parts);
	if (byoh_stat_beneath(join->root_fd, BYOH_KUBEADM_LOG, &st, NULL) == 0 && st.st_size > LOG_MAX)
		flags = O_WRONLY | O_CREAT | O_TRUNC;
	if (byoh_buffer_printf(&text, NULL, "== %s kubeadm join, exit code %d\n%s\n", stamp, status,
			       byoh_buffer_text(output)) == 0) {
		CLEANUP_FD int fd = byoh_open_beneath(join->root_fd, BYOH_KUBEADM_LOG, flags, 0600, NULL);

		if (fd >= 0)
			(void)!byoh_write_all(fd, text.data, text.size, NULL);
	}
}

/* Both of a first look and a second without a check that only the kernel's age fails. */
static int run_kubeadm(const struct byoh_kubeadm_join *join, bool any_kernel, struct byoh_kubeadm_verdict *ret,
		       struct byoh_error *err)
{
	static const char known[] = "--ignore-preflight-errors=" BYOH_KUBEADM_NEVER_NEEDED;
	static const char kernel[] = "--ignore-preflight-errors=SystemVerification," BYOH_KUBEADM_NEVER_NEEDED;
	/* Only from the first level on it says why it does not reach the server. */
	const char *const argv[] = { join->program, "join", "--v=1", "--config", join->config,
				     any_kernel ? kernel : known, NULL };
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const struct byoh_run run = { .argv = argv, .output = &output, .cancel = join->cancel,
				      .timeout_seconds = ATTEMPT_SECONDS };
	int status = 0, r = byoh_run(&run, &status, err);

	log_output(join, r < 0 ? r : status, &output);
	if (r < 0)
		return r;
	byoh_kubeadm_judge(status, byoh_buffer_text(&output), ret);
	return ret->outcome == BYOH_KUBEADM_KERNEL && !any_kernel ? run_kubeadm(join, true, ret, err) : 0;
}

int byoh_kubeadm_put_on_record(const struct byoh_kubeadm_join *join, const char *state,
			       const struct byoh_kubeadm_verdict *verdict, struct byoh_error *err)
{
	struct byoh_join_record record = { .state = state };

	if (verdict) {
		memcpy(record.cause, verdict->cause, sizeof(record.cause));
		memcpy(record.remedy, verdict->remedy, sizeof(record.remedy));
	}
	return byoh_join_record_write(join->root_fd, &record, err);
}

static const char *state_word(enum byoh_kubeadm_outcome outcome)
{
	if (outcome == BYOH_KUBEADM_JOINED)
		return "joined";
	return outcome == BYOH_KUBEADM_LATER ? "later" : "failed";
}

/* The kubelet has its certificate, and needs the token's file no more. What kubeadm missed after that it says itself. */
static int finish(const struct byoh_kubeadm_join *join, struct byoh_kubeadm_verdict *verdict, struct byoh_error *err)
{
	int r = 0;

	if (byoh_kubeadm_is_node(join->root_fd))
		verdict->outcome = BYOH_KUBEADM_JOINED;
	if (verdict->outcome == BYOH_KUBEADM_KERNEL)
		verdict->outcome = BYOH_KUBEADM_FAILED;
	if (verdict->outcome == BYOH_KUBEADM_JOINED)
		r = byoh_remove_file(join->root_fd, BOOTSTRAP, err);
	if (r == 0 && verdict->outcome == BYOH_KUBEADM_JOINED)
		r = byoh_remove_file(join->root_fd, ATTEMPT_MARK, err);
	return r < 0 ? r : byoh_kubeadm_put_on_record(join, state_word(verdict->outcome), verdict, err);
}

int byoh_kubeadm_attempt(const struct byoh_kubeadm_join *join, struct byoh_kubeadm_verdict *ret, struct byoh_error *err)
{
	int r = 0;

	*ret = (struct byoh_kubeadm_verdict){ .outcome = BYOH_KUBEADM_JOINED };
	if (byoh_kubeadm_is_node(join->root_fd))
		return byoh_kubeadm_put_on_record(join, "joined", NULL, err);
	r = byoh_kubeadm_put_on_record(join, "joining", NULL, err);
	if (r == 0)
		r = clear_half_way(join, err);
	if (r == 0)
		r = mark_attempt(join, err);
	if (r == 0)
		r = run_kubeadm(join, false, ret, err);
	if (r == 0)
		return finish(join, ret, err);
	snprintf(ret->cause, sizeof(ret->cause), "%.390s", err ? err->message : "");
	snprintf(ret->remedy, sizeof(ret->remedy), "see: journalctl -u " BYOH_KUBEADM_UNIT);
	(void)!byoh_kubeadm_put_on_record(join, "later", ret, NULL);
	return r;
}

/*
 * Who waits for it
 */

bool byoh_kubeadm_is_due(const struct byoh_plan_input *input)
{
	return input->host->live && input->host->systemd_running && byoh_steps_joins_by_kubeadm(input) &&
	       !byoh_kubeadm_is_node(input->host->root_fd);
}

static bool is_outcome(const struct byoh_join_record *record)
{
	return record->state && strcmp(record->state, "joining") != 0;
}

/* Until the record tells an outcome; a cancelled wait is none of the unit's business. */
static void await_outcome(int root_fd, int watch, const atomic_bool *cancel, struct byoh_join_record *ret)
{
	time_t end = time(NULL) + FOLLOW_SECONDS;
	char events[4096];

	for (;;) {
		struct pollfd wait = { .fd = watch, .events = POLLIN };

		byoh_join_record_read(root_fd, ret);
		if (is_outcome(ret) || time(NULL) >= end || (cancel && atomic_load(cancel)))
			break;
		/* Short enough that Ctrl-C is not missed between the look at the flag and the sleep. */
		if (poll(&wait, 1, 1000) > 0)
			(void)!read(watch, events, sizeof(events));
	}
	if (!ret->state)
		ret->state = "joining";
}

int byoh_kubeadm_start(const struct byoh_host *host, const atomic_bool *cancel, struct byoh_join_record *ret,
		       struct byoh_error *err)
{
	CLEANUP_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int r;

	if (watch < 0 || inotify_add_watch(watch, BYOH_HOME, IN_MOVED_TO) < 0)
		return byoh_fail_errno(err, "cannot watch %s", BYOH_HOME);
	r = byoh_remove_file(host->root_fd, BYOH_JOIN_RECORD_PATH, err);
	if (r == 0)
		r = byoh_run_simple(err, "systemctl", "restart", BYOH_KUBEADM_UNIT, NULL);
	if (r == 0)
		await_outcome(host->root_fd, watch, cancel, ret);
	return r;
}
