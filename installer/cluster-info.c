/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/cluster-info.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"

#define ID_LENGTH 6
#define SIGNATURE_PREFIX "jws-kubeconfig-"
#define NAME "cluster-info"

void byoh_cluster_info_release(struct byoh_cluster_info *info)
{
	byoh_buffer_release(&info->kubeconfig);
	byoh_buffer_release(&info->ca);
	byoh_buffer_release(&info->pinned);
	free(info->server);
	*info = (struct byoh_cluster_info){ 0 };
}

/* RFC 4648, section 5, without padding. */
static int add_base64url(struct byoh_buffer *ret, const void *bytes, size_t size, struct byoh_error *err)
{
	size_t start = ret->size;
	int r = byoh_base64_encode(bytes, size, ret, err);

	if (r < 0)
		return r;
	while (ret->size > start && ret->data[ret->size - 1] == '=')
		ret->data[--ret->size] = '\0';
	for (size_t i = start; i < ret->size; i++)
		ret->data[i] = ret->data[i] == '+' ? '-' : ret->data[i] == '/' ? '_' : ret->data[i];
	return 0;
}

/* The kid is the id alone; byte for byte what the control plane makes, since strings are compared. */
static int add_header(struct byoh_buffer *ret, const char *token, size_t id_length, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer header = { 0 };
	int r = byoh_buffer_printf(&header, err, "{\"alg\":\"HS256\",\"kid\":\"%.*s\"}", (int)id_length, token);

	return r < 0 ? r : add_base64url(ret, header.data, header.size, err);
}

int byoh_cluster_info_sign(const char *token, const void *text, size_t size, struct byoh_buffer *ret,
			   struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer message = { 0 };
	unsigned char mac[EVP_MAX_MD_SIZE];
	const char *dot = strchr(token, '.');
	unsigned int length = 0;
	int r;

	if (!dot)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "the token is no bootstrap token");
	r = add_header(&message, token, (size_t)(dot - token), err);
	if (r == 0)
		r = byoh_buffer_printf(ret, err, "%s..", message.data);
	if (r == 0)
		r = byoh_buffer_add_string(&message, ".", err);
	if (r == 0)
		r = add_base64url(&message, text, size, err);
	if (r < 0)
		return r;
	if (!HMAC(EVP_sha256(), dot + 1, (int)strlen(dot + 1), (const unsigned char *)message.data, message.size, mac,
		  &length))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot compute a signature");
	return add_base64url(ret, mac, length, err);
}

static int open_answer(const char *answer, size_t size, struct byoh_yaml **ret, const struct byoh_yaml_node **ret_data,
		       const char **ret_kubeconfig, struct byoh_error *err)
{
	int r = byoh_yaml_parse(answer, size, NAME, BYOH_ERROR_FORMAT, ret, err);

	if (r == 0)
		r = byoh_yaml_read_node(*ret, byoh_yaml_root(*ret), "data", BYOH_YAML_MAPPING, true, ret_data, err);
	return r < 0 ? r : byoh_yaml_read_string(*ret, *ret_data, "kubeconfig", true, ret_kubeconfig, err);
}

static int check_signature(const struct byoh_yaml *doc, const struct byoh_yaml_node *data, const char *token,
			   const char *kubeconfig, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer expected = { 0 };
	char key[sizeof(SIGNATURE_PREFIX) + ID_LENGTH];
	const char *signature = NULL;
	int r;

	memcpy(key, SIGNATURE_PREFIX, sizeof(SIGNATURE_PREFIX) - 1);
	memcpy(key + sizeof(SIGNATURE_PREFIX) - 1, token, ID_LENGTH);
	key[sizeof(key) - 1] = '\0';
	r = byoh_yaml_read_string(doc, data, key, false, &signature, err);
	if (r == 0 && !signature)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOKEY,
				 "the cluster has no signature by the token %.6s: it has expired, is of another "
				 "cluster, or may not sign (usage-bootstrap-signing); make a fresh one with "
				 "`kubeadm token create`", token);
	if (r == 0)
		r = byoh_cluster_info_sign(token, kubeconfig, strlen(kubeconfig), &expected, err);
	if (r < 0)
		return r;
	if (strlen(signature) != expected.size || CRYPTO_memcmp(signature, expected.data, expected.size) != 0)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "the signature of cluster-info is not by the token %.6s that was given here: its "
				 "second half is mistyped, or somebody else answers in the cluster's place", token);
	return 0;
}

static const struct byoh_yaml_node *only_cluster(const struct byoh_yaml *doc)
{
	const struct byoh_yaml_node *clusters = byoh_yaml_get(byoh_yaml_root(doc), "clusters");

	return clusters && clusters->type == BYOH_YAML_SEQUENCE && clusters->count == 1
		       ? byoh_yaml_get(clusters->items[0], "cluster") : NULL;
}

static int read_cluster(const char *text, struct byoh_cluster_info *ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *cluster;
	const char *server = NULL, *ca = NULL;
	int r = byoh_yaml_parse(text, strlen(text), NAME, BYOH_ERROR_FORMAT, &doc, err);

	if (r < 0)
		return r;
	cluster = only_cluster(doc);
	if (!cluster)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, NAME " holds no kubeconfig of one cluster");
	r = byoh_yaml_read_string(doc, cluster, "certificate-authority-data", true, &ca, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, cluster, "server", true, &server, err);
	if (r == 0)
		r = byoh_base64_decode(ca, &ret->ca, err);
	if (r == 0 && byoh_server_url(server, &ret->server) < 0)
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, NAME ": the server is no " BYOH_SERVER_URL_FORM);
	return r;
}

static int check_pin(const char *pin, struct byoh_cluster_info *info, struct byoh_error *err)
{
	struct byoh_error inner = BYOH_ERROR_INIT;
	int r = byoh_ca_check(byoh_buffer_text(&info->ca), info->ca.size, NULL, &inner);

	if (r < 0)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, NAME ": %s", inner.message);
	r = byoh_ca_select(info->ca.data, info->ca.size, pin, &info->pinned, err);
	if (r < 0 || info->pinned.size)
		return r;
	return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
			 "no CA of the cluster that answers has the pin %s: the pin is of another cluster, or somebody "
			 "else answers in its place; a control plane tells the pin (`kubeadm token create "
			 "--print-join-command`)", pin);
}

int byoh_cluster_info_read(const char *answer, size_t size, const char *token, const char *pin,
			   struct byoh_cluster_info *ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_CLUSTER_INFO struct byoh_cluster_info info = { 0 };
	const struct byoh_yaml_node *data = NULL;
	const char *kubeconfig = NULL;
	int r;

	if (!byoh_token_is_bootstrap(token))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "a cluster is found by a bootstrap token only (6 characters, a dot, 16 characters of a-z "
				 "and 0-9); give its CA itself, cluster.ca: {file: ca.crt}");
	r = open_answer(answer, size, &doc, &data, &kubeconfig, err);
	if (r == 0)
		r = check_signature(doc, data, token, kubeconfig, err);
	if (r == 0)
		r = byoh_buffer_add_string(&info.kubeconfig, kubeconfig, err);
	if (r == 0)
		r = read_cluster(kubeconfig, &info, err);
	if (r == 0)
		r = check_pin(pin, &info, err);
	if (r < 0)
		return r;
	*ret = info;
	info = (struct byoh_cluster_info){ 0 };
	return 0;
}

int byoh_cluster_info_confirm(const struct byoh_cluster_info *info, const char *answer, size_t size,
			      struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *data = NULL;
	const char *kubeconfig = NULL;
	int r = open_answer(answer, size, &doc, &data, &kubeconfig, err);

	if (r < 0)
		return r;
	if (strcmp(kubeconfig, byoh_buffer_text(&info->kubeconfig)) != 0)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "the cluster that proves itself by the pinned CA says something else than what was "
				 "answered first: somebody stands between, or the cluster changed just now; try again");
	return 0;
}
