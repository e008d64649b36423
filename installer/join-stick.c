/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/join-stick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/credentials.h"
#include "installer/discover.h"
#include "installer/join.h"
#include "installer/kubeconfig.h"
#include "installer/report.h"

#define SIGNED_ONLY "only a byoh.yaml that a key pinned on this host has signed may bring that"

static const struct byoh_buffer *bytes_of(const struct byoh_stick *stick, int at)
{
	return &stick->files[at].bytes;
}

/*
 * Nothing but a token for the cluster that the host knows
 */

/* Every certificate of one among those of the other. */
static bool is_within(const struct byoh_buffer *ca, const struct byoh_buffer *known)
{
	CLEANUP_FREE struct byoh_ca_list *lists = calloc(2, sizeof(*lists));

	if (!lists || byoh_ca_list_read(byoh_buffer_text(ca), ca->size, &lists[0], NULL) < 0 ||
	    byoh_ca_list_read(byoh_buffer_text(known), known->size, &lists[1], NULL) < 0 || !lists[0].count)
		return false;
	for (size_t i = 0; i < lists[0].count; i++)
		if (!byoh_ca_list_holds(&lists[1], &lists[0].digests[i]))
			return false;
	return true;
}

static int check_same(const struct byoh_config *config, const char *server, const struct byoh_buffer *ca, const char *name,
		      struct byoh_error *err)
{
	if (!config->cluster.server || !config->cluster.ca.size)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: this host knows no server and CA yet, and " SIGNED_ONLY, name);
	if (server && strcmp(server, config->cluster.server) != 0)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: it is for the server %.200s, and this host's is %.200s; " SIGNED_ONLY, name, server,
				 config->cluster.server);
	if (ca && ca->size && !is_within(ca, &config->cluster.ca))
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: it holds another CA than this host trusts; " SIGNED_ONLY, name);
	return 0;
}

static int use_token(struct byoh_config *config, const struct byoh_buffer *bytes, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_buffer_add(&text, byoh_buffer_text(bytes), bytes->size, err);

	while (rc == 0 && text.size && strchr(" \t\r\n", text.data[text.size - 1]))
		text.data[--text.size] = '\0';
	if (rc == 0 && strlen(byoh_buffer_text(&text)) != text.size)
		rc = byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "it holds a zero byte, and no token");
	if (rc == 0)
		rc = byoh_join_use_token(config, byoh_buffer_text(&text), err);
	return rc < 0 ? byoh_error_wrap(err, rc, "token") : 0;
}

static int use_kubeconfig(struct byoh_config *config, const struct byoh_stick_file *file, bool guarded,
			  struct byoh_error *err)
{
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = NULL;
	bool opaque = config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP;
	const char *text = byoh_buffer_text(&file->bytes);
	int rc;

	if (!guarded)
		return byoh_join_use_kubeconfig(config, text, file->bytes.size, file->name, err);
	rc = byoh_kubeconfig_parse_bootstrap(text, file->bytes.size, file->name, opaque, &kubeconfig, err);
	if (rc == 0)
		rc = check_same(config, kubeconfig->server, &kubeconfig->ca, file->name, err);
	return rc < 0 ? rc : byoh_join_use_token(config, kubeconfig->token, err);
}

static int use_ca(struct byoh_config *config, const struct byoh_stick_file *file, bool guarded, struct byoh_error *err)
{
	if (guarded)
		return check_same(config, NULL, &file->bytes, file->name, err);
	return byoh_join_use_ca(config, byoh_buffer_text(&file->bytes), file->bytes.size, file->name, err);
}

/*
 * A byoh.yaml
 */

/* *ret_signed; a signature that does not hold is an error, never none. */
static int check_signature(struct byoh_session *session, const struct byoh_stick *stick, bool *ret_signed,
			   struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *keyring = NULL;
	const struct byoh_buffer *text = bytes_of(stick, stick->config), *signature;
	int rc;

	*ret_signed = stick->signature >= 0;
	if (!*ret_signed)
		return 0;
	signature = bytes_of(stick, stick->signature);
	rc = byoh_session_pinned_keys(session, &keyring, err);
	if (rc == 0)
		rc = byoh_keyring_check_bytes(keyring, BYOH_CONFIG_MESSAGE_PREFIX, byoh_buffer_text(text), text->size,
					      signature->data, signature->size, err);
	return rc < 0 ? byoh_error_wrap(err, rc, "byoh.yaml.sig") : 0;
}

static int load(struct byoh_session *session, const struct byoh_stick *stick, struct byoh_config **ret,
		struct byoh_error *err)
{
	CLEANUP_FREE char *folder = NULL, *path = NULL;
	int rc = byoh_stick_unpack(stick, &folder, err);

	if (rc < 0)
		return rc;
	if (asprintf(&path, "%s/byoh.yaml", folder) < 0)
		rc = byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	else
		rc = byoh_config_load_read(path, bytes_of(stick, stick->config), &session->host->identity, ret, err);
	byoh_stick_clear(stick, folder);
	return rc;
}

static int copy_token(const struct byoh_config *from, struct byoh_config *to, struct byoh_error *err)
{
	bool same = from->cluster.token && to->cluster.server && from->cluster.server && !to->cluster.token &&
		    strcmp(from->cluster.server, to->cluster.server) == 0 &&
		    is_within(&to->cluster.ca, &from->cluster.ca);

	return same ? byoh_join_use_token(to, from->cluster.token, err) : 0;
}

/* All of it is new, its signature tells that it may; what a signature says nothing of would undo that. */
static int use_signed(struct byoh_session *session, const struct byoh_stick *stick, struct byoh_config *config,
		      struct byoh_error *err)
{
	const struct byoh_buffer *signature = bytes_of(stick, stick->signature);
	const char *uncovered = byoh_discover_uncovered_file(config);
	int rc;

	if (uncovered) {
		rc = byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
			       "byoh.yaml: it names the file \"%.100s\", which its signature does not cover; give the CA as "
			       "data: or with a pin:", uncovered);
		byoh_config_free(config);
		return rc;
	}
	rc = copy_token(session->config, config, err);
	if (rc == 0)
		rc = byoh_buffer_add(&config->signature, signature->data, signature->size, err);
	if (rc < 0) {
		byoh_config_free(config);
		return rc;
	}
	byoh_report_line(session, "byoh.yaml is signed by a key that this host trusts: it becomes the configuration");
	return byoh_session_use_config(session, config, err);
}

static int use_unsigned(struct byoh_session *session, const struct byoh_config *config, struct byoh_error *err)
{
	int rc = check_same(session->config, config->cluster.server, &config->cluster.ca, "byoh.yaml", err);

	if (rc == 0 && config->cluster.ca_pin && !config->cluster.ca.size &&
	    byoh_ca_check(byoh_buffer_text(&session->config->cluster.ca), session->config->cluster.ca.size,
			  config->cluster.ca_pin, NULL) < 0)
		rc = byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
			       "byoh.yaml: its pin is of another CA than this host trusts; " SIGNED_ONLY);
	if (rc < 0 || !config->cluster.token)
		return rc;
	byoh_report_line(session, "byoh.yaml is not signed: only its token is taken");
	return byoh_join_use_token(session->config, config->cluster.token, err);
}

static int use_config(struct byoh_session *session, const struct byoh_stick *stick, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	bool is_signed;
	int rc = check_signature(session, stick, &is_signed, err);

	if (rc == 0)
		rc = load(session, stick, &config, err);
	if (rc < 0)
		return rc;
	return is_signed ? use_signed(session, stick, TAKE_PTR(config), err) : use_unsigned(session, config, err);
}

int byoh_join_use_stick(struct byoh_session *session, const struct byoh_stick *stick, bool guarded, struct byoh_error *err)
{
	int rc = 0;

	if (stick->config >= 0)
		rc = use_config(session, stick, err);
	else if (stick->kubeconfig >= 0)
		rc = use_kubeconfig(session->config, &stick->files[stick->kubeconfig], guarded, err);
	if (rc == 0 && stick->config < 0 && stick->ca >= 0)
		rc = use_ca(session->config, &stick->files[stick->ca], guarded, err);
	if (rc == 0 && stick->token >= 0)
		rc = use_token(session->config, bytes_of(stick, stick->token), err);
	return rc < 0 ? byoh_error_wrap(err, rc, "%.200s", stick->folder) : 0;
}
