/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/proxy-certificate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "installer/kubernetes-config.h"
#include "installer/net/csr.h"

#define FOLDER "/var/lib/kube-proxy/pki"
#define NEXT_KEY FOLDER "/next.key" /* the certificate for it is asked for */
#define NOTE FOLDER "/request"
#define NOTE_MAX ((size_t)8 << 10)
#define PROBE "/api/v1/services?limit=1" /* what kube-proxy reads itself */

struct round {
	const struct byoh_host *host;
	const struct byoh_config *config;
	uint64_t now;
	char name[BYOH_CSR_NAME_SIZE];
	struct byoh_buffer key; /* of the certificate that is asked for */
};

static void release_round(struct round *round)
{
	byoh_secret_buffer_release(&round->key);
}

static int note(const struct round *round, const char *state, const char *message, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, old = { 0 };
	struct byoh_json json = byoh_json_to(&text);
	int r;

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "state", state);
	byoh_json_field_string(&json, "name", round->name);
	byoh_json_field_string(&json, "message", message ? message : "");
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	/* A request may wait for weeks, and this is said each minute. */
	if (r == 0 && byoh_read_file(round->host->root_fd, NOTE, NOTE_MAX, &old, NULL) == 0 && old.size == text.size &&
	    memcmp(old.data, text.data, text.size) == 0)
		return 0;
	return r < 0 ? r : byoh_write_file(round->host->root_fd, NOTE, text.data, text.size, 0600, err);
}

static void take(const struct byoh_yaml *doc, const char *key, char *ret, size_t size)
{
	const char *text = NULL;

	if (byoh_yaml_read_string(doc, byoh_yaml_root(doc), key, false, &text, NULL) == 0 && text)
		snprintf(ret, size, "%s", text);
}

void byoh_proxy_request_read(const struct byoh_host *host, struct byoh_proxy_request *ret)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	*ret = (struct byoh_proxy_request){ 0 };
	if (byoh_read_file(host->root_fd, NOTE, NOTE_MAX, &text, NULL) < 0 ||
	    byoh_yaml_parse(byoh_buffer_text(&text), text.size, NOTE, BYOH_ERROR_FORMAT, &doc, NULL) < 0)
		return;
	take(doc, "state", ret->state, sizeof(ret->state));
	take(doc, "name", ret->name, sizeof(ret->name));
	take(doc, "message", ret->message, sizeof(ret->message));
}

uint64_t byoh_proxy_certificate_expires(const struct byoh_host *host)
{
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	struct byoh_validity validity;

	if (byoh_access_read(host->root_fd, BYOH_KUBE_PROXY_KUBECONFIG, &access, NULL) < 0 ||
	    byoh_csr_check_certificate(&access.certificate, &access.key, BYOH_PROXY_USER, &validity, NULL) < 0)
		return 0;
	return validity.until;
}

static int write_kubeconfig(const struct round *round, const struct byoh_buffer *certificate,
			    const struct byoh_buffer *key, struct byoh_error *err)
{
	const struct byoh_config *config = round->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int r = byoh_kubeconfig_write_certificate(config->cluster.name, config->cluster.server, &config->cluster.ca,
						  certificate, key, &text, err);

	return r < 0 ? r : byoh_write_file(round->host->root_fd, BYOH_KUBE_PROXY_KUBECONFIG, text.data, text.size, 0600,
					   err);
}

/* The configured server and CA, whatever the file with the credential says. */
static struct byoh_api_request request_as(const struct round *round, const struct byoh_access *access)
{
	struct byoh_api_request request = byoh_access_request(access);

	request.server = round->config->cluster.server;
	request.ca = &round->config->cluster.ca;
	return request;
}

/* A cluster that was made anew at the same address knows nobody of the old one. */
static bool is_refused(const struct round *round, const struct byoh_access *access)
{
	struct byoh_api_request request = request_as(round, access);
	CLEANUP_BUFFER struct byoh_buffer answer = { 0 };
	unsigned int status = 0;

	request.method = "GET";
	request.path = PROBE;
	return byoh_outside_api(round->host->outside, &request, &status, &answer, NULL) == 0 && status == 401;
}

static bool is_same(const struct byoh_config *config, const struct byoh_access *access)
{
	return strcmp(access->server, config->cluster.server) == 0 && access->ca.size == config->cluster.ca.size &&
	       memcmp(access->ca.data, config->cluster.ca.data, access->ca.size) == 0;
}

/* 1: what is there will do, or does now. */
static int look_at_current(const struct round *round, enum byoh_proxy_outcome *ret, struct byoh_error *err)
{
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	struct byoh_validity validity;
	int r;

	if (byoh_access_read(round->host->root_fd, BYOH_KUBE_PROXY_KUBECONFIG, &access, NULL) < 0 ||
	    byoh_csr_check_certificate(&access.certificate, &access.key, BYOH_PROXY_USER, &validity, NULL) < 0 ||
	    byoh_validity_is_due(&validity, round->now) || is_refused(round, &access))
		return 0;
	*ret = BYOH_PROXY_VALID;
	/* A request that was made is followed to its end, whatever was the reason. */
	if (is_same(round->config, &access))
		return !byoh_exists_beneath(round->host->root_fd, NEXT_KEY);
	r = write_kubeconfig(round, &access.certificate, &access.key, err);
	*ret = BYOH_PROXY_CHANGED;
	return r < 0 ? r : 1;
}

static int take_key(struct round *round, struct byoh_error *err)
{
	int root = round->host->root_fd, r;
	char prefix[BYOH_CSR_NAME_SIZE];

	snprintf(prefix, sizeof(prefix), "byoh-kube-proxy-%.200s",
		 round->config->host.hostname ? round->config->host.hostname : round->host->hostname);
	r = byoh_read_file(root, NEXT_KEY, NOTE_MAX, &round->key, NULL);
	if (r == 0 && byoh_csr_name(prefix, &round->key, round->name, NULL) == 0)
		return 0;
	byoh_secret_buffer_release(&round->key);
	r = byoh_make_directories(root, FOLDER, 0700, err);
	if (r == 0)
		r = byoh_csr_make_key(&round->key, err);
	if (r == 0)
		r = byoh_write_file(root, NEXT_KEY, round->key.data, round->key.size, 0600, err);
	return r < 0 ? r : byoh_csr_name(prefix, &round->key, round->name, err);
}

static int submit(const struct round *round, const struct byoh_api_request *access, struct byoh_error *err)
{
	static const struct byoh_csr_subject subject = { .common_name = BYOH_PROXY_USER };
	CLEANUP_BUFFER struct byoh_buffer request = { 0 }, object = { 0 };
	int r = byoh_csr_make(&round->key, &subject, &request, err);

	if (r == 0)
		r = byoh_csr_object(round->name, BYOH_CSR_CLIENT_SIGNER, &request, &object, err);
	return r < 0 ? r : byoh_csr_submit(round->host->outside, access, &object, err);
}

static int ask_as(const struct round *round, const char *kubeconfig, struct byoh_csr_state *ret, struct byoh_error *err)
{
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	struct byoh_api_request request;
	int r = byoh_access_read(round->host->root_fd, kubeconfig, &access, err);

	if (r < 0)
		return r;
	request = request_as(round, &access);
	r = byoh_csr_look(round->host->outside, &request, round->name, ret, err);
	if (r != -ENOENT)
		return r;
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	return submit(round, &request, err);
}

/* The kubelet's certificate lives; a token for bootstrapping is what there is before. */
static int ask(const struct round *round, struct byoh_csr_state *ret, struct byoh_error *err)
{
	struct byoh_error first = BYOH_ERROR_INIT;
	int r = ask_as(round, BYOH_KUBELET_KUBECONFIG, ret, &first);

	if (r == -ENOENT || r == -EACCES || r == -EINVAL) {
		r = ask_as(round, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, ret, err);
		if (r != -ENOENT)
			return r;
	}
	if (r < 0)
		*err = first;
	return r;
}

static int take_certificate(const struct round *round, const struct byoh_csr_state *csr, struct byoh_error *err)
{
	struct byoh_validity validity;
	int root = round->host->root_fd;
	int r = byoh_csr_check_certificate(&csr->certificate, &round->key, BYOH_PROXY_USER, &validity, err);

	if (r == 0)
		r = write_kubeconfig(round, &csr->certificate, &round->key, err);
	if (r == 0)
		r = byoh_remove_file(root, NEXT_KEY, err);
	return r < 0 ? r : byoh_remove_file(root, NOTE, err);
}

static int follow(const struct round *round, const struct byoh_csr_state *csr, enum byoh_proxy_outcome *ret,
		  struct byoh_error *err)
{
	int r;

	switch (csr->phase) {
	case BYOH_CSR_DENIED:
		return note(round, "denied", csr->message, err);
	case BYOH_CSR_FAILED:
		return note(round, "failed", csr->message, err);
	case BYOH_CSR_ISSUED:
		r = take_certificate(round, csr, err);
		*ret = BYOH_PROXY_CHANGED;
		return r;
	default:
		return note(round, "pending", NULL, err);
	}
}

int byoh_proxy_certificate_settle(const struct byoh_host *host, const struct byoh_config *config, uint64_t now,
				  enum byoh_proxy_outcome *ret, struct byoh_error *err)
{
	CLEANUP(release_round) struct round round = { .host = host, .config = config, .now = now };
	CLEANUP_CSR_STATE struct byoh_csr_state csr = { 0 };
	struct byoh_error cause = BYOH_ERROR_INIT;
	int r;

	*ret = BYOH_PROXY_WAITING;
	if (!config->cluster.server || !config->cluster.ca.size || !host->outside)
		return 0;
	r = look_at_current(&round, ret, err);
	if (r)
		return r < 0 ? r : 0;
	*ret = BYOH_PROXY_WAITING;
	r = take_key(&round, err);
	if (r < 0)
		return r;
	if (ask(&round, &csr, &cause) < 0)
		return note(&round, "unsent", cause.message, err);
	return follow(&round, &csr, ret, err);
}
