/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubeconfig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"

#define BOOTSTRAP_REMEDY                                                                    \
	"make one that holds server, CA and a fresh token (kubeadm token create; kubectl config set-cluster " \
	"--embed-certs, set-credentials --token)"

/* What a check needs to know while it walks through a kubeconfig. */
struct reading {
	const struct byoh_yaml *doc;
	bool certificate_allowed; /* kube-proxy may come with a client certificate */
};

void byoh_kubeconfig_free(struct byoh_kubeconfig *kubeconfig)
{
	if (!kubeconfig)
		return;
	free(kubeconfig->server);
	byoh_buffer_release(&kubeconfig->ca);
	byoh_secret_free(kubeconfig->token);
	free(kubeconfig);
}

void byoh_kubeconfig_freep(struct byoh_kubeconfig **kubeconfig)
{
	byoh_kubeconfig_free(*kubeconfig);
}

struct names {
	struct byoh_buffer cluster, context; /* quoted: "123" is a name and no number */
};

static void names_release(struct names *names)
{
	byoh_buffer_release(&names->cluster);
	byoh_buffer_release(&names->context);
}

/* The context is USER@CLUSTER, as kubeadm calls it. */
static int choose_names(const char *cluster, const char *user, struct names *ret, struct byoh_error *err)
{
	int r;

	if (!cluster) {
		r = byoh_buffer_add_string(&ret->cluster, "default-cluster", err);
		return r < 0 ? r : byoh_buffer_add_string(&ret->context, "default-context", err);
	}
	r = byoh_json_quote(&ret->cluster, cluster, err);
	return r < 0 ? r : byoh_buffer_printf(&ret->context, err, "\"%s@%s\"", user, cluster);
}

/* What a user comes with: a token, or certificate and key. */
struct credential {
	const char *token;
	const struct byoh_buffer *certificate, *key;
};

static int write_credential(const struct credential *credential, struct byoh_buffer *ret, struct byoh_error *err)
{
	if (credential->token) {
		TRY(byoh_buffer_add_string(ret, "    token: ", err));
		TRY(byoh_json_quote(ret, credential->token, err));
		return byoh_buffer_add_string(ret, "\n", err);
	}
	/* At once: what grows leaves copies behind. */
	TRY(byoh_buffer_reserve(ret, 2 * (credential->certificate->size + credential->key->size) + 128, err));
	TRY(byoh_buffer_add_string(ret, "    client-certificate-data: ", err));
	TRY(byoh_base64_encode(credential->certificate->data, credential->certificate->size, ret, err));
	TRY(byoh_buffer_add_string(ret, "\n    client-key-data: ", err));
	TRY(byoh_base64_encode(credential->key->data, credential->key->size, ret, err));
	return byoh_buffer_add_string(ret, "\n", err);
}

static int write_kubeconfig(const char *cluster, const char *server, const struct byoh_buffer *ca,
			    const struct credential *credential, const char *user, struct byoh_buffer *ret,
			    struct byoh_error *err)
{
	CLEANUP(names_release) struct names names = {0};
	CLEANUP_BUFFER struct byoh_buffer ca_text = {0};
	CLEANUP_BUFFER struct byoh_buffer server_text = {0};
	CLEANUP_SECRET_BUFFER struct byoh_buffer credential_text = {0};
	int r = byoh_base64_encode(ca->data, ca->size, &ca_text, err);

	if (r == 0)
		r = choose_names(cluster, user, &names, err);
	if (r == 0)
		r = byoh_json_quote(&server_text, server, err);
	if (r == 0)
		r = write_credential(credential, &credential_text, err);
	if (r < 0)
		return r;
	return byoh_buffer_printf(ret, err,
				  "apiVersion: v1\n"
				  "kind: Config\n"
				  "clusters:\n"
				  "- name: %s\n"
				  "  cluster:\n"
				  "    certificate-authority-data: %s\n"
				  "    server: %s\n"
				  "contexts:\n"
				  "- name: %s\n"
				  "  context:\n"
				  "    cluster: %s\n"
				  "    namespace: default\n"
				  "    user: %s\n"
				  "current-context: %s\n"
				  "users:\n"
				  "- name: %s\n"
				  "  user:\n"
				  "%s",
				  byoh_buffer_text(&names.cluster), byoh_buffer_text(&ca_text),
				  byoh_buffer_text(&server_text), byoh_buffer_text(&names.context),
				  byoh_buffer_text(&names.cluster), user, byoh_buffer_text(&names.context),
				  user, byoh_buffer_text(&credential_text));
}

int byoh_kubeconfig_write_bootstrap(const char *cluster, const char *server, const struct byoh_buffer *ca,
				    const char *token, struct byoh_buffer *ret, struct byoh_error *err)
{
	return write_kubeconfig(cluster, server, ca, &(struct credential){ .token = token }, "default-auth", ret, err);
}

int byoh_kubeconfig_write_proxy(const char *cluster, const char *server, const struct byoh_buffer *ca,
				const char *token, struct byoh_buffer *ret, struct byoh_error *err)
{
	return write_kubeconfig(cluster, server, ca, &(struct credential){ .token = token }, "kube-proxy", ret, err);
}

int byoh_kubeconfig_write_certificate(const char *cluster, const char *server, const struct byoh_buffer *ca,
				      const struct byoh_buffer *certificate, const struct byoh_buffer *key,
				      struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct credential credential = { .certificate = certificate, .key = key };

	return write_kubeconfig(cluster, server, ca, &credential, "kube-proxy", ret, err);
}

/* Keys whose presence alone refuses, with the reason. */
struct refused_key {
	const char *key, *reason;
};

static const struct refused_key refused_in_cluster[] = {
	{ "certificate-authority",
	  "names a file of another machine; embed it (kubectl config view --flatten --raw)" },
	{ "proxy-url", "sends the API traffic through a proxy; nothing but the API server is ever contacted" },
	{ "tls-server-name", "is not supported; use the name that the server's certificate holds" },
};

static const struct refused_key refused_in_user[] = {
	{ "exec", "runs a program for its credentials; " BOOTSTRAP_REMEDY },
	{ "auth-provider", "asks a provider for its credentials; " BOOTSTRAP_REMEDY },
	{ "username", "is a person's login; " BOOTSTRAP_REMEDY },
	{ "password", "is a person's login; " BOOTSTRAP_REMEDY },
	{ "as", "impersonates another user; " BOOTSTRAP_REMEDY },
	{ "as-uid", "impersonates another user; " BOOTSTRAP_REMEDY },
	{ "as-groups", "impersonates other users; " BOOTSTRAP_REMEDY },
	{ "as-user-extra", "impersonates another user; " BOOTSTRAP_REMEDY },
	{ "client-certificate", "names a file of another machine; embed what is needed (--embed-certs)" },
	{ "client-key", "names a file of another machine; embed what is needed (--embed-certs)" },
	{ "tokenFile", "names a file of another machine; put the token itself into the kubeconfig" },
};

static int refuse_keys(const struct reading *reading, const struct byoh_yaml_node *map,
		       const struct refused_key *refused, size_t count, struct byoh_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct byoh_yaml_node *node = byoh_yaml_get(map, refused[i].key);

		if (node && !byoh_yaml_is_null(node))
			return byoh_yaml_fail(reading->doc, node, err, "\"%s\" %s", refused[i].key,
					      refused[i].reason);
	}
	return 0;
}

/* The mapping `inner` of the entry of the list `list` that has this name. */
static int find_named(const struct reading *reading, const char *list, const char *inner, const char *name,
		      const struct byoh_yaml_node **ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *entries = NULL;
	const struct byoh_yaml_node *root = byoh_yaml_root(reading->doc);
	int r = byoh_yaml_read_node(reading->doc, root, list, BYOH_YAML_SEQUENCE, true, &entries, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < entries->count; i++) {
		const struct byoh_yaml_node *entry = entries->items[i];
		const char *entry_name = "";

		if (entry->type != BYOH_YAML_MAPPING)
			return byoh_yaml_fail(reading->doc, entry, err, "expected a mapping (key: value)");
		r = byoh_yaml_read_string(reading->doc, entry, "name", false, &entry_name, err);
		if (r < 0)
			return r;
		if (strcmp(entry_name, name) == 0)
			return byoh_yaml_read_node(reading->doc, entry, inner, BYOH_YAML_MAPPING, true,
						   ret, err);
	}
	return byoh_yaml_fail(reading->doc, entries, err, "there is no \"%s\" among \"%s\"", name, list);
}

/* Says what the certificate is, so that whoever shipped an admin's learns it. */
static int refuse_certificate(const struct reading *reading, const struct byoh_yaml_node *node,
			      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer pem = {0};
	bool admin = false;
	int r = node->type == BYOH_YAML_SCALAR ? byoh_base64_decode(node->text, &pem, err) : -EINVAL;

	if (r == 0)
		r = byoh_certificate_is_admin(pem.data, pem.size, &admin, err);
	if (r < 0)
		return byoh_yaml_fail(reading->doc, node, err,
				      "\"client-certificate-data\" is no certificate in base64; "
				      BOOTSTRAP_REMEDY);
	if (admin)
		return byoh_yaml_fail(reading->doc, node, err,
				      "an admin kubeconfig in place of a bootstrap one: with it every host "
				      "could do everything in the cluster; " BOOTSTRAP_REMEDY);
	if (reading->certificate_allowed)
		return 0;
	return byoh_yaml_fail(reading->doc, node, err,
			      "a client certificate in a bootstrap kubeconfig, which holds a token only; "
			      BOOTSTRAP_REMEDY);
}

static int check_user(const struct reading *reading, const struct byoh_yaml_node *user,
		      struct byoh_error *err)
{
	const struct byoh_yaml_node *certificate = byoh_yaml_get(user, "client-certificate-data");
	const struct byoh_yaml_node *key = byoh_yaml_get(user, "client-key-data");
	int r;

	if (certificate && !byoh_yaml_is_null(certificate)) {
		r = refuse_certificate(reading, certificate, err);
		if (r < 0)
			return r;
	}
	if (key && !byoh_yaml_is_null(key) && !reading->certificate_allowed)
		return byoh_yaml_fail(reading->doc, key, err,
				      "a client key in a bootstrap kubeconfig, which holds a token only; "
				      BOOTSTRAP_REMEDY);
	return refuse_keys(reading, user, refused_in_user, ARRAY_SIZE(refused_in_user), err);
}

/* Every user, not only the current one: the file lies on the host as a whole. */
static int check_users(const struct reading *reading, struct byoh_error *err)
{
	const struct byoh_yaml_node *users = NULL;
	const struct byoh_yaml_node *root = byoh_yaml_root(reading->doc);
	int r = byoh_yaml_read_node(reading->doc, root, "users", BYOH_YAML_SEQUENCE, true, &users, err);

	for (size_t i = 0; r == 0 && i < users->count; i++)
		r = check_user(reading, byoh_yaml_get(users->items[i], "user"), err);
	return r;
}

static int read_ca(const struct reading *reading, const struct byoh_yaml_node *cluster,
		   struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(cluster, "certificate-authority-data");
	struct byoh_error inner = BYOH_ERROR_INIT;

	if (!node || byoh_yaml_is_null(node))
		return byoh_yaml_fail(reading->doc, cluster, err,
				      "the key \"certificate-authority-data\" is missing, so the server could "
				      "not be verified; embed the CA (kubectl config set-cluster --embed-certs "
				      "--certificate-authority=ca.crt)");
	if (node->type != BYOH_YAML_SCALAR || byoh_base64_decode(node->text, ret, &inner) < 0)
		return byoh_yaml_fail(reading->doc, node, err,
				      "\"certificate-authority-data\" is not base64; embed the CA again "
				      "(kubectl config set-cluster --embed-certs)");
	if (byoh_ca_check(ret->data, ret->size, NULL, &inner) < 0)
		return byoh_yaml_fail(reading->doc, node, err, "%s", inner.message);
	return 0;
}

static int read_cluster(const struct reading *reading, const char *name, struct byoh_kubeconfig *ret,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *cluster = NULL;
	const struct byoh_yaml_node *server;
	const char *url = NULL;
	bool insecure = false;
	int r = find_named(reading, "clusters", "cluster", name, &cluster, err);

	if (r == 0)
		r = refuse_keys(reading, cluster, refused_in_cluster, ARRAY_SIZE(refused_in_cluster), err);
	if (r == 0)
		r = byoh_yaml_read_bool(reading->doc, cluster, "insecure-skip-tls-verify", false, &insecure,
					err);
	if (r < 0)
		return r;
	if (insecure)
		return byoh_yaml_fail(reading->doc, byoh_yaml_get(cluster, "insecure-skip-tls-verify"), err,
				      "\"insecure-skip-tls-verify\" would let anybody play the API server; "
				      "remove it and embed the CA");
	r = byoh_yaml_read_string(reading->doc, cluster, "server", true, &url, err);
	if (r < 0)
		return r;
	server = byoh_yaml_get(cluster, "server");
	r = byoh_server_url(url, &ret->server);
	if (r == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r < 0)
		return byoh_yaml_fail(reading->doc, server, err, "\"server\" must be " BYOH_SERVER_URL_FORM);
	return read_ca(reading, cluster, &ret->ca, err);
}

static int read_bootstrap_token(const struct reading *reading, const struct byoh_yaml_node *user,
				bool opaque_token, struct byoh_kubeconfig *ret, struct byoh_error *err)
{
	const char *token = NULL;
	int r = byoh_yaml_read_string(reading->doc, user, "token", false, &token, err);

	if (r < 0)
		return r;
	if (!token || !*token)
		return byoh_yaml_fail(reading->doc, user, err, "the user has no token; " BOOTSTRAP_REMEDY);
	if (!byoh_token_is_bootstrap(token) &&
	    !(opaque_token && byoh_token_is_opaque(token, BYOH_STATIC_TOKEN_MAX)))
		return byoh_yaml_fail(reading->doc, byoh_yaml_get(user, "token"), err,
				      opaque_token ? "the token may hold printable characters without spaces "
						     "only, at most 1024"
						   : "the token is no bootstrap token (6 characters, a dot, 16 "
						     "characters of a-z and 0-9); make one with kubeadm token "
						     "create");
	ret->token = strdup(token);
	return ret->token ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* kube-proxy's: a token, or certificate and key together. */
static int check_proxy_user(const struct reading *reading, const struct byoh_yaml_node *user,
			    struct byoh_error *err)
{
	const struct byoh_yaml_node *key = byoh_yaml_get(user, "client-key-data");
	const struct byoh_yaml_node *certificate = byoh_yaml_get(user, "client-certificate-data");
	const char *token = NULL;
	int r = byoh_yaml_read_string(reading->doc, user, "token", false, &token, err);

	if (r < 0)
		return r;
	if (token && !byoh_token_is_opaque(token, BYOH_ACCOUNT_TOKEN_MAX))
		return byoh_yaml_fail(reading->doc, byoh_yaml_get(user, "token"), err,
				      "the token may hold printable characters without spaces only");
	if (!key != !certificate)
		return byoh_yaml_fail(reading->doc, key ? key : certificate, err,
				      "a client certificate and its key belong together; embed both");
	if (!token && !key)
		return byoh_yaml_fail(reading->doc, user, err,
				      "the user has neither a token nor a client certificate");
	return 0;
}

/* Follows current-context; *ret_user is the user's mapping. */
static int read_current(const struct reading *reading, struct byoh_kubeconfig *ret,
			const struct byoh_yaml_node **ret_user, struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(reading->doc);
	const struct byoh_yaml_node *context = NULL;
	const char *kind = NULL, *current = NULL, *cluster = NULL, *user = NULL;
	int r;

	if (!root || root->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(reading->doc, root, err, "no kubeconfig; " BOOTSTRAP_REMEDY);
	r = byoh_yaml_read_string(reading->doc, root, "kind", true, &kind, err);
	if (r == 0 && strcmp(kind, "Config") != 0)
		return byoh_yaml_fail(reading->doc, byoh_yaml_get(root, "kind"), err,
				      "a kubeconfig has kind Config; " BOOTSTRAP_REMEDY);
	if (r == 0)
		r = check_users(reading, err);
	if (r == 0)
		r = byoh_yaml_read_string(reading->doc, root, "current-context", true, &current, err);
	if (r == 0)
		r = find_named(reading, "contexts", "context", current, &context, err);
	if (r == 0)
		r = byoh_yaml_read_string(reading->doc, context, "cluster", true, &cluster, err);
	if (r == 0)
		r = byoh_yaml_read_string(reading->doc, context, "user", true, &user, err);
	if (r == 0)
		r = read_cluster(reading, cluster, ret, err);
	return r < 0 ? r : find_named(reading, "users", "user", user, ret_user, err);
}

static int parse(const char *text, size_t size, const char *name, struct byoh_yaml **ret,
		 struct byoh_error *err)
{
	if (size > BYOH_KUBECONFIG_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: larger than 1 MiB, so no kubeconfig",
				 name);
	return byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, ret, err);
}

int byoh_kubeconfig_parse_bootstrap(const char *text, size_t size, const char *name, bool opaque_token,
				    struct byoh_kubeconfig **ret, struct byoh_error *err)
{
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = calloc(1, sizeof(*kubeconfig));
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *user = NULL;
	struct reading reading = {0};
	int r;

	if (!kubeconfig)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = parse(text, size, name, &doc, err);
	reading.doc = doc;
	if (r == 0)
		r = read_current(&reading, kubeconfig, &user, err);
	if (r == 0)
		r = read_bootstrap_token(&reading, user, opaque_token, kubeconfig, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(kubeconfig);
	return 0;
}

int byoh_kubeconfig_check_proxy(const char *text, size_t size, const char *name, struct byoh_error *err)
{
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = calloc(1, sizeof(*kubeconfig));
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	struct reading reading = { .certificate_allowed = true };
	const struct byoh_yaml_node *user = NULL;
	int r;

	if (!kubeconfig)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = parse(text, size, name, &doc, err);
	reading.doc = doc;
	if (r == 0)
		r = read_current(&reading, kubeconfig, &user, err);
	return r < 0 ? r : check_proxy_user(&reading, user, err);
}
