/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API server says: asked with what this host has, the most that it has first. The answers
 * are a stranger's until its certificate is known, and are read by the strict parser that reads
 * bundles.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/credentials.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "installer/kubeconfig-view.h"
#include "installer/net/api.h"
#include "installer/steps/steps-internal.h"

#define CSRS "/apis/certificates.k8s.io/v1/certificatesigningrequests"
#define KEY_MAX ((size_t)64 << 10)

static int keep(const char *text, char **ret, struct byoh_error *err)
{
	if (!text)
		return 0;
	free(*ret);
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static const char *text_of(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && node->type == BYOH_YAML_SCALAR ? node->text : NULL;
}

static bool is_word(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

/* The entry of status.conditions with that type. */
static const struct byoh_yaml_node *condition(const struct byoh_yaml_node *object, const char *type)
{
	const struct byoh_yaml_node *list =
		byoh_yaml_get(byoh_yaml_get(object, "status"), "conditions");

	for (size_t i = 0; list && list->type == BYOH_YAML_SEQUENCE && i < list->count; i++)
		if (is_word(text_of(list->items[i], "type"), type))
			return list->items[i];
	return NULL;
}

/*
 * The Node
 */

static const char *address_of(const struct byoh_yaml_node *node)
{
	const struct byoh_yaml_node *list =
		byoh_yaml_get(byoh_yaml_get(node, "status"), "addresses");

	for (size_t i = 0; list && list->type == BYOH_YAML_SEQUENCE && i < list->count; i++)
		if (is_word(text_of(list->items[i], "type"), "InternalIP"))
			return text_of(list->items[i], "address");
	return NULL;
}

int byoh_api_read_node(const char *text, size_t size, struct byoh_api_evidence *ret,
		       struct byoh_error *err)
{
	CLEANUP(byoh_yaml_freep) struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *node, *ready;
	int rc = byoh_yaml_parse(text, size, "the API server's answer", BYOH_ERROR_FORMAT, &doc,
				 err);

	if (rc < 0)
		return rc;
	node = byoh_yaml_root(doc);
	if (!is_word(text_of(node, "kind"), "Node"))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the API server's answer is no Node");
	ready = condition(node, "Ready");
	ret->node_known = ret->node_exists = true;
	ret->disk_pressure = is_word(text_of(condition(node, "DiskPressure"), "status"), "True");
	rc = keep(text_of(byoh_yaml_get(byoh_yaml_get(node, "status"), "nodeInfo"), "machineID"),
		  &ret->node_machine_id, err);
	if (rc == 0)
		rc = keep(address_of(node), &ret->node_address, err);
	if (rc == 0)
		rc = keep(text_of(ready, "status"), &ret->ready, err);
	if (rc == 0)
		rc = keep(text_of(ready, "reason"), &ret->ready_reason, err);
	return rc < 0 ? rc : keep(text_of(ready, "message"), &ret->ready_message, err);
}

/*
 * Requests for certificates
 */

static void free_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static X509_REQ *decode_request(const char *encoded)
{
	CLEANUP_BUFFER struct byoh_buffer pem = { 0 };
	CLEANUP(free_bio) BIO *bio = NULL;

	if (!encoded || byoh_base64_decode(encoded, &pem, NULL) < 0 || pem.size > KEY_MAX)
		return NULL;
	bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	return bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
}

static bool is_for_key(const X509_REQ *request, const char *waiting_key)
{
	CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(waiting_key, -1);
	CLEANUP(free_key)
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	EVP_PKEY *asked = X509_REQ_get0_pubkey((X509_REQ *)(uintptr_t)request);

	return !key || !asked || EVP_PKEY_eq(key, asked) == 1;
}

static const char *state_of(const struct byoh_yaml_node *object)
{
	if (condition(object, "Denied"))
		return "denied";
	if (condition(object, "Failed"))
		return "failed";
	if (text_of(byoh_yaml_get(object, "status"), "certificate"))
		return "issued";
	return condition(object, "Approved") ? "approved" : "pending";
}

static bool is_about(const char *identity, const char *prefix, const char *node_name)
{
	size_t length = strlen(prefix);

	return strncmp(identity, prefix, length) == 0 && strcmp(identity + length, node_name) == 0;
}

static int add_request(const struct byoh_yaml_node *object, const char *identity, bool other_key,
		       struct byoh_api_evidence *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *denial = condition(object, "Denied");
	const char *created = text_of(byoh_yaml_get(object, "metadata"), "creationTimestamp");
	struct byoh_csr_evidence *grown =
		reallocarray(ret->csrs, ret->csr_count + 1, sizeof(*grown));
	int rc;

	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	ret->csrs = grown;
	grown += ret->csr_count++;
	*grown = (struct byoh_csr_evidence){ .state = state_of(object), .other_key = other_key };
	snprintf(grown->created, sizeof(grown->created), "%s", created ? created : "");
	rc = keep(text_of(byoh_yaml_get(object, "metadata"), "name"), &grown->name, err);
	if (rc == 0 && !grown->name)
		rc = keep("", &grown->name, err);
	if (rc == 0)
		rc = keep(text_of(byoh_yaml_get(object, "spec"), "signerName"), &grown->signer,
			  err);
	if (rc == 0)
		rc = keep(identity, &grown->identity, err);
	return rc < 0 ? rc : keep(text_of(denial, "message"), &grown->reason, err);
}

/* A kubelet's own request for another key is one of an earlier attempt, and in nobody's way. */
static int read_request(const struct byoh_yaml_node *object, const char *node_name,
			const char *waiting_key, struct byoh_api_evidence *ret,
			struct byoh_error *err)
{
	CLEANUP(free_request)
	X509_REQ *request = decode_request(text_of(byoh_yaml_get(object, "spec"), "request"));
	char identity[256];
	bool agent, other_key;

	if (!request || X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request),
						  NID_commonName, identity, sizeof(identity)) < 0)
		return 0;
	agent = is_about(identity, "byoh:host:", node_name);
	other_key = waiting_key && !is_for_key(request, waiting_key);
	if (!agent && (!is_about(identity, "system:node:", node_name) || other_key))
		return 0;
	return add_request(object, identity, other_key, ret, err);
}

int byoh_api_read_requests(const char *text, size_t size, const char *node_name,
			   const char *waiting_key, struct byoh_api_evidence *ret,
			   struct byoh_error *err)
{
	CLEANUP(byoh_yaml_freep) struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *items;
	int rc = byoh_yaml_parse(text, size, "the API server's answer", BYOH_ERROR_FORMAT, &doc,
				 err);

	if (rc < 0)
		return rc;
	items = byoh_yaml_get(byoh_yaml_root(doc), "items");
	if (!items)
		return read_request(byoh_yaml_root(doc), node_name, waiting_key, ret, err);
	for (size_t i = 0; items->type == BYOH_YAML_SEQUENCE && i < items->count && rc == 0; i++)
		rc = read_request(items->items[i], node_name, waiting_key, ret, err);
	return rc;
}

/*
 * Asking
 */

struct asking {
	struct byoh_evidence *evidence;
	struct byoh_kubeconfig_view view;
	struct byoh_api_request request;
};

static int ask(struct asking *asking, const char *path, unsigned int *ret_status,
	       struct byoh_buffer *ret, struct byoh_error *err)
{
	asking->request.method = "GET";
	asking->request.path = path;
	return byoh_outside_api(asking->evidence->host->outside, &asking->request, ret_status, ret,
				err);
}

static int note_failure(struct byoh_api_evidence *api, int rc, const struct byoh_error *cause,
			struct byoh_error *err)
{
	if (rc == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	api->failure = -rc;
	return keep(cause->message, &api->message, err);
}

static int ask_for_node(struct asking *asking, struct byoh_error *err)
{
	struct byoh_api_evidence *api = &asking->evidence->api;
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	struct byoh_error cause = BYOH_ERROR_INIT;
	char path[160];
	int rc;

	snprintf(path, sizeof(path), "/api/v1/nodes/%.64s",
		 byoh_evidence_node_name(asking->evidence));
	rc = ask(asking, path, &api->status, &body, &cause);
	if (rc < 0)
		return note_failure(api, rc, &cause, err);
	api->node_known = api->status == 200 || api->status == 404;
	if (api->status != 200)
		return 0;
	/* Whatever else was said, it did answer. */
	return byoh_api_read_node(byoh_buffer_text(&body), body.size, api, NULL) == -ENOMEM
		       ? -ENOMEM
		       : 0;
}

static int ask_for_requests(struct asking *asking, const char *path, const char *key_path,
			    struct byoh_error *err)
{
	const struct byoh_host *host = asking->evidence->host;
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	CLEANUP_SECRET_BUFFER struct byoh_buffer key = { 0 };
	const char *waiting = NULL;
	unsigned int status = 0;

	if (key_path && byoh_host_read(host->root_fd, key_path, KEY_MAX, &key, NULL) == 0)
		waiting = byoh_buffer_text(&key);
	if (ask(asking, path, &status, &body, NULL) < 0 || status != 200)
		return 0;
	if (byoh_api_read_requests(byoh_buffer_text(&body), body.size,
				   byoh_evidence_node_name(asking->evidence), waiting,
				   &asking->evidence->api, NULL) != -ENOMEM)
		return 0;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int ask_for_all_requests(struct asking *asking, struct byoh_error *err)
{
	const struct byoh_evidence *evidence = asking->evidence;
	char path[256];
	int rc = 0;

	snprintf(path, sizeof(path), CSRS "/byoh-csr-%.64s", byoh_evidence_node_name(evidence));
	if (byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT) &&
	    !evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].exists)
		rc = ask_for_requests(asking, path, "/var/lib/byoh/byoh-client.key.tmp", err);
	if (rc == 0 && evidence->kubelet.exists &&
	    !evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists)
		rc = ask_for_requests(asking,
				      CSRS "?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkube-"
					   "apiserver-client-kubelet",
				      BYOH_KUBELET_CERTIFICATES "/kubelet-client.key.tmp", err);
	if (rc == 0 && evidence->kubelet.serving_bootstrap &&
	    !evidence->kubelet.serving_certificate)
		rc = ask_for_requests(
			asking,
			CSRS "?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving",
			NULL, err);
	return rc;
}

/* The one that its services go by: what the host was given last goes behind what it has of its own.
 */
static bool choose(struct asking *asking)
{
	static const struct {
		enum byoh_doctor_kubeconfig which;
		const char *identity;
	} order[] = {
		{ BYOH_DOCTOR_KUBELET_KUBECONFIG, "node" },
		{ BYOH_DOCTOR_AGENT_CONFIG, "agent" },
		{ BYOH_DOCTOR_KUBELET_BOOTSTRAP, "token" },
		{ BYOH_DOCTOR_AGENT_BOOTSTRAP, "token" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const struct byoh_kubeconfig_evidence *it =
			&asking->evidence->kubeconfigs[order[i].which];

		if (!it->exists || it->fault || !it->ca.size ||
		    byoh_kubeconfig_view_file(asking->evidence->host->root_fd,
					      byoh_doctor_kubeconfig_path(order[i].which),
					      &asking->view, NULL) < 0)
			continue;
		asking->evidence->api.identity = order[i].identity;
		return true;
	}
	return false;
}

static void release_asking(struct asking *asking)
{
	byoh_kubeconfig_view_release(&asking->view);
}

static bool prepare(struct asking *asking)
{
	const struct byoh_config *config = asking->evidence->config;
	const struct byoh_kubeconfig_view *view = &asking->view;

	if (choose(asking)) {
		asking->request = (struct byoh_api_request){ .server = view->server,
							     .ca = &view->ca,
							     .token = view->token };
		if (view->certificate.size && view->key.size) {
			asking->request.token = NULL;
			asking->request.certificate = byoh_buffer_text(&view->certificate);
			asking->request.key = byoh_buffer_text(&view->key);
		}
		return true;
	}
	if (!config || !config->cluster.server || !config->cluster.ca.size)
		return false;
	asking->request = (struct byoh_api_request){ .server = config->cluster.server,
						     .ca = &config->cluster.ca };
	return true;
}

int byoh_gather_api(struct byoh_evidence *evidence, struct byoh_error *err)
{
	CLEANUP(release_asking) struct asking asking = { .evidence = evidence };
	int rc;

	if (!evidence->host->live || !evidence->host->outside || !prepare(&asking))
		return 0;
	evidence->api.asked = true;
	rc = ask_for_node(&asking, err);
	if (rc < 0 || evidence->api.failure || evidence->api.status == 401)
		return rc;
	return ask_for_all_requests(&asking, err);
}
