/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/join-answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/credentials.h"
#include "installer/net/api.h"

#define REQUEST_MAX ((size_t)64 << 10)

/*
 * Requests
 */

static const char *text_of(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && node->type == BYOH_YAML_SCALAR ? node->text : "";
}

static bool is_equal(const char *text, const char *wanted)
{
	return !wanted || strcmp(text, wanted) == 0;
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static X509_REQ *read_request(const char *encoded)
{
	CLEANUP_BUFFER struct byoh_buffer pem = { 0 };
	CLEANUP(free_bio) BIO *bio = NULL;
	X509_REQ *request;

	if (strlen(encoded) > REQUEST_MAX || byoh_base64_decode(encoded, &pem, NULL) < 0 || !pem.size)
		return NULL;
	bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
	ERR_clear_error();
	return request;
}

static bool has_common_name(X509_REQ *request, const char *wanted)
{
	char name[256];
	int length = X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name, sizeof(name));

	return length > 0 && (size_t)length == strlen(wanted) && memcmp(name, wanted, (size_t)length) == 0;
}

static bool has_key(X509_REQ *request, const struct byoh_buffer *pem)
{
	CLEANUP(free_bio) BIO *bio = pem && pem->size ? BIO_new_mem_buf(pem->data, (int)pem->size) : NULL;
	CLEANUP(free_key) EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	bool same = !key || EVP_PKEY_eq(X509_REQ_get0_pubkey(request), key) == 1;

	ERR_clear_error();
	return same;
}

/* A cluster lets a request have any name without a slash: this one comes to stand in a command to be copied. */
static bool is_plain_name(const char *name)
{
	return name[0] && name[0] != '-' && !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
								"0123456789.-_:")];
}

/* 1; 0: it is of no concern; -1: it is ours by its names and not by its key. */
static int is_wanted(const struct byoh_yaml_node *item, const struct byoh_request_wanted *wanted)
{
	const struct byoh_yaml_node *spec = byoh_yaml_get(item, "spec");
	CLEANUP(free_request) X509_REQ *request = NULL;

	if (!is_plain_name(text_of(byoh_yaml_get(item, "metadata"), "name")) ||
	    !is_equal(text_of(spec, "signerName"), wanted->signer) ||
	    !is_equal(text_of(spec, "username"), wanted->username))
		return 0;
	request = read_request(text_of(spec, "request"));
	if (!request || !has_common_name(request, wanted->common_name))
		return 0;
	return has_key(request, wanted->key) ? 1 : -1;
}

/* A denied or failed one stays so, whatever else is said of it. */
static enum byoh_request_state state_of(const struct byoh_yaml_node *status, const struct byoh_yaml_node **ret_condition)
{
	static const struct {
		const char *type;
		enum byoh_request_state state;
	} types[] = { { "Denied", BYOH_REQUEST_DENIED }, { "Failed", BYOH_REQUEST_FAILED }, { "Approved", BYOH_REQUEST_APPROVED } };
	const struct byoh_yaml_node *conditions = byoh_yaml_get(status, "conditions");

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (size_t k = 0; conditions && conditions->type == BYOH_YAML_SEQUENCE && k < conditions->count; k++) {
			*ret_condition = conditions->items[k];
			if (strcmp(text_of(*ret_condition, "type"), types[i].type) == 0)
				return types[i].state == BYOH_REQUEST_APPROVED && text_of(status, "certificate")[0] ?
					       BYOH_REQUEST_ISSUED : types[i].state;
		}
	}
	*ret_condition = NULL;
	return BYOH_REQUEST_PENDING;
}

static void take(const struct byoh_yaml_node *item, bool ours, struct byoh_join_request *ret)
{
	const struct byoh_yaml_node *metadata = byoh_yaml_get(item, "metadata"), *condition;
	const char *message;

	ret->state = state_of(byoh_yaml_get(item, "status"), &condition);
	if (!ours)
		ret->state = BYOH_REQUEST_FOREIGN;
	snprintf(ret->name, sizeof(ret->name), "%s", text_of(metadata, "name"));
	snprintf(ret->created, sizeof(ret->created), "%s", text_of(metadata, "creationTimestamp"));
	message = text_of(condition, "message");
	snprintf(ret->reason, sizeof(ret->reason), "%s", message[0] ? message : text_of(condition, "reason"));
	byoh_make_printable(ret->reason); /* a stranger's words on the operator's terminal */
}

static void look_at(const struct byoh_yaml_node *item, const struct byoh_request_wanted *wanted, struct byoh_join_request *ret)
{
	struct byoh_join_request one = { 0 }, last = *ret;
	int is = is_wanted(item, wanted);

	if (!is)
		return;
	take(item, is > 0, &one);
	if (last.state == BYOH_REQUEST_NONE || strcmp(one.created, last.created) > 0) {
		*ret = one;
		one = last;
	}
	memcpy(ret->denied, one.state == BYOH_REQUEST_DENIED ? one.name : last.denied, sizeof(ret->denied));
}

int byoh_request_find(const char *text, size_t size, const struct byoh_request_wanted *wanted, struct byoh_join_request *ret,
		  struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *root, *items;
	int rc = byoh_yaml_parse(text, size, "the API server's answer", BYOH_ERROR_FORMAT, &doc, err);

	*ret = (struct byoh_join_request){ 0 };
	if (rc < 0)
		return rc;
	root = byoh_yaml_root(doc);
	items = byoh_yaml_get(root, "items");
	if (!items)
		look_at(root, wanted, ret);
	for (size_t i = 0; items && items->type == BYOH_YAML_SEQUENCE && i < items->count; i++)
		look_at(items->items[i], wanted, ret);
	return 0;
}

/*
 * Answers
 */

void byoh_join_look_fail(struct byoh_join_look *look, int rc, const struct byoh_error *err)
{
	look->reason = rc == -BYOH_API_STRANGER || rc == -BYOH_API_OTHER_NAME ? BYOH_JOIN_STRANGER :
		       rc == -BYOH_API_CLOCK ? BYOH_JOIN_CLOCK :
		       rc == -EPROTO || rc == -EFBIG || rc == -EBADMSG ? BYOH_JOIN_SERVER : BYOH_JOIN_UNREACHABLE;
	snprintf(look->detail, sizeof(look->detail), "%.500s", err->message);
	byoh_make_printable(look->detail);
}

void byoh_join_look_status(struct byoh_join_look *look, unsigned int status)
{
	look->csr = (struct byoh_join_request){ 0 };
	look->detail[0] = '\0';
	look->reason = status == 401 ? BYOH_JOIN_TOKEN : status == 403 ? BYOH_JOIN_RIGHTS :
		       status == 404 ? BYOH_JOIN_NO_REQUEST : BYOH_JOIN_SERVER;
	if (look->reason == BYOH_JOIN_SERVER)
		snprintf(look->detail, sizeof(look->detail), "the API server answers with status %u", status);
}

int byoh_join_look_answer(struct byoh_join_look *look, const struct byoh_buffer *body,
			  const struct byoh_request_wanted *wanted, struct byoh_error *err)
{
	static const enum byoh_join_reason reasons[] = {
		[BYOH_REQUEST_NONE] = BYOH_JOIN_NO_REQUEST,	  [BYOH_REQUEST_PENDING] = BYOH_JOIN_UNAPPROVED,
		[BYOH_REQUEST_APPROVED] = BYOH_JOIN_UNSIGNED, [BYOH_REQUEST_ISSUED] = BYOH_JOIN_UNSIGNED,
		[BYOH_REQUEST_DENIED] = BYOH_JOIN_DENIED,	  [BYOH_REQUEST_FAILED] = BYOH_JOIN_SIGNER_FAILED,
		[BYOH_REQUEST_FOREIGN] = BYOH_JOIN_FOREIGN,
	};
	int rc = byoh_request_find(byoh_buffer_text(body), body->size, wanted, &look->csr, err);

	if (rc < 0)
		return rc;
	look->detail[0] = '\0';
	look->reason = reasons[look->csr.state];
	return 0;
}

/*
 * Words
 */

static const struct {
	const char *word, *reason;
	bool may_change;
} words[] = {
	[BYOH_JOIN_JOINED] = { "joined", NULL, false },
	[BYOH_JOIN_STARTED] = { "started", NULL, false },
	[BYOH_JOIN_NO_CREDENTIALS] = { "pending", "credentials", false },
	[BYOH_JOIN_NO_REQUEST] = { "pending", "request", true },
	[BYOH_JOIN_FOREIGN] = { "pending", "oldRequest", true },
	[BYOH_JOIN_UNAPPROVED] = { "pending", "approval", true },
	[BYOH_JOIN_UNSIGNED] = { "pending", "certificate", true },
	[BYOH_JOIN_DENIED] = { "denied", "denied", false },
	[BYOH_JOIN_SIGNER_FAILED] = { "failed", "signer", false },
	[BYOH_JOIN_TOKEN] = { "pending", "token", false },
	[BYOH_JOIN_RIGHTS] = { "pending", "rights", true },
	[BYOH_JOIN_UNREACHABLE] = { "pending", "unreachable", true },
	[BYOH_JOIN_STRANGER] = { "pending", "ca", false },
	[BYOH_JOIN_CLOCK] = { "pending", "clock", false },
	[BYOH_JOIN_SERVER] = { "pending", "server", true },
	[BYOH_JOIN_STALE] = { "pending", "stale", false },
};

bool byoh_join_may_change(enum byoh_join_reason reason)
{
	return words[reason].may_change;
}

const char *byoh_join_word(enum byoh_join_reason reason)
{
	return words[reason].word;
}

const char *byoh_join_reason_word(enum byoh_join_reason reason)
{
	return words[reason].reason;
}

#define ANEW "`byoh-install join --again`"

static const char *request_remedy(const struct byoh_join_look *look)
{
	return look->agent ? "see journalctl -u byoh-hostagent" : "see journalctl -u kubelet";
}

/* The agent's has a name of its own, under which it asks and is answered again. */
static int say_denied(const struct byoh_join_look *look, struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *denied = look->reason == BYOH_JOIN_DENIED ? "was denied" : "could not be signed";
	const char *separator = look->csr.reason[0] ? ": " : "";
	int rc = byoh_buffer_printf(ret, err, "join: %s; the request %s %s%s%.200s; if that was a mistake: kubectl "
				    "delete csr %s", byoh_join_word(look->reason), look->csr.name, denied, separator,
				    look->csr.reason, look->csr.name);

	return rc < 0 ? rc : byoh_buffer_add_string(ret, look->agent ?
		", and systemctl restart byoh-hostagent here" : ", and systemctl restart kubelet here", err);
}

static int say_detail(const struct byoh_join_look *look, const char *remedy, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	return byoh_buffer_printf(ret, err, "join: pending; %s%s%s", look->detail, remedy[0] ? "; " : "", remedy);
}

int byoh_join_sentence(const struct byoh_join_look *look, struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *who = look->agent ? "agent" : "kubelet";

	switch (look->reason) {
	case BYOH_JOIN_JOINED:
		return byoh_buffer_printf(ret, err, "joined: the %s has its certificate", who);
	case BYOH_JOIN_NO_CREDENTIALS:
		return byoh_buffer_add_string(ret, "join: pending; bring the token with `byoh-install join "
					      "--token-file FILE`, or --kubeconfig FILE", err);
	case BYOH_JOIN_NO_REQUEST:
		return byoh_buffer_printf(ret, err, "join: pending; the cluster has no request of this host's %s yet; "
					  "%s", who, request_remedy(look));
	case BYOH_JOIN_FOREIGN:
		return byoh_buffer_printf(ret, err, "join: pending; the cluster has a request %s that was not made with "
					  "this host's key: of an earlier installation, or of another host of this name; "
					  "kubectl delete csr %s, and the agent asks again", look->csr.name,
					  look->csr.name);
	case BYOH_JOIN_UNAPPROVED:
		return byoh_buffer_printf(ret, err, "join: pending; the cluster has to approve the %s's request: kubectl "
					  "certificate approve %s%s%s%s", who, look->csr.name,
					  look->csr.denied[0] ? " (" : "", look->csr.denied,
					  look->csr.denied[0] ? ", which it made before, was denied)" : "");
	case BYOH_JOIN_UNSIGNED:
		return byoh_buffer_printf(ret, err, "join: pending; the %s's request %s is approved, and its certificate "
					  "has not come yet; see the controller manager's log if it does not", who,
					  look->csr.name);
	case BYOH_JOIN_DENIED:
	case BYOH_JOIN_SIGNER_FAILED:
		return say_denied(look, ret, err);
	case BYOH_JOIN_TOKEN:
		return byoh_buffer_add_string(ret, "join: pending; the API server does not accept the token: it is "
					      "unknown there or has expired, and the server does not tell which; make "
					      "another with `kubeadm token create` and bring it with `byoh-install join "
					      "--token-file -`", err);
	case BYOH_JOIN_RIGHTS:
		return byoh_buffer_add_string(ret, "join: pending; the API server knows the token, and does not let it "
					      "look at certificate requests: kubectl create clusterrolebinding "
					      "byoh-bootstrap --clusterrole=system:node-bootstrapper "
					      "--group=system:bootstrappers", err);
	case BYOH_JOIN_UNREACHABLE:
		return say_detail(look, "it goes on by itself as soon as the server is there", ret, err);
	case BYOH_JOIN_STRANGER:
		return say_detail(look, "bring the right CA with `byoh-install join --ca FILE`, or find out who "
				  "answers there", ret, err);
	case BYOH_JOIN_STALE:
		return say_detail(look, "the agent goes by that and does not look at the token; " ANEW
				  " puts it aside and lets it ask anew", ret, err);
	default:
		return say_detail(look, "", ret, err);
	}
}

int byoh_join_approve_command(const struct byoh_join_look *look, struct byoh_buffer *ret, struct byoh_error *err)
{
	if (look->reason != BYOH_JOIN_UNAPPROVED)
		return 0;
	return byoh_buffer_printf(ret, err, "kubectl certificate approve %s", look->csr.name);
}
