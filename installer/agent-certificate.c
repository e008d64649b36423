/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/agent-certificate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/agent-config.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "installer/kubernetes-config.h"
#include "installer/net/csr.h"

#define NEXT_KEY "/var/lib/byoh/agent-next.key" /* the certificate for it is asked for */
#define KEY_MAX ((size_t)8 << 10)
#define ORGANIZATION "byoh:hosts"

struct round {
	const struct byoh_host *host;
	struct byoh_access access; /* what the agent has now */
	char common_name[300];
	struct byoh_buffer key; /* of the next one */
	struct byoh_agent_renewal_look *look;
};

static void release_round(struct round *round)
{
	byoh_access_release(&round->access);
	byoh_secret_buffer_release(&round->key);
}

/* Only one that still holds can ask for the next. 1: it is due. */
static int is_due(struct round *round, const struct byoh_config *config, uint64_t now, struct byoh_error *err)
{
	CLEANUP_AGENT_CONFIG struct byoh_agent_config agent = { 0 };
	struct byoh_validity validity;
	int r = byoh_agent_config_look(round->host, config, &agent, err);

	if (r < 0 || agent.state != BYOH_AGENT_CONFIG_GOOD)
		return r;
	snprintf(round->common_name, sizeof(round->common_name), "byoh:host:%.255s", round->host->hostname);
	if (byoh_access_read(round->host->root_fd, BYOH_AGENT_CONFIG, &round->access, NULL) < 0 ||
	    byoh_csr_check_certificate(&round->access.certificate, &round->access.key, round->common_name, &validity,
				       NULL) < 0)
		return 0;
	return byoh_validity_is_due(&validity, now) && validity.until > now;
}

/* Named after its key: asked for again after a cut it is the same request. */
static int take_key(struct round *round, struct byoh_error *err)
{
	int root = round->host->root_fd, r;
	char prefix[BYOH_CSR_NAME_SIZE];

	snprintf(prefix, sizeof(prefix), "byoh-csr-%.200s", round->host->hostname);
	r = byoh_read_file(root, NEXT_KEY, KEY_MAX, &round->key, NULL);
	if (r == 0 && byoh_csr_name(prefix, &round->key, round->look->name, NULL) == 0)
		return 0;
	byoh_secret_buffer_release(&round->key);
	r = byoh_csr_make_key(&round->key, err);
	if (r == 0)
		r = byoh_write_file(root, NEXT_KEY, round->key.data, round->key.size, 0600, err);
	return r < 0 ? r : byoh_csr_name(prefix, &round->key, round->look->name, err);
}

static int submit(const struct round *round, const struct byoh_api_request *request, struct byoh_error *err)
{
	const struct byoh_csr_subject subject = { .common_name = round->common_name, .organization = ORGANIZATION };
	CLEANUP_BUFFER struct byoh_buffer csr = { 0 }, object = { 0 };
	int r = byoh_csr_make(&round->key, &subject, &csr, err);

	if (r == 0)
		r = byoh_csr_object(round->look->name, BYOH_CSR_CLIENT_SIGNER, &csr, &object, err);
	return r < 0 ? r : byoh_csr_submit(round->host->outside, request, &object, err);
}

static int ask(const struct round *round, struct byoh_csr_state *ret, struct byoh_error *err)
{
	const struct byoh_api_request request = byoh_access_request(&round->access);
	int r = byoh_csr_look(round->host->outside, &request, round->look->name, ret, err);

	if (r != -ENOENT)
		return r;
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	return submit(round, &request, err);
}

static int write_kubeconfig(const struct round *round, const struct byoh_buffer *certificate, const char *path,
			    struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int r = byoh_kubeconfig_write_certificate(NULL, round->access.server, &round->access.ca, certificate, &round->key,
						  &text, err);

	return r < 0 ? r : byoh_write_file(round->host->root_fd, path, text.data, text.size, 0600, err);
}

/* The agent gives kube-proxy its own certificate, once. */
static int write_proxy(const struct round *round, const struct byoh_buffer *certificate, struct byoh_error *err)
{
	CLEANUP_ACCESS struct byoh_access proxy = { 0 };
	const struct byoh_buffer *own = &round->access.certificate;

	if (byoh_access_read(round->host->root_fd, BYOH_KUBE_PROXY_KUBECONFIG, &proxy, NULL) < 0 ||
	    proxy.certificate.size != own->size || memcmp(proxy.certificate.data, own->data, own->size) != 0)
		return 0;
	round->look->proxy = true;
	return write_kubeconfig(round, certificate, BYOH_KUBE_PROXY_KUBECONFIG, err);
}

/* kube-proxy's first: after a cut the agent's old certificate still finds the issued one. */
static int take_certificate(const struct round *round, const struct byoh_buffer *certificate, struct byoh_error *err)
{
	struct byoh_validity validity;
	int r = byoh_csr_check_certificate(certificate, &round->key, round->common_name, &validity, err);

	if (r == 0)
		r = write_proxy(round, certificate, err);
	if (r == 0)
		r = write_kubeconfig(round, certificate, BYOH_AGENT_CONFIG, err);
	if (r == 0)
		r = byoh_remove_file(round->host->root_fd, NEXT_KEY, err);
	round->look->outcome = BYOH_AGENT_RENEWAL_DONE;
	return r;
}

static int follow(const struct round *round, const struct byoh_csr_state *csr, struct byoh_error *err)
{
	if (csr->phase == BYOH_CSR_ISSUED)
		return take_certificate(round, &csr->certificate, err);
	if (csr->phase == BYOH_CSR_DENIED || csr->phase == BYOH_CSR_FAILED)
		snprintf(round->look->fault, sizeof(round->look->fault), "%s%s%.300s",
			 csr->phase == BYOH_CSR_DENIED ? "it was denied" : "it was not signed", csr->message ? ": " : "",
			 csr->message ? csr->message : "");
	return 0;
}

int byoh_agent_certificate_settle(const struct byoh_host *host, const struct byoh_config *config, uint64_t now,
				  struct byoh_agent_renewal_look *ret, struct byoh_error *err)
{
	CLEANUP(release_round) struct round round = { .host = host, .look = ret };
	CLEANUP_CSR_STATE struct byoh_csr_state csr = { 0 };
	struct byoh_error cause = BYOH_ERROR_INIT;
	int r;

	*ret = (struct byoh_agent_renewal_look){ .outcome = BYOH_AGENT_RENEWAL_NONE };
	r = host->outside ? is_due(&round, config, now, err) : 0;
	if (r <= 0)
		return r;
	ret->outcome = BYOH_AGENT_RENEWAL_WAITING;
	r = take_key(&round, err);
	if (r < 0)
		return r;
	if (ask(&round, &csr, &cause) < 0) {
		snprintf(ret->fault, sizeof(ret->fault), "%.500s", cause.message);
		return 0;
	}
	return follow(&round, &csr, err);
}
