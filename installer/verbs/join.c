/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/join-stick.h"
#include "installer/join-wait.h"
#include "installer/join.h"
#include "installer/kubeconfig.h"
#include "installer/log.h"
#include "installer/prompt.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"
#include "installer/volume.h"

#define TOKEN_FILE_MAX ((size_t)16 << 10)
#define CREDENTIALS_CHECK "join-credentials" /* for --ignore-preflight-errors */

/*
 * What is given
 */

static int read_stdin(struct byoh_buffer *ret, struct byoh_error *err)
{
	char chunk[4096];
	ssize_t n;
	int r = 0;

	while (r == 0 && ret->size <= TOKEN_FILE_MAX && (n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		r = byoh_buffer_add(ret, chunk, (size_t)n, err);
	return r;
}

static int use_token_file(struct byoh_config *config, const char *path, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r = strcmp(path, "-") == 0 ? read_stdin(&text, err)
				       : byoh_read_named_file(path, TOKEN_FILE_MAX, &text, err);

	if (r < 0)
		return r;
	/* What stands behind the token is an editor's; in it, it means that this is no token. */
	while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
		text.data[--text.size] = '\0';
	if (text.size && strlen(text.data) != text.size)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s holds a zero byte, and no token", path);
	r = byoh_join_use_token(config, byoh_buffer_text(&text), err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

static int use_kubeconfig(struct byoh_config *config, const char *path, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r = byoh_read_named_file(path, BYOH_KUBECONFIG_MAX_SIZE, &text, err);

	return r < 0 ? r : byoh_join_use_kubeconfig(config, byoh_buffer_text(&text), text.size, path, err);
}

static int use_ca(struct byoh_config *config, const char *path, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r = byoh_read_named_file(path, BYOH_CA_MAX_SIZE, &text, err);

	return r < 0 ? r : byoh_join_use_ca(config, byoh_buffer_text(&text), text.size, path, err);
}

static int use_folder(struct byoh_session *session, const char *folder, bool guarded, struct byoh_error *err)
{
	CLEANUP_STICK struct byoh_stick stick = {0};
	int r = byoh_stick_read(folder, &stick, err);

	/* From here on the volume is not looked at any more. */
	if (guarded)
		byoh_volume_unmount(folder);
	return r < 0 ? r : byoh_join_use_stick(session, &stick, guarded, err);
}

/* Started when such a volume appears. Whoever plugs it in has no rights here by that: only what the host's own
 * configuration allows is done, and each try leaves its log. */
static int use_volume(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_volume volume;
	int r;

	if (!session->config->join_volume)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EPERM,
				 "the configuration of this host does not let volumes bring anything (join.volume)");
	r = byoh_volume_find(session->host->root_fd, BYOH_VOLUME_LABEL, &volume, err);
	if (r == 0 && !volume.device[0])
		r = byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "there is no volume labelled " BYOH_VOLUME_LABEL);
	if (r == 0)
		r = byoh_volume_mount(&volume, BYOH_VOLUME_MOUNT, err);
	if (r < 0)
		return r;
	byoh_report_line(session, "the volume " BYOH_VOLUME_LABEL " (%s) is looked at", volume.device);
	r = use_folder(session, BYOH_VOLUME_MOUNT, true, err);
	byoh_volume_unmount(BYOH_VOLUME_MOUNT);
	return r < 0 ? byoh_error_wrap(err, r, "the volume " BYOH_VOLUME_LABEL " (%s)", volume.device) : 0;
}

static int use_given(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;
	int r = 0;

	if (options->volume)
		return use_volume(session, err);
	if (options->from_count)
		return use_folder(session, options->from[0], false, err);
	if (options->kubeconfig)
		r = use_kubeconfig(session->config, options->kubeconfig, err);
	if (r == 0 && options->ca)
		r = use_ca(session->config, options->ca, err);
	if (r == 0 && options->token)
		r = byoh_join_use_token(session->config, options->token, err);
	if (r == 0 && options->token_file)
		r = use_token_file(session->config, options->token_file, err);
	return r;
}

static int use_new(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer ca = {0};
	int r = byoh_buffer_add(&ca, byoh_buffer_text(&session->config->cluster.ca), session->config->cluster.ca.size, err);

	if (r == 0)
		r = use_given(session, err);
	if (r == 0)
		r = byoh_session_find_ca(session, true, err);
	return r < 0 ? r : byoh_join_note_old_ca(session->config, &ca, err);
}

/*
 * Options
 */

static bool is_given(const struct byoh_options *options)
{
	return options->token || options->token_file || options->kubeconfig || options->ca || options->from_count ||
	       options->volume;
}

static int read_wait(const char *text, unsigned int *ret, struct byoh_error *err)
{
	char *end = NULL;
	unsigned long seconds;

	*ret = BYOH_JOIN_WAIT_SECONDS;
	if (!text)
		return 0;
	seconds = strtoul(text, &end, 10);
	if (!*text || *end || text[0] < '0' || text[0] > '9' || seconds > BYOH_JOIN_WAIT_MAX)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--wait takes seconds, 0 to %d", BYOH_JOIN_WAIT_MAX);
	*ret = (unsigned int)seconds;
	return 0;
}

static int check_options(const struct byoh_options *options, struct byoh_error *err)
{
	bool single = options->token || options->token_file || options->kubeconfig || options->ca;

	if (options->from_count > 1)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "join takes one --from");
	if ((options->from_count && (single || options->volume)) || (options->volume && (single || options->again)))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--from and --volume bring everything by themselves");
	if (options->volume && options->root)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--volume looks for one of the running host: leave --root "
				 "away, or use --from");
	if (is_given(options) || options->again || byoh_prompt_is_possible())
		return 0;
	return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
			 "join needs --token-file FILE (\"-\" is standard input), --token TOKEN, --kubeconfig FILE, --ca "
			 "FILE or --from DIR; it asks for a token only on a terminal");
}

/* Before the host is taken: nobody else has to wait for what is typed. */
static int ask_for_token(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer line = {0};
	int r;

	if (is_given(&session->options) || session->options.again)
		return 0;
	if (!session->state || !session->state->release_id)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "no release is installed here; install one first");
	r = byoh_prompt_secret("Token (it does not show): ", session->cancel, &line, err);
	if (r == 0 && !line.size)
		r = byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "no token was given, and nothing was changed");
	if (r < 0)
		return r;
	session->options.token = strdup(line.data);
	return session->options.token ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/*
 * Before and after
 */

/* What cannot work is not put in the place of what may. A server that is away says nothing about a token. */
static int try_credentials(struct byoh_session *session, struct byoh_error *err)
{
	static const char prefix[] = "join: pending; ";
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_join_look look;
	int r = byoh_join_try(session, &look, err);

	if (r < 0 || look.reason == BYOH_JOIN_STARTED || look.reason == BYOH_JOIN_NO_CREDENTIALS)
		return r;
	r = byoh_join_sentence(&look, &text, err);
	if (r < 0)
		return r;
	if (byoh_join_may_change(look.reason) ||
	    byoh_preflight_is_ignored(session->options.ignored_preflight, CREDENTIALS_CHECK)) {
		byoh_report_warning("%s", byoh_buffer_text(&text) + strlen(prefix));
		return 0;
	}
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%s; nothing was changed (--ignore-preflight-errors "
			 CREDENTIALS_CHECK " changes it all the same)", byoh_buffer_text(&text) + strlen(prefix));
}

static void tell_unused(const struct byoh_session *session)
{
	bool agent = session->config->join_mode == BYOH_JOIN_AGENT;

	byoh_report_line(session, "the %s has a certificate of its own and looks at no token; `byoh-install join --again` lets "
			 "it ask anew", agent ? "agent" : "kubelet");
}

static void tell_look(const struct byoh_session *session, const struct byoh_join_look *look)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};

	if (byoh_join_sentence(look, &text, NULL) < 0)
		return;
	if (look->reason == BYOH_JOIN_JOINED || byoh_join_may_change(look->reason))
		byoh_report_line(session, "%s", byoh_buffer_text(&text));
	else
		byoh_report_warning("%s", byoh_buffer_text(&text));
}

/* joined: before this run. The host has changed by now, and no exit code says otherwise. */
static int look_after(struct byoh_session *session, bool joined, unsigned int seconds, struct byoh_join_look *look,
		      struct byoh_error *err)
{
	int r = 0;

	if (!session->host->live || (session->config->join_mode != BYOH_JOIN_AGENT &&
				     session->config->join_mode != BYOH_JOIN_TLS_BOOTSTRAP))
		return 0;
	if (!session->config->cluster.server || !session->config->cluster.ca.size || !session->config->cluster.token) {
		*look = (struct byoh_join_look){ .reason = BYOH_JOIN_NO_CREDENTIALS };
		if (joined)
			look->reason = BYOH_JOIN_JOINED;
	} else {
		if (seconds && !joined)
			byoh_report_line(session, "waiting for the cluster, at most %u s", seconds);
		r = byoh_join_wait(session, seconds, look, err);
	}
	if (r < 0)
		return r;
	session->join_look = look;
	if (joined && look->reason == BYOH_JOIN_JOINED)
		tell_unused(session);
	else
		tell_look(session, look);
	return 0;
}

static int change(struct byoh_session *session, unsigned int seconds, struct byoh_error *err)
{
	struct byoh_join_look look = {0};
	bool changed = false, joined;
	int r = 0;

	if (session->host->live)
		r = try_credentials(session, err);
	if (r < 0)
		return r;
	joined = session->host->live && !session->options.again && byoh_join_is_joined(session);
	r = byoh_carry_out_untold(session, "join", &changed, err);
	if (r == 0)
		r = look_after(session, joined, seconds, &look, err);
	if (r == 0 && session->options.json)
		r = byoh_carry_out_tell(session, changed, err);
	session->join_look = NULL;
	return r;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	unsigned int seconds = 0;
	int r = read_wait(session->options.wait, &seconds, err);

	if (r == 0)
		r = check_options(&session->options, err);
	if (r == 0)
		r = byoh_session_enter_host(session, err);
	if (r == 0 && session->options.volume)
		byoh_log_begin(session->host->root_fd, session->verb);
	if (r == 0)
		r = ask_for_token(session, err);
	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r == 0)
		r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	if (r == 0)
		r = use_new(session, err);
	return r < 0 ? r : change(session, seconds, err);
}

const struct byoh_verb byoh_verb_join = {
	"join",
	"[--token-file FILE|- | --token TOKEN | --kubeconfig FILE | --ca FILE | --from DIR] [--again] [--wait SECONDS]",
	"Put a fresh token, kubeconfig or CA in place, restart what needs it, and say what becomes of it.",
	" token token-file kubeconfig ca from again wait volume ignore-preflight-errors ", 0, run,
};
