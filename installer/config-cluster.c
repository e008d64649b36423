/* SPDX-License-Identifier: Apache-2.0 */
/* cluster: and kubeProxy:, where the secrets are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"

#define AT(member) offsetof(struct byoh_config, member)
#define WHY_NONE "nothing joins a cluster"
#define WHY_PROXY "kube-proxy's kubeconfig is made by who joins the host, the agent or kubeadm"

/* The one key that is there of {file: ..} and {value: ..} or {data: ..}, as a node; further is a key that
 * may stand beside it, or NULL. */
static int read_source(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       const char *key, const char *inline_key, const char *further,
		       const struct byoh_yaml_node **ret_file, const struct byoh_yaml_node **ret_inline,
		       struct byoh_error *err)
{
	const struct byoh_yaml_node *source = byoh_config_get(map, key);
	const char *const keys[] = { "file", inline_key ? inline_key : further, further, NULL };
	const char *text = NULL;
	int r;

	*ret_file = *ret_inline = NULL;
	if (source->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(reader->doc, source, err, "\"%s\" must be a mapping, {file: FILE}%s%s%s",
				      key, inline_key ? " or {" : "", inline_key ? inline_key : "",
				      inline_key ? ": ...}" : "");
	r = byoh_yaml_only_keys(reader->doc, source, keys, false, err);
	for (size_t i = 0; r == 0 && keys[i]; i++)
		r = byoh_yaml_read_string(reader->doc, source, keys[i], false, &text, err);
	if (r < 0)
		return r;
	*ret_file = byoh_config_get(source, "file");
	*ret_inline = inline_key ? byoh_config_get(source, inline_key) : NULL;
	if (*ret_file && *ret_inline)
		return byoh_yaml_fail(reader->doc, *ret_inline, err,
				      "\"%s\" is given twice, as file and as %s; keep one", key, inline_key);
	if (!*ret_file && !*ret_inline && !(further && byoh_config_get(source, further)))
		return byoh_yaml_fail(reader->doc, source, err, "\"%s\" is empty; name its file", key);
	return 0;
}

/* Editors end files with a newline. */
static void trim_end(struct byoh_buffer *buffer)
{
	while (buffer->size && strchr(" \t\r\n", buffer->data[buffer->size - 1]))
		buffer->data[--buffer->size] = '\0';
}

struct token_form {
	bool opaque; /* bootstrap tokens only, if false */
	size_t max;
};

static int check_token(const struct byoh_config_reader *reader, const struct byoh_yaml_node *node,
		       const struct token_form *form, const char *token, struct byoh_error *err)
{
	if (form->opaque && byoh_token_is_opaque(token, form->max))
		return 0;
	if (!form->opaque && byoh_token_is_bootstrap(token))
		return 0;
	if (form->opaque)
		return byoh_yaml_fail(reader->doc, node, err,
				      "the token must be 1 to %zu printable characters without spaces; it is "
				      "not shown here", form->max);
	return byoh_yaml_fail(reader->doc, node, err,
			      "the token is no bootstrap token (6 characters, a dot, 16 characters of a-z and "
			      "0-9), which join mode %s needs; make one with kubeadm token create%s",
			      byoh_join_mode_name(reader->config->join_mode),
			      byoh_token_is_opaque(token, BYOH_STATIC_TOKEN_MAX)
				      ? "; static tokens work in join mode tlsBootstrap only"
				      : "");
}

static int read_token(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      const struct token_form *form, char **ret_token, char **ret_file,
		      struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer content = {0};
	const struct byoh_yaml_node *file, *value;
	int r;

	if (!byoh_config_get(map, "token"))
		return 0;
	r = read_source(reader, map, "token", "value", NULL, &file, &value, err);
	if (r == 0 && file)
		r = byoh_config_copy(file->text, ret_file, err);
	if (r < 0 || (file && reader->without_files))
		return r;
	if (file && reader->token_may_come && byoh_config_file_is_missing(reader, file))
		return 0;
	if (file)
		r = byoh_config_file_read(reader, file, form->max + 16, &content, err);
	if (r < 0)
		return r;
	trim_end(&content);
	r = check_token(reader, file ? file : value, form,
			file ? byoh_buffer_text(&content) : value->text, err);
	return r < 0 ? r
		     : byoh_config_copy(file ? byoh_buffer_text(&content) : value->text, ret_token, err);
}

static int read_pin(const struct byoh_config_reader *reader, const struct byoh_yaml_node *pin,
		    struct byoh_error *err)
{
	if (!pin)
		return 0;
	if (!byoh_pin_is_valid(pin->text))
		return byoh_yaml_fail(reader->doc, pin, err,
				      "\"pin\" must be sha256: and 64 lower-case hexadecimal digits, as kubeadm "
				      "token create --print-join-command shows");
	return byoh_config_copy(pin->text, &reader->config->cluster.ca_pin, err);
}

/* The CA of an earlier discovery; one that has another pin is as good as none. */
static int read_discovered(const struct byoh_config_reader *reader, struct byoh_error *err)
{
	const struct byoh_yaml_node name = { .type = BYOH_YAML_SCALAR, .text = (char *)BYOH_DISCOVERED_CA };
	CLEANUP_BUFFER struct byoh_buffer ca = {0};
	struct byoh_config *config = reader->config;

	if (!config->cluster.ca_pin || reader->without_files || !reader->directory ||
	    byoh_config_file_read(reader, &name, BYOH_CA_MAX_SIZE, &ca, NULL) < 0 ||
	    byoh_ca_check(byoh_buffer_text(&ca), ca.size, config->cluster.ca_pin, NULL) < 0)
		return 0;
	config->cluster.ca_discovered = true;
	return byoh_buffer_add(&config->cluster.ca, ca.data, ca.size, err);
}

static int read_ca(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		   struct byoh_error *err)
{
	struct byoh_config *config = reader->config;
	const struct byoh_yaml_node *ca = byoh_config_get(map, "ca");
	const struct byoh_yaml_node *file, *data, *pin;
	struct byoh_error inner = BYOH_ERROR_INIT;
	int r;

	if (!ca)
		return 0;
	r = read_source(reader, map, "ca", "data", "pin", &file, &data, err);
	pin = byoh_config_get(ca, "pin");
	if (r == 0)
		r = read_pin(reader, pin, err);
	if (r == 0 && file)
		r = byoh_config_copy(file->text, &config->cluster.ca_file, err);
	if (r < 0 || (file && reader->without_files))
		return r;
	if (!file && !data)
		return read_discovered(reader, err);
	if (file)
		r = byoh_config_file_read(reader, file, BYOH_CA_MAX_SIZE, &config->cluster.ca, err);
	else if (byoh_base64_decode(data->text, &config->cluster.ca, &inner) < 0)
		r = byoh_yaml_fail(reader->doc, data, err,
				   "\"data\" must be the PEM file in base64 (base64 -w0 ca.crt)");
	if (r < 0)
		return r;
	r = byoh_ca_check(config->cluster.ca.data, config->cluster.ca.size, config->cluster.ca_pin, &inner);
	return r < 0 ? byoh_yaml_fail(reader->doc, file ? file : data, err, "%s", inner.message) : 0;
}

/* A kubeconfig stands for server, CA and token at once. */
static int read_bootstrap_kubeconfig(const struct byoh_config_reader *reader,
				     const struct byoh_yaml_node *map, struct byoh_error *err)
{
	static const char *const replaced[] = { "server", "ca", "token" };
	CLEANUP_SECRET_BUFFER struct byoh_buffer content = {0};
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = NULL;
	struct byoh_config *config = reader->config;
	const struct byoh_yaml_node *file, *none;
	struct byoh_error inner = BYOH_ERROR_INIT;
	int r = read_source(reader, map, "kubeconfig", NULL, NULL, &file, &none, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(replaced); i++)
		if (byoh_config_get(map, replaced[i]))
			return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, replaced[i]), err,
					      "\"%s\" stands in the kubeconfig already; keep one of the two",
					      replaced[i]);
	if (r == 0)
		r = byoh_config_copy(file->text, &config->cluster.kubeconfig_file, err);
	if (r < 0 || reader->without_files)
		return r;
	r = byoh_config_file_read(reader, file, BYOH_KUBECONFIG_MAX_SIZE, &content, err);
	if (r < 0)
		return r;
	r = byoh_kubeconfig_parse_bootstrap(content.data, content.size, file->text,
					    config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP, &kubeconfig, &inner);
	if (r < 0)
		return byoh_yaml_fail(reader->doc, file, err, "%s", inner.message);
	config->cluster.server = TAKE_PTR(kubeconfig->server);
	config->cluster.token = TAKE_PTR(kubeconfig->token);
	config->cluster.ca = kubeconfig->ca;
	kubeconfig->ca = (struct byoh_buffer){0};
	return 0;
}

static int read_server(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       struct byoh_error *err)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(reader->doc, map, "server", false, &text, err);

	if (r < 0 || !text)
		return r;
	r = byoh_server_url(text, &reader->config->cluster.server);
	if (r == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r < 0)
		return byoh_yaml_fail(reader->doc, byoh_yaml_get(map, "server"), err,
				      "\"server\" must be " BYOH_SERVER_URL_FORM ", not \"%.100s\"", text);
	return 0;
}

/* Who gives one of server, CA and token wants the host bound now. */
static int check_complete(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			  struct byoh_error *err)
{
	bool server = byoh_config_get(map, "server"), ca = byoh_config_get(map, "ca");

	if (byoh_config_get(map, "kubeconfig") || (!server && !ca && !byoh_config_get(map, "token")))
		return 0;
	if (!server)
		return byoh_yaml_fail(reader->doc, map, err,
				      "the key \"server\" is missing in \"cluster\"; it is "
				      BYOH_SERVER_URL_FORM);
	if (!ca)
		return byoh_yaml_fail(reader->doc, map, err,
				      "the key \"ca\" is missing in \"cluster\": without it the server could not "
				      "be verified; give {file: ca.crt}, /etc/kubernetes/pki/ca.crt of a control "
				      "plane, or its {pin: sha256:...}");
	return 0;
}

static int check_ranges(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			struct byoh_error *err)
{
	const char *pods = reader->config->cluster.pod_cidr, *services = reader->config->cluster.service_cidr;
	char dns[64];

	if (byoh_cidrs_overlap(pods ? pods : BYOH_DEFAULT_POD_CIDR,
			       services ? services : BYOH_DEFAULT_SERVICE_CIDR))
		return byoh_yaml_fail(reader->doc, map, err,
				      "podCIDR and serviceCIDR overlap; each needs a range of its own");
	if (services && !reader->config->cluster.dns && !byoh_cidr_address(services, 10, dns, sizeof(dns)))
		return byoh_yaml_fail(reader->doc, byoh_yaml_get(map, "serviceCIDR"), err,
				      "\"serviceCIDR\" is too small to hold the usual DNS address, its 10th; give "
				      "dns: too");
	return 0;
}

static bool is_short_name(const char *text)
{
	return byoh_is_dns_name(text, 63) && !strchr(text, '.');
}

int byoh_config_read_cluster(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			     struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "name", .type = BYOH_FIELD_STRING, .offset = AT(cluster.name),
		  .valid = is_short_name, .form = "a lower-case name (a-z, 0-9, -)" },
		{ .key = "server", .modes = BYOH_MODES_JOINING, .without_effect = WHY_NONE },
		{ .key = "ca", .modes = BYOH_MODES_JOINING, .without_effect = WHY_NONE },
		{ .key = "token", .modes = BYOH_MODES_JOINING, .without_effect = WHY_NONE },
		{ .key = "kubeconfig", .modes = BYOH_MODES_JOINING, .without_effect = WHY_NONE },
		{ .key = "podCIDR", .type = BYOH_FIELD_STRING, .offset = AT(cluster.pod_cidr),
		  .valid = byoh_is_cidr_list, .form = "a network like 10.244.0.0/16, no host bits set" },
		{ .key = "serviceCIDR", .type = BYOH_FIELD_STRING, .offset = AT(cluster.service_cidr),
		  .valid = byoh_is_cidr_list, .form = "a network like 10.96.0.0/12, no host bits set" },
		{ .key = "dns", .type = BYOH_FIELD_STRING, .offset = AT(cluster.dns),
		  .valid = byoh_is_ip, .form = "an IP address" },
	};
	struct byoh_config *config = reader->config;
	const struct token_form form = { .opaque = config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP,
					 .max = BYOH_STATIC_TOKEN_MAX };
	int r;

	if (!map)
		return 0;
	r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), config, err);
	if (r == 0)
		r = check_ranges(reader, map, err);
	if (r == 0)
		r = check_complete(reader, map, err);
	if (r == 0 && byoh_config_get(map, "kubeconfig"))
		return read_bootstrap_kubeconfig(reader, map, err);
	if (r == 0)
		r = read_server(reader, map, err);
	if (r == 0)
		r = read_ca(reader, map, err);
	return r < 0 ? r
		     : read_token(reader, map, &form, &config->cluster.token, &config->cluster.token_file,
				  err);
}

static int read_proxy_kubeconfig(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
				 struct byoh_error *err)
{
	struct byoh_config *config = reader->config;
	const struct byoh_yaml_node *file, *none;
	struct byoh_error inner = BYOH_ERROR_INIT;
	int r;

	if (!byoh_config_get(map, "kubeconfig"))
		return 0;
	r = read_source(reader, map, "kubeconfig", NULL, NULL, &file, &none, err);
	if (r == 0)
		r = byoh_config_copy(file->text, &config->kube_proxy.kubeconfig_file, err);
	if (r < 0 || reader->without_files)
		return r;
	r = byoh_config_file_read(reader, file, BYOH_KUBECONFIG_MAX_SIZE, &config->kube_proxy.kubeconfig,
				  err);
	if (r < 0)
		return r;
	r = byoh_kubeconfig_check_proxy(config->kube_proxy.kubeconfig.data,
					config->kube_proxy.kubeconfig.size, file->text, &inner);
	return r < 0 ? byoh_yaml_fail(reader->doc, file, err, "%s", inner.message) : 0;
}

static int check_proxy_identity(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
				struct byoh_error *err)
{
	const struct byoh_config *config = reader->config;
	bool token = byoh_config_get(map, "token"), kubeconfig = byoh_config_get(map, "kubeconfig");
	int count = token + kubeconfig + config->kube_proxy.node_identity + config->kube_proxy.client_certificate;

	if (count > 1)
		return byoh_yaml_fail(reader->doc, map, err,
				      "\"kubeProxy\" has more than one of token, kubeconfig, nodeIdentity and "
				      "clientCertificate; keep one");
	if (count && !config->kube_proxy.manage)
		return byoh_yaml_fail(reader->doc, map, err,
				      "\"kubeProxy\" has credentials for a kube-proxy that is not managed here "
				      "(manage: false); remove one of the two");
	if (token && !config->cluster.server && !config->cluster.kubeconfig_file)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "token"), err,
				      "kube-proxy's token needs cluster.server and cluster.ca to go with");
	return 0;
}

int byoh_config_read_kube_proxy(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
				struct byoh_error *err)
{
	static const char *const modes[] = { "iptables", "ipvs", "nftables", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "manage", .type = BYOH_FIELD_BOOL, .offset = AT(kube_proxy.manage),
		  .modes = BYOH_MODE(BYOH_JOIN_AGENT) | BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP),
		  .without_effect = "kube-proxy is no service of this host" },
		{ .key = "mode", .type = BYOH_FIELD_CHOICE, .offset = AT(kube_proxy.mode),
		  .choices = modes },
		{ .key = "token", .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_PROXY },
		{ .key = "kubeconfig", .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP),
		  .without_effect = WHY_PROXY },
		{ .key = "nodeIdentity", .type = BYOH_FIELD_BOOL, .offset = AT(kube_proxy.node_identity),
		  .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_PROXY },
		{ .key = "clientCertificate", .type = BYOH_FIELD_BOOL, .offset = AT(kube_proxy.client_certificate),
		  .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_PROXY },
	};
	static const struct token_form form = { .opaque = true, .max = BYOH_ACCOUNT_TOKEN_MAX };
	struct byoh_config *config = reader->config;
	int r;

	config->kube_proxy.manage = config->join_mode == BYOH_JOIN_AGENT ||
				    config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP;
	if (!map)
		return 0;
	r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), config, err);
	if (r == 0)
		r = check_proxy_identity(reader, map, err);
	if (r == 0)
		r = read_token(reader, map, &form, &config->kube_proxy.token,
			       &config->kube_proxy.token_file, err);
	return r < 0 ? r : read_proxy_kubeconfig(reader, map, err);
}
