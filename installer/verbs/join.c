/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/join.h"
#include "installer/kubeconfig.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

#define TOKEN_FILE_MAX ((size_t)16 << 10)

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

static int use_given(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;
	int r = 0;

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

static int run(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;
	int r;

	if (!options->token && !options->token_file && !options->kubeconfig && !options->ca)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "join needs --token-file FILE (\"-\" is standard input), --token TOKEN, "
				 "--kubeconfig FILE or --ca FILE");
	r = byoh_session_enter_host(session, err);
	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r == 0)
		r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	if (r == 0)
		r = use_given(session, err);
	if (r == 0)
		r = byoh_session_find_ca(session, true, err);
	return r < 0 ? r : byoh_carry_out(session, "join", err);
}

const struct byoh_verb byoh_verb_join = {
	"join", "--token-file FILE|- | --token TOKEN | --kubeconfig FILE [--ca FILE]",
	"Put a fresh token, kubeconfig or CA in place and restart what needs it.",
	" token token-file kubeconfig ca ignore-preflight-errors ", 0, run,
};
