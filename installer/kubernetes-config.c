/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubernetes-config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"
#include "installer/kubelet-fields.h"

/* Reads a decimal number of at most four digits at *text and moves behind it. */
static bool read_number(const char **text, unsigned int *ret)
{
	size_t digits = 0;

	for (*ret = 0; **text >= '0' && **text <= '9' && digits < 5; (*text)++, digits++)
		*ret = *ret * 10 + (unsigned int)(**text - '0');
	return digits > 0 && digits < 5;
}

static bool read_version(const char *text, struct byoh_kubernetes_version *ret, const char **ret_rest)
{
	if (*text == 'v')
		text++;
	if (!read_number(&text, &ret->major) || *text++ != '.' || !read_number(&text, &ret->minor) ||
	    *text++ != '.' || !read_number(&text, &ret->patch))
		return false;
	*ret_rest = text;
	return true;
}

int byoh_kubernetes_version_parse(const char *text, struct byoh_kubernetes_version *ret,
				  struct byoh_error *err)
{
	struct byoh_kubernetes_version version;
	const char *rest;

	if (!read_version(text, &version, &rest) || version.major != 1 || (*rest && !strchr("-+", *rest)))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EINVAL,
				 "\"%.64s\" is no Kubernetes version like v1.34.1", text);
	*ret = version;
	return 0;
}

bool byoh_kubernetes_at_least(const struct byoh_kubernetes_version *version, unsigned int minor,
			      unsigned int patch)
{
	return version->minor > minor || (version->minor == minor && version->patch >= patch);
}

/* The kubelet keeps pinned images since a fix that went back to the patch releases of 1.25 to 1.28. */
static bool kubelet_keeps_pins(const struct byoh_kubernetes_version *version)
{
	static const unsigned int first_patch[] = { 14, 9, 6, 2 }; /* of 1.25, 1.26, 1.27, 1.28 */

	if (version->minor < 25)
		return false;
	if (version->minor - 25 >= ARRAY_SIZE(first_patch))
		return true;
	return version->patch >= first_patch[version->minor - 25];
}

bool byoh_images_can_be_pinned(const struct byoh_kubernetes_version *kubernetes, const char *containerd)
{
	struct byoh_kubernetes_version version;
	const char *rest;

	if (!containerd || !read_version(containerd, &version, &rest) || !kubelet_keeps_pins(kubernetes))
		return false;
	return version.major > 1 ||
	       (version.major == 1 && (version.minor > 7 || (version.minor == 7 && version.patch >= 3)));
}

/*
 * Lines are added until one fails; the failure is asked for once, at the end.
 */
struct text {
	struct byoh_buffer *out;
	struct byoh_error *err;
	int failure;
};

static void add(struct text *text, const char *fmt, ...) BYOH_PRINTF(2, 3);
static void add(struct text *text, const char *fmt, ...)
{
	CLEANUP_FREE char *line = NULL;
	va_list args;
	int length;

	if (text->failure < 0)
		return;
	va_start(args, fmt);
	length = vasprintf(&line, fmt, args);
	va_end(args);
	if (length < 0) {
		line = NULL;
		text->failure = byoh_fail(text->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		return;
	}
	text->failure = byoh_buffer_add(text->out, line, (size_t)length, text->err);
}

/* "key: "value"" with what YAML needs around the value. */
static void add_string(struct text *text, const char *key, const char *value)
{
	add(text, "%s", key);
	if (text->failure == 0)
		text->failure = byoh_json_quote(text->out, value, text->err);
	add(text, "\n");
}

static void add_taints(struct text *text, const struct byoh_strings *taints)
{
	if (!taints->count)
		return;
	add(text, "registerWithTaints:\n");
	for (size_t i = 0; i < taints->count; i++) {
		const char *taint = taints->items[i];
		int key = (int)strcspn(taint, "=:");
		int value = taint[key] == '=' ? (int)strcspn(taint + key + 1, ":") : 0;

		add(text, "- key: \"%.*s\"\n", key, taint);
		if (value)
			add(text, "  value: \"%.*s\"\n", value, taint + key + 1);
		add(text, "  effect: %s\n", strrchr(taint, ':') + 1);
	}
}

static void add_kubelet_identity(struct text *text)
{
	add(text, "apiVersion: kubelet.config.k8s.io/v1beta1\n"
		  "kind: KubeletConfiguration\n"
		  "authentication:\n"
		  "  anonymous:\n"
		  "    enabled: false\n"
		  "  webhook:\n"
		  "    enabled: true\n"
		  "  x509:\n"
		  "    clientCAFile: " BYOH_KUBERNETES_CA "\n"
		  "authorization:\n"
		  "  mode: Webhook\n"
		  "rotateCertificates: true\n");
}

/* Quoted: a bare number would be of the wrong type, and the kubelet would end. */
static void add_reserved(struct text *text, const char *field, const struct byoh_pairs *pairs)
{
	if (pairs->count)
		add(text, "%s:\n", field);
	for (size_t i = 0; i < pairs->count; i++)
		add(text, "  %s: \"%s\"\n", pairs->items[i].key, pairs->items[i].value);
}

/* What the operator may set otherwise. */
static void add_overridable(struct text *text, const struct byoh_kubelet_input *input,
			    const struct byoh_yaml_node *additions)
{
	if (!byoh_yaml_get(additions, "clusterDomain"))
		add(text, "clusterDomain: cluster.local\n");
	/* 100 means never: without a network a collected image is gone for good. */
	if (!input->images_pinned && !byoh_yaml_get(additions, "imageGCHighThresholdPercent"))
		add(text, "imageGCHighThresholdPercent: 100\n");
}

static void add_kubelet_fields(struct text *text, const struct byoh_kubelet_input *input)
{
	const struct byoh_config *config = input->config;
	const char *resolv_conf = config->node.resolv_conf ? config->node.resolv_conf : input->resolv_conf;

	if (config->node.serving_certificates)
		add(text, "serverTLSBootstrap: true\n");
	add(text, "cgroupDriver: systemd\n");
	add(text, "clusterDNS:\n");
	add_string(text, "- ", config->cluster.dns);
	if (byoh_kubernetes_at_least(&input->version, 27, 0))
		add(text, "containerRuntimeEndpoint: " BYOH_CONTAINERD_ENDPOINT "\n");
	add(text, "failSwapOn: %s\n", config->host.swap ? "false" : "true");
	add(text, "healthzBindAddress: 127.0.0.1\nhealthzPort: 10248\n");
	if (config->node.max_pods)
		add(text, "maxPods: %llu\n", (unsigned long long)config->node.max_pods);
	if (byoh_kubernetes_at_least(&input->version, 23, 0))
		add_taints(text, &config->node.taints);
	if (resolv_conf)
		add_string(text, "resolvConf: ", resolv_conf);
	add(text, "staticPodPath: " BYOH_KUBERNETES_MANIFESTS "\n");
	add_reserved(text, "systemReserved", &config->node.system_reserved);
	add_reserved(text, "kubeReserved", &config->node.kube_reserved);
}

static int parse_additions(const struct byoh_config *config, struct byoh_yaml **ret, struct byoh_error *err)
{
	bool file = config->node.kubelet_file && config->node.kubelet_text.size; /* its own lines for messages */
	const struct byoh_buffer *text = file ? &config->node.kubelet_text : &config->node.kubelet;

	return byoh_yaml_parse(byoh_buffer_text(text), text->size,
			       file ? config->node.kubelet_file : "node.kubelet", BYOH_ERROR_CONFIG, ret, err);
}

/* The kubelet ends where the control group of what it is to enforce is not there. */
static int check_slice(const struct byoh_config *config, const struct byoh_yaml_node *additions,
		       struct byoh_error *err)
{
	const struct byoh_yaml_node *group = byoh_yaml_get(additions, "kubeReservedCgroup");

	if (!group || config->host.slices || !strstr(group->text, "runtime.slice"))
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "node.kubelet: kubeReservedCgroup is %s, which host.slices: true makes; set that too",
			 group->text);
}

/* The whole text once more, as a kubelet that takes no mistakes would read it. */
static int check_whole(const struct byoh_kubelet_input *input, const struct byoh_buffer *text,
		       struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	int r = byoh_yaml_parse(byoh_buffer_text(text), text->size, BYOH_KUBELET_CONFIG, BYOH_ERROR_CONFIG, &doc,
				err);

	return r < 0 ? r : byoh_kubelet_fields_check(doc, byoh_yaml_root(doc), &input->version, err);
}

int byoh_kubelet_config(const struct byoh_kubelet_input *input, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	struct text text = { .out = ret, .err = err };
	CLEANUP_YAML struct byoh_yaml *additions = NULL;
	int r = parse_additions(config, &additions, err);

	if (r == 0 && byoh_yaml_root(additions))
		r = byoh_kubelet_fields_check(additions, byoh_yaml_root(additions), &input->version, err);
	if (r == 0)
		r = check_slice(config, byoh_yaml_root(additions), err);
	if (r < 0)
		return r;
	add_kubelet_identity(&text);
	add_kubelet_fields(&text, input);
	add_overridable(&text, input, byoh_yaml_root(additions));
	add(&text, "%s", byoh_buffer_text(&config->node.kubelet));
	return text.failure < 0 ? text.failure : check_whole(input, ret, err);
}

static void add_flag(struct text *text, bool *first, const char *name)
{
	add(text, "%s--%s=", *first ? "" : " \\\n\t", name);
	*first = false;
}

static void add_runtime_flags(struct text *text, bool *first, const struct byoh_kubelet_input *input)
{
	/* Up to 1.23 the built-in docker shim was the default. */
	if (!byoh_kubernetes_at_least(&input->version, 24, 0)) {
		add_flag(text, first, "container-runtime");
		add(text, "remote");
	}
	if (!byoh_kubernetes_at_least(&input->version, 27, 0)) {
		add_flag(text, first, "container-runtime-endpoint");
		add(text, BYOH_CONTAINERD_ENDPOINT);
	}
	/* Here it only keeps the image from garbage collection; a 1.35 kubelet dies of it. */
	if (input->sandbox_image && !byoh_kubernetes_at_least(&input->version, 35, 0)) {
		add_flag(text, first, "pod-infra-container-image");
		add(text, "%s", input->sandbox_image);
	}
}

static void add_node_flags(struct text *text, bool *first, const struct byoh_kubelet_input *input)
{
	const struct byoh_config *config = input->config;

	if (config->node.ip) {
		add_flag(text, first, "node-ip");
		add(text, "%s", config->node.ip);
	}
	if (config->node.labels.count)
		add_flag(text, first, "node-labels");
	for (size_t i = 0; i < config->node.labels.count; i++)
		add(text, "%s%s=%s", i ? "," : "", config->node.labels.items[i].key,
		    config->node.labels.items[i].value);
	if (config->node.taints.count && !byoh_kubernetes_at_least(&input->version, 23, 0)) {
		add_flag(text, first, "register-with-taints");
		for (size_t i = 0; i < config->node.taints.count; i++)
			add(text, "%s%s", i ? "," : "", config->node.taints.items[i]);
	}
	if (config->host.slices) {
		add_flag(text, first, "runtime-cgroups");
		add(text, "/runtime.slice/containerd.service");
	}
}

/* 1.20 has it behind a feature gate. */
int byoh_kubernetes_check_families(const struct byoh_kubernetes_version *version, const char *key,
				   const char *value, struct byoh_error *err)
{
	if (!value || !strchr(value, ',') || byoh_kubernetes_at_least(version, 21, 0))
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "%s: two families of addresses need Kubernetes 1.21 or newer, and the bundle brings "
			 "1.%u.%u; write one", key, version->minor, version->patch);
}

int byoh_kubelet_flags(const struct byoh_kubelet_input *input, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	struct text text = { .out = ret, .err = err };
	bool first = true;
	int r = byoh_kubernetes_check_families(&input->version, "node.ip", input->config->node.ip, err);

	if (r < 0)
		return r;
	add_flag(&text, &first, "bootstrap-kubeconfig");
	add(&text, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	add_flag(&text, &first, "kubeconfig");
	add(&text, BYOH_KUBELET_KUBECONFIG);
	add_flag(&text, &first, "cert-dir");
	add(&text, BYOH_KUBELET_CERTIFICATES);
	add_flag(&text, &first, "config");
	add(&text, BYOH_KUBELET_CONFIG);
	add_runtime_flags(&text, &first, input);
	add_node_flags(&text, &first, input);
	return text.failure;
}

const char *byoh_kube_proxy_kubeconfig_path(const struct byoh_config *config)
{
	return config->kube_proxy.node_identity ? BYOH_KUBELET_KUBECONFIG : BYOH_KUBE_PROXY_KUBECONFIG;
}

int byoh_kube_proxy_config(const struct byoh_kubernetes_version *version, const struct byoh_config *config,
			   struct byoh_buffer *ret, struct byoh_error *err)
{
	static const char *const modes[] = {
		[BYOH_PROXY_IPTABLES] = "iptables",
		[BYOH_PROXY_IPVS] = "ipvs",
		[BYOH_PROXY_NFTABLES] = "nftables",
	};
	struct text text = { .out = ret, .err = err };
	int r;

	if (config->kube_proxy.mode == BYOH_PROXY_NFTABLES && !byoh_kubernetes_at_least(version, 31, 0))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "kubeProxy.mode nftables needs Kubernetes 1.31 or newer, and the bundle "
				 "brings 1.%u.%u; choose iptables", version->minor, version->patch);
	r = byoh_kubernetes_check_families(version, "cluster.podCIDR", config->cluster.pod_cidr, err);
	if (r < 0)
		return r;
	add(&text, "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
		   "kind: KubeProxyConfiguration\n"
		   "clientConnection:\n"
		   "  kubeconfig: %s\n", byoh_kube_proxy_kubeconfig_path(config));
	/* Without it traffic from outside of the pods' range would not be masqueraded. */
	add_string(&text, "clusterCIDR: ", config->cluster.pod_cidr);
	add(&text, "mode: %s\n", modes[config->kube_proxy.mode]);
	if (config->host.hostname)
		add_string(&text, "hostnameOverride: ", config->host.hostname);
	add(&text, "healthzBindAddress: 0.0.0.0:10256\n"
		   "metricsBindAddress: 127.0.0.1:10249\n"
		   "conntrack:\n"
		   "  maxPerCore: 32768\n"
		   "  min: 131072\n");
	return text.failure;
}
