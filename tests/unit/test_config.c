/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/config-syntax.h"
#include "installer/config.h"
#include "installer/credentials.h"
#include "installer/kubernetes-config.h"
#include "tests/unit/certificates.h"

#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n"
#define TOKEN "abcdef.0123456789abcdef"

static char folder[] = "/tmp/byoh-test-config-XXXXXX";

static void put(const char *name, const char *text)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FILE FILE *file = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

static int setup(void **state)
{
	CLEANUP_FREE char *ca = test_certificate(true, NULL);
	CLEANUP_FREE char *leaf = test_certificate(false, NULL);
	CLEANUP_FREE char *key = test_private_key();
	CLEANUP_FREE char *both = NULL;
	CLEANUP_FREE char *ca_data = test_base64(ca);
	CLEANUP_FREE char *kubeconfig = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(asprintf(&both, "%s%s", ca, key) > 0);
	assert_true(asprintf(&kubeconfig,
			     "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
			     "clusters: [{name: k, cluster: {server: \"https://10.0.0.9:6443\", "
			     "certificate-authority-data: %s}}]\n"
			     "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
			     "users: [{name: u, user: {token: " TOKEN "}}]\n", ca_data) > 0);
	put("ca.crt", ca);
	put("leaf.crt", leaf);
	put("both.crt", both);
	put("token", TOKEN "\n");
	put("static-token", "0123456789abcdef0123456789abcdef");
	put("spaced-token", "two words");
	put("boot.conf", kubeconfig);
	put("10-net.conflist", "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": [{\"type\": \"bridge\"}]}");
	put("bad.conflist", "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": []}");
	put("yaml.conflist", "cniVersion: 1.0.0\nname: n\nplugins: [{type: bridge}]\n");
	return 0;
}

static int teardown(void **state)
{
	CLEANUP_FREE char *command = NULL;

	(void)state;
	assert_true(asprintf(&command, "rm -rf -- %s", folder) > 0);
	return system(command);
}

static struct byoh_config *parse_for(const char *text, const struct byoh_machine_identity *identity)
{
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_config_parse(text, strlen(text), "byoh.yaml", folder, identity, &config, &err) < 0)
		fail_msg("refused: %s\n%s", err.message, text);
	return config;
}

static struct byoh_config *parse(const char *text)
{
	static const struct byoh_machine_identity nobody = {0};

	return parse_for(text, &nobody);
}

/* Says on stderr what is wrong, so that a table shows all of its failures at once. */
static bool is_refused(const char *text, const struct byoh_machine_identity *identity, const char *expected)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_config_parse(text, strlen(text), "byoh.yaml", folder, identity, &config, &err) >= 0) {
		print_error("accepted:\n%s\n", text);
		return false;
	}
	if (strstr(err.message, expected) && err.kind == BYOH_ERROR_CONFIG && !config)
		return true;
	print_error("\"%s\" is not in \"%s\" for\n%s\n", expected, err.message, text);
	return false;
}

static void assert_refused(const char *text, const struct byoh_machine_identity *identity,
			   const char *expected)
{
	assert_true(is_refused(text, identity, expected));
}

static void test_defaults(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(HEAD);

	(void)state;
	assert_int_equal(config->join_mode, BYOH_JOIN_AGENT);
	assert_string_equal(config->agent.namespace_name, "default");
	assert_string_equal(config->agent.metrics, "0");
	assert_int_equal(config->containerd.existing, BYOH_EXISTING_REFUSE);
	assert_string_equal(config->containerd.root, "/var/lib/containerd");
	assert_null(config->containerd.sandbox_image);
	assert_true(config->kube_proxy.manage);
	assert_int_equal(config->kube_proxy.mode, BYOH_PROXY_IPTABLES);
	assert_null(config->cni.conflist_name);
	assert_int_equal(config->policy.threshold, 1);
	assert_string_equal(config->cluster.pod_cidr, "10.244.0.0/16");
	assert_string_equal(config->cluster.service_cidr, "10.96.0.0/12");
	assert_string_equal(config->cluster.dns, "10.96.0.10");
	assert_null(config->cluster.server);
	assert_false(config->host.swap);
	assert_int_equal(config->machine_line, 0);
}

static void test_no_config(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;

	(void)state;
	assert_int_equal(byoh_config_default(&config, NULL), 0);
	assert_int_equal(config->join_mode, BYOH_JOIN_NONE);
	assert_string_equal(config->cluster.dns, "10.96.0.10");
	assert_int_equal(config->policy.threshold, 1);
}

#define AGENT_CONFIG                                                                            \
	HEAD "cluster:\n"                                                                       \
	     "  name: my-cluster\n"                                                             \
	     "  server: https://172.30.1.18:6443/\n"                                            \
	     "  ca: {file: ca.crt}\n"                                                           \
	     "  token: {file: token}\n"                                                         \
	     "  podCIDR: 10.32.0.0/16\n"                                                        \
	     "  serviceCIDR: 10.112.0.0/12\n"                                                   \
	     "join:\n"                                                                          \
	     "  mode: agent\n"                                                                  \
	     "agent: {namespace: byoh, hostLabels: {site: default, empty: }, metrics: \"127.0.0.1:8080\"}\n" \
	     "host: {hostname: node10, swap: true, ntp: [10.0.0.1, time.lan], slices: true,\n"  \
	     "  hosts: {10.0.0.2: [api.lan, api], \"fd00::1\": six}}\n"                         \
	     "containerd: {existing: replace, root: /data/containerd, sandboxImage: \"registry.k8s.io/pause:3.9\"}\n" \
	     "registries:\n"                                                                    \
	     "  mirrors:\n"                                                                     \
	     "    docker.io: {endpoint: [\"https://mirror.lan:5000\", \"http://[fd00::2]/v2\"], rewrite: {\"^library/(.*)\": \"m/$1\"}}\n" \
	     "    \"*\": {endpoint: [\"https://all.lan\"]}\n"                                   \
	     "  configs:\n"                                                                     \
	     "    mirror.lan:5000: {auth: {username: me, password: \"se cret\"}, tls: {ca_file: /etc/ca.pem, insecure_skip_verify: true}}\n" \
	     "kubeProxy: {manage: false, mode: ipvs}\n"                                         \
	     "cni: {install: somewhere/10-net.conflist}\n"                                      \
	     "policy: {threshold: 2, requireConfigSignature: true}\n"                           \
	     "iso: {mode: inspect}\n"

static void test_every_section(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(AGENT_CONFIG);

	(void)state;
	assert_string_equal(config->cluster.name, "my-cluster");
	assert_string_equal(config->cluster.server, "https://172.30.1.18:6443");
	assert_string_equal(config->cluster.token, TOKEN);
	assert_string_equal(config->cluster.token_file, "token");
	assert_string_equal(config->cluster.ca_file, "ca.crt");
	assert_memory_equal(config->cluster.ca.data, "-----BEGIN CERTIFICATE", 22);
	assert_string_equal(config->cluster.dns, "10.112.0.10");
	assert_string_equal(config->agent.namespace_name, "byoh");
	assert_string_equal(config->agent.metrics, "127.0.0.1:8080");
	assert_int_equal(config->agent.host_labels.count, 2);
	assert_string_equal(config->agent.host_labels.items[0].value, "default");
	assert_true(config->host.swap && config->host.slices);
	assert_string_equal(config->host.ntp.items[1], "time.lan");
	assert_string_equal(config->host.hosts.items[0].key, "10.0.0.2");
	assert_string_equal(config->host.hosts.items[0].value, "api.lan api");
	assert_int_equal(config->containerd.existing, BYOH_EXISTING_REPLACE);
	assert_string_equal(config->containerd.sandbox_image, "registry.k8s.io/pause:3.9");
	assert_int_equal(config->mirror_count, 2);
	assert_string_equal(config->mirrors[0].registry, "docker.io");
	assert_int_equal(config->mirrors[0].endpoints.count, 2);
	assert_string_equal(config->mirrors[0].rewrites.items[0].value, "m/$1");
	assert_string_equal(config->registry_configs[0].password, "se cret");
	assert_string_equal(config->registry_configs[0].ca_file, "/etc/ca.pem");
	assert_true(config->registry_configs[0].insecure_skip_verify);
	assert_false(config->kube_proxy.manage);
	assert_int_equal(config->kube_proxy.mode, BYOH_PROXY_IPVS);
	assert_string_equal(config->cni.conflist_name, "10-net.conflist");
	assert_true(config->cni.conflist.size > 0);
	assert_int_equal(config->policy.threshold, 2);
	assert_true(config->policy.config_signature);
	assert_string_equal(byoh_buffer_text(&config->text), AGENT_CONFIG);
}

static void test_tls_bootstrap(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config =
		parse(HEAD "join: {mode: tlsBootstrap}\n"
			   "cluster: {server: \"https://[fd00::1]:6443\", ca: {file: ca.crt}, token: {file: static-token}, "
			   "serviceCIDR: \"fd00:1::/108\"}\n"
			   "node: {ip: 10.0.0.21, labels: {site: a, topology.kubernetes.io/zone: z}, "
			   "taints: [\"a=b:NoSchedule\", \"c:NoExecute\"], servingCertificates: true, maxPods: 50}\n"
			   "kubeProxy: {token: {value: a.b.c}}\n");

	(void)state;
	assert_string_equal(config->cluster.token, "0123456789abcdef0123456789abcdef");
	assert_string_equal(config->cluster.dns, "fd00:1::a");
	assert_string_equal(config->node.ip, "10.0.0.21");
	assert_int_equal(config->node.labels.count, 2);
	assert_int_equal(config->node.taints.count, 2);
	assert_int_equal(config->node.max_pods, 50);
	assert_true(config->node.serving_certificates);
	assert_true(config->kube_proxy.manage);
	assert_string_equal(config->kube_proxy.token, "a.b.c");
}

static void test_kubeconfig_in_place_of_parts(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(HEAD "cluster: {kubeconfig: {file: boot.conf}}\n");
	CLEANUP_CONFIG struct byoh_config *proxy =
		parse(HEAD "join: {mode: tlsBootstrap}\nkubeProxy: {kubeconfig: {file: boot.conf}}\n");

	(void)state;
	assert_string_equal(config->cluster.server, "https://10.0.0.9:6443");
	assert_string_equal(config->cluster.token, TOKEN);
	assert_memory_equal(config->cluster.ca.data, "-----BEGIN CERTIFICATE", 22);
	assert_memory_equal(proxy->kube_proxy.kubeconfig.data, "apiVersion: v1", 14);
}

/* Each in place of the lines that follow HEAD. */
static const struct {
	const char *text, *expected;
} refused[] = {
	{ "cluter: {}\n", "byoh.yaml:3:1: unknown key \"cluter\", did you mean \"cluster\"?" },
	{ "cluster:\n  sever: https://a:1\n", "byoh.yaml:4:3: unknown key \"sever\"" },
	{ "host: {hostnam: a}\n", "3:8: unknown key" },
	{ "kubeProxy: {mod: ipvs}\n", "unknown key" },
	{ "registries: {mirror: {}}\n", "unknown key" },
	{ "policy: {thresold: 1}\n", "unknown key" },
	{ "x-mine: 1\n", "unknown key" },
	{ "host: {}\nhost: {}\n", "4:1: the key \"host\" is given twice" },
	{ "host: [a]\n", "\"host\" must be a mapping" },
	/* keys without effect */
	{ "node: {ip: 10.0.0.1}\n", "3:1: \"node\" has no effect in join mode agent" },
	{ "join: {mode: tlsBootstrap}\nagent: {metrics: \"0\"}\n", "\"agent\" has no effect in join mode tlsBootstrap" },
	{ "join: {mode: none}\ncluster: {token: {value: " TOKEN "}}\n", "4:11: \"token\" has no effect in join mode none" },
	{ "join: {mode: none}\nnode: {ip: 10.0.0.1}\n", "\"node\" has no effect in join mode none" },
	{ "join: {mode: kubeadm}\nkubeProxy: {manage: true}\n", "\"manage\" has no effect in join mode kubeadm" },
	{ "kubeProxy: {token: {value: a}}\n", "\"token\" has no effect in join mode agent" },
	{ "kubeProxy: {nodeIdentity: true}\n", "\"nodeIdentity\" has no effect" },
	/* cluster */
	{ "cluster: {server: \"https://a:1\", token: {value: " TOKEN "}}\n", "the key \"ca\" is missing" },
	{ "cluster: {ca: {file: ca.crt}}\n", "the key \"server\" is missing" },
	{ "cluster: {server: \"http://a:6443\", ca: {file: ca.crt}}\n", "\"server\" must be https://HOST:PORT" },
	{ "cluster: {server: \"https://a\", ca: {file: ca.crt}}\n", "\"server\" must be https://HOST:PORT" },
	{ "cluster: {server: \"https://a:6443/path\", ca: {file: ca.crt}}\n", "\"server\" must be" },
	{ "cluster: {server: \"https://u@a:6443\", ca: {file: ca.crt}}\n", "\"server\" must be" },
	{ "cluster: {server: \"https://a:65536\", ca: {file: ca.crt}}\n", "\"server\" must be" },
	{ "cluster: {server: \"https://fd00::1:6443\", ca: {file: ca.crt}}\n", "\"server\" must be" },
	{ "cluster: {server: \"https://10.0.0.256:6443\", ca: {file: ca.crt}}\n", "\"server\" must be" },
	{ "cluster: {server: \"https://a:1\", ca: {file: gone.crt}}\n", "3:45: the file \"gone.crt\" is not there" },
	{ "cluster: {server: \"https://a:1\", ca: {file: leaf.crt}}\n", "holds no certificate of a CA" },
	{ "cluster: {server: \"https://a:1\", ca: {file: both.crt}}\n", "holds a private key" },
	{ "cluster: {server: \"https://a:1\", ca: {file: token}}\n", "holds no PEM certificate" },
	{ "cluster: {server: \"https://a:1\", ca: {data: \"%%%\"}}\n", "must be the PEM file in base64" },
	{ "cluster: {server: \"https://a:1\", ca: {file: ca.crt, data: aaaa}}\n", "given twice" },
	{ "cluster: {server: \"https://a:1\", ca: {}}\n", "\"ca\" is empty" },
	{ "cluster: {server: \"https://a:1\", ca: ca.crt}\n", "\"ca\" must be a mapping, {file: FILE} or {data: ...}" },
	{ "cluster: {server: \"https://a:1\", ca: {pin: \"sha256:12\"}}\n", "\"pin\" must be sha256:" },
	{ "cluster: {server: \"https://a:1\", ca: {file: ca.crt, pin: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}}\n", "has the pin" },
	{ "cluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {file: static-token}}\n", "is no bootstrap token" },
	{ "cluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {value: ABCDEF.0123456789abcdef}}\n", "is no bootstrap token" },
	{ "join: {mode: kubeadm}\ncluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {file: static-token}}\n", "is no bootstrap token" },
	{ "join: {mode: tlsBootstrap}\ncluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {file: spaced-token}}\n", "printable characters without spaces" },
	{ "join: {mode: tlsBootstrap}\ncluster: {server: \"https://a:1\", token: {file: static-token}}\n", "the key \"ca\" is missing" },
	{ "cluster: {kubeconfig: {file: boot.conf}, server: \"https://a:1\"}\n", "\"server\" stands in the kubeconfig already" },
	{ "cluster: {kubeconfig: {file: token}}\n", "no kubeconfig" },
	{ "cluster: {podCIDR: 10.244.0.0}\n", "\"podCIDR\" must be a network" },
	{ "cluster: {podCIDR: 10.244.0.1/16}\n", "\"podCIDR\" must be a network" },
	{ "cluster: {podCIDR: 10.244.0.0/33}\n", "\"podCIDR\" must be a network" },
	{ "cluster: {podCIDR: \"10.1.0.0/16,10.2.0.0/16\"}\n", "\"podCIDR\" must be a network" },
	{ "cluster: {podCIDR: 10.100.0.0/16}\n", "podCIDR and serviceCIDR overlap" },
	{ "cluster: {serviceCIDR: 10.96.0.0/29}\n", "too small to hold the usual DNS address" },
	{ "cluster: {dns: dns.lan}\n", "\"dns\" must be an IP address" },
	{ "cluster: {name: My}\n", "\"name\" must be" },
	/* the rest */
	{ "join: {mode: tls}\n", "must be one of agent, kubeadm, tlsBootstrap, none" },
	{ "host: {hostname: Node10}\n", "3:18: \"hostname\" must be a lower-case host name" },
	{ "host: {hostname: -a}\n", "\"hostname\" must be" },
	{ "host: {hostname: a_b}\n", "\"hostname\" must be" },
	{ "host: {hostname: 0123456789012345678901234567890123456789012345678901234567890123}\n", "\"hostname\" must be" },
	{ "host: {swap: yes}\n", "\"swap\" must be true or false" },
	{ "host: {ntp: time.lan}\n", "\"ntp\" must be a list" },
	{ "host: {ntp: [\"a b\"]}\n", "\"ntp\" must be" },
	{ "host: {ntp: [a, a]}\n", "twice" },
	{ "host: {hosts: {api: 10.0.0.1}}\n", "\"hosts\" must be addresses" },
	{ "host: {hosts: {10.0.0.1: \"a\\nb\"}}\n", "\"hosts\" must be addresses" },
	{ "agent: {metrics: \"8080\"}\n", "\"metrics\" must be \"0\"" },
	{ "agent: {namespace: A}\n", "\"namespace\" must be" },
	{ "agent: {hostLabels: {\"a b\": c}}\n", "\"hostLabels\" must be" },
	{ "join: {mode: tlsBootstrap}\nnode: {labels: {node-role.kubernetes.io/worker: \"\"}}\n", "4:17: the kubelet may not give itself the label" },
	{ "join: {mode: tlsBootstrap}\nnode: {labels: {a: \"b,c=d\"}}\n", "\"labels\" must be" },
	{ "join: {mode: tlsBootstrap}\nnode: {taints: [\"a=b\"]}\n", "\"taints\" must be" },
	{ "join: {mode: tlsBootstrap}\nnode: {taints: [\"a=b:Never\"]}\n", "\"taints\" must be" },
	{ "join: {mode: tlsBootstrap}\nnode: {ip: 127.0.0.1}\n", "\"ip\" must be" },
	{ "join: {mode: tlsBootstrap}\nnode: {maxPods: 0}\n", "\"maxPods\" must be from 1" },
	{ "containerd: {root: data}\n", "\"root\" must be an absolute path" },
	{ "containerd: {existing: adopt, root: /data}\n", "no effect with" },
	{ "containerd: {root: /a/../b}\n", "\"root\" must be an absolute path" },
	{ "containerd: {root: \"/a\\\"b\"}\n", "\"root\" must be an absolute path" },
	{ "containerd: {sandboxImage: registry.k8s.io/pause}\n", "\"sandboxImage\" must be" },
	{ "registries: {mirrors: {a/b: {endpoint: [\"https://a\"]}}}\n", "is no registry" },
	{ "registries: {mirrors: {a: {endpoint: [\"ftp://a\"]}}}\n", "\"endpoint\" must be" },
	{ "registries: {mirrors: {a: {}}}\n", "has no \"endpoint\"" },
	{ "registries: {configs: {a: {auth: {username: u}}}}\n", "belong together" },
	{ "registries: {configs: {a: {tls: {cert_file: /a}}}}\n", "belong together" },
	{ "kubeProxy: {mode: userspace}\n", "must be one of iptables, ipvs, nftables" },
	{ "join: {mode: tlsBootstrap}\nkubeProxy: {nodeIdentity: true, token: {value: a}}\n", "more than one of" },
	{ "join: {mode: tlsBootstrap}\nkubeProxy: {manage: false, nodeIdentity: true}\n", "not managed here" },
	{ "join: {mode: tlsBootstrap}\nkubeProxy: {clientCertificate: true, nodeIdentity: true}\n", "more than one of" },
	{ "join: {mode: tlsBootstrap}\nkubeProxy: {manage: false, clientCertificate: true}\n", "not managed here" },
	{ "kubeProxy: {clientCertificate: true}\n", "\"clientCertificate\" has no effect" },
	{ "join: {mode: tlsBootstrap}\nkubeProxy: {token: {value: a}}\n", "needs cluster.server" },
	{ "cni: {install: none}\n", "\"install\" must be plugins, bridge, or a file" },
	{ "cni: {install: bad.conflist}\n", "\"plugins\" is empty" },
	{ "cni: {install: yaml.conflist}\n", "is a JSON object" },
	{ "policy: {threshold: 0}\n", "\"threshold\" must be from 1" },
	{ "iso: 1\n", "\"iso\" must be a mapping" },
	/* machines */
	{ "machines: [{host: {hostname: a}}]\n", "the key \"match\" is missing" },
	{ "machines: [{match: {}}]\n", "\"match\" names no machine" },
	{ "machines: [{match: {uuid: 1}}]\n", "\"uuid\" must be" },
	{ "machines: [{match: {mac: 52-54}}]\n", "\"mac\" must be" },
	{ "machines: [{match: {serial: A}, policy: {threshold: 1}}]\n", "unknown key \"policy\"" },
	{ "machines:\n- match: {serial: A}\n  host: {hostname: A}\n", "5:20: \"hostname\" must be" },
};

static void test_refused(void **state)
{
	static const struct byoh_machine_identity nobody = {0};
	size_t failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		CLEANUP_FREE char *text = NULL;

		assert_true(asprintf(&text, HEAD "%s", refused[i].text) > 0);
		failures += !is_refused(text, &nobody, refused[i].expected);
	}
	assert_int_equal(failures, 0);
}

static void test_head(void **state)
{
	(void)state;
	assert_refused("", NULL, "the config is empty");
	assert_refused("kind: InstallConfig\n", NULL, "\"apiVersion\" is missing");
	assert_refused("apiVersion: byoh-install/v1alpha1\n", NULL, "\"kind\" is missing");
	assert_refused("apiVersion: byoh-install/v2\nkind: InstallConfig\n", NULL, "1:13: the apiVersion");
	assert_refused("apiVersion: byoh-install/v1alpha1\nkind: Bundle\n", NULL, "the kind must be");
	assert_refused("[]", NULL, "expected a mapping");
}

static void test_secrets_are_not_shown(void **state)
{
	static const char text[] = HEAD
		"cluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {value: s3cr3t-t0ken}}\n";
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_true(byoh_config_parse(text, strlen(text), "byoh.yaml", folder, NULL, &config, &err) < 0);
	assert_null(strstr(err.message, "s3cr3t"));
	assert_non_null(strstr(err.message, "byoh.yaml:3:69: "));
}

#define RACK                                                                   \
	HEAD "host: {hostname: spare, ntp: [10.0.0.1]}\n"                      \
	     "agent: {hostLabels: {site: a, row: \"1\"}}\n"                    \
	     "cluster: {server: \"https://a:1\", ca: {file: ca.crt}, token: {value: " TOKEN "}}\n" \
	     "machines:\n"                                                     \
	     "- match: {serial: S1}\n"                                         \
	     "  host: {hostname: one}\n"                                       \
	     "  agent: {hostLabels: {row: \"2\"}}\n"                           \
	     "  cluster: {token: {file: gone}}\n"                              \
	     "- match: {uuid: 4c4c4544-0042-4A10-8052-b4c04f4e3132, mac: \"52-54-00-AA-BB-CC\"}\n" \
	     "  host: {hostname: two, ntp: [10.0.0.2]}\n"                      \
	     "  join: {mode: none}\n"                                          \
	     "  cluster: null\n"                                               \
	     "  agent: null\n"

static void test_machines(void **state)
{
	char *macs[] = { (char *)"00:00:00:00:00:01", (char *)"52:54:00:aa:bb:cc" };
	struct byoh_machine_identity second = { .serial = "other",
						.uuid = "4C4C4544-0042-4a10-8052-B4C04F4E3132",
						.macs = { 2, macs } };
	struct byoh_machine_identity first = { .serial = "S1" }, other = { .serial = "S3" };
	struct byoh_machine_identity half = { .uuid = second.uuid };
	CLEANUP_CONFIG struct byoh_config *two = parse_for(RACK, &second);
	CLEANUP_CONFIG struct byoh_config *none = parse_for(RACK, &other);
	CLEANUP_CONFIG struct byoh_config *half_matched = parse_for(RACK, &half);

	(void)state;
	assert_string_equal(two->host.hostname, "two");
	assert_int_equal(two->host.ntp.count, 1);
	assert_string_equal(two->host.ntp.items[0], "10.0.0.2");
	assert_int_equal(two->join_mode, BYOH_JOIN_NONE);
	assert_null(two->cluster.server);
	assert_int_equal(two->machine_line, 11);
	assert_string_equal(none->host.hostname, "spare");
	assert_string_equal(none->agent.host_labels.items[1].value, "1");
	assert_int_equal(none->machine_line, 0);
	assert_string_equal(half_matched->host.hostname, "spare");

	assert_refused(RACK, &first, "byoh.yaml:10:27: the file \"gone\" is not there");
	put("gone", TOKEN);
	CLEANUP_CONFIG struct byoh_config *one = parse_for(RACK, &first);
	CLEANUP_CONFIG struct byoh_config *checked = parse_for(RACK, NULL);

	assert_string_equal(one->host.hostname, "one");
	assert_string_equal(one->host.ntp.items[0], "10.0.0.1");
	assert_int_equal(one->agent.host_labels.count, 2);
	assert_string_equal(one->agent.host_labels.items[0].value, "a");
	assert_string_equal(one->agent.host_labels.items[1].value, "2");
	assert_string_equal(one->cluster.token_file, "gone");
	assert_string_equal(checked->host.hostname, "one");

	first.uuid = second.uuid;
	first.macs = second.macs;
	assert_refused(RACK, &first, "11:3: this machine matches here and in line 7");
}

static void test_load_finds_files_beside_the_config(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	CLEANUP_FREE char *path = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	put("byoh.yaml", HEAD "cluster: {server: \"https://a:1\", ca: {file: /nowhere/at/all/ca.crt}}\n");
	assert_true(asprintf(&path, "%s/byoh.yaml", folder) > 0);
	if (byoh_config_load(path, NULL, &config, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(config->path, path);
	assert_true(config->cluster.ca.size > 0);
	byoh_config_free(config);
	config = NULL;
	assert_true(byoh_config_load("/nowhere/byoh.yaml", NULL, &config, &err) < 0);
	assert_non_null(strstr(err.message, "/nowhere/byoh.yaml: the config cannot be read"));
	assert_int_equal(byoh_error_exit_code(&err), 2);
	assert_true(byoh_config_load(folder, NULL, &config, &err) < 0);
	assert_non_null(strstr(err.message, "no regular file"));
	config = NULL;
}

/* What lies beside the config from an earlier run is believed by its pin, in every mode that joins. */
static void test_pin_alone(void **state)
{
	static const char *const modes[] = { "agent", "kubeadm", "tlsBootstrap" };
	CLEANUP_FREE char *ca = test_certificate(true, NULL), *other = test_certificate(true, NULL);
	char pin[BYOH_PIN_SIZE];

	(void)state;
	test_pin_of(ca, pin);
	for (size_t i = 0; i < 3 * ARRAY_SIZE(modes); i++) {
		const char *found = i % 3 == 0 ? NULL : i % 3 == 1 ? other : ca;
		CLEANUP_CONFIG struct byoh_config *config = NULL;
		CLEANUP_FREE char *text = NULL;

		assert_true(asprintf(&text, HEAD "join: {mode: %s}\ncluster: {server: \"https://a:1\", ca: {pin: \"%s\"}}\n",
				     modes[i / 3], pin) > 0);
		put(BYOH_DISCOVERED_CA, found ? found : "");
		config = parse(text);
		assert_string_equal(config->cluster.ca_pin, pin);
		assert_int_equal(config->cluster.ca_discovered, found == ca);
		assert_string_equal(byoh_buffer_text(&config->cluster.ca), found == ca ? ca : "");
	}
}

static void test_no_files_from_memory(void **state)
{
	static const char text[] = HEAD "cluster: {server: \"https://a:1\", ca: {file: /etc/passwd}}\n";
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_true(byoh_config_parse(text, strlen(text), "c", NULL, NULL, &config, &err) < 0);
	assert_non_null(strstr(err.message, "files cannot be named here"));
}

static void test_cidrs(void **state)
{
	char address[64];

	(void)state;
	assert_true(byoh_is_cidr_list("10.244.0.0/16,fd00::/48"));
	assert_false(byoh_is_cidr_list("0.0.0.0/0"));
	assert_false(byoh_is_cidr_list("10.0.0.0/8,"));
	assert_false(byoh_is_cidr_list("fd00::1/64"));
	assert_true(byoh_cidrs_overlap("10.0.0.0/8", "10.96.0.0/12"));
	assert_true(byoh_cidrs_overlap("10.1.0.0/16,fd00::/48", "10.2.0.0/16,fd00:0:0:1::/64"));
	assert_false(byoh_cidrs_overlap("10.1.0.0/16", "10.2.0.0/16"));
	assert_true(byoh_cidr_address("10.0.0.240/28", 10, address, sizeof(address)));
	assert_string_equal(address, "10.0.0.250");
	assert_true(byoh_cidr_address("10.0.1.0/24", 255, address, sizeof(address)));
	assert_false(byoh_cidr_address("10.0.1.0/24", 256, address, sizeof(address)));
	assert_true(byoh_cidr_address("10.0.0.0/16", 300, address, sizeof(address)));
	assert_string_equal(address, "10.0.1.44");
}

static char *kubelet_text(const char *version, const struct byoh_config *config, bool flags)
{
	struct byoh_kubelet_input input = { .config = config,
					    .resolv_conf = "/run/systemd/resolve/resolv.conf",
					    .sandbox_image = "registry.k8s.io/pause:3.9" };
	struct byoh_buffer text = {0};

	assert_int_equal(byoh_kubernetes_version_parse(version, &input.version, NULL), 0);
	input.images_pinned = input.version.minor >= 29;
	assert_int_equal(flags ? byoh_kubelet_flags(&input, &text, NULL)
			       : byoh_kubelet_config(&input, &text, NULL), 0);
	return text.data;
}

#define KUBELET_CONFIG                                                                     \
	HEAD "join: {mode: tlsBootstrap}\n"                                                \
	     "node: {ip: 10.0.0.21, labels: {site: a, row: \"\"}, taints: [\"k=v:NoSchedule\", \"e:NoExecute\"]}\n"

/* versions: what must and what must not stand in the config and the flags */
static const struct {
	const char *version;
	bool flags;
	const char *present[6], *absent[5];
} kubelet_cases[] = {
	{ "v1.20.2", true,
	  { "--container-runtime=remote", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
	    "--pod-infra-container-image=registry.k8s.io/pause:3.9", "--node-labels=site=a,row=",
	    "--register-with-taints=k=v:NoSchedule,e:NoExecute", "--node-ip=10.0.0.21" },
	  { "runtime-cgroups" } },
	{ "1.20.2", false,
	  { "imageGCHighThresholdPercent: 100\n", "clusterDNS:\n- \"10.96.0.10\"\n", "cgroupDriver: systemd\n",
	    "resolvConf: \"/run/systemd/resolve/resolv.conf\"\n", "rotateCertificates: true\n" },
	  { "containerRuntimeEndpoint", "registerWithTaints", "serverTLSBootstrap", "maxPods" } },
	{ "v1.26.0", true, { "--container-runtime-endpoint=" },
	  { "--container-runtime=", "--register-with-taints" } },
	{ "v1.34.1", true, { "--pod-infra-container-image=", "--config=/var/lib/kubelet/config.yaml" },
	  { "--container-runtime", "--register-with-taints" } },
	{ "v1.34.1", false,
	  { "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n",
	    "registerWithTaints:\n- key: \"k\"\n  value: \"v\"\n  effect: NoSchedule\n"
	    "- key: \"e\"\n  effect: NoExecute\n" },
	  { "imageGCHighThresholdPercent" } },
	{ "v1.36.0-rc.1", true, { "--kubeconfig=/etc/kubernetes/kubelet.conf" },
	  { "--pod-infra-container-image", "--container-runtime" } },
};

static void test_kubelet_by_version(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(KUBELET_CONFIG);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kubelet_cases); i++) {
		CLEANUP_FREE char *text =
			kubelet_text(kubelet_cases[i].version, config, kubelet_cases[i].flags);

		for (size_t j = 0; j < 6 && kubelet_cases[i].present[j]; j++)
			if (!strstr(text, kubelet_cases[i].present[j]))
				fail_msg("%s: \"%s\" is missing in\n%s", kubelet_cases[i].version,
					 kubelet_cases[i].present[j], text);
		for (size_t j = 0; j < 5 && kubelet_cases[i].absent[j]; j++)
			if (strstr(text, kubelet_cases[i].absent[j]))
				fail_msg("%s: \"%s\" stands in\n%s", kubelet_cases[i].version,
					 kubelet_cases[i].absent[j], text);
	}
}

static void test_flags_are_one_unit_line(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(HEAD "join: {mode: tlsBootstrap}\n");
	CLEANUP_FREE char *text = kubelet_text("v1.36.0", config, true);

	(void)state;
	assert_string_equal(text, "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubeconfig \\\n"
				  "\t--kubeconfig=/etc/kubernetes/kubelet.conf \\\n"
				  "\t--cert-dir=/var/lib/kubelet/pki \\\n"
				  "\t--config=/var/lib/kubelet/config.yaml");
}

static void test_kube_proxy(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(
		HEAD "join: {mode: tlsBootstrap}\nkubeProxy: {mode: nftables, nodeIdentity: true}\n");
	struct byoh_kubernetes_version version;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_kubernetes_version_parse("v1.34.1", &version, NULL), 0);
	assert_int_equal(byoh_kube_proxy_config(&version, config, &text, NULL), 0);
	assert_non_null(strstr(text.data, "clusterCIDR: \"10.244.0.0/16\"\n"));
	assert_non_null(strstr(text.data, "mode: nftables\n"));
	assert_non_null(strstr(text.data, "  kubeconfig: /etc/kubernetes/kubelet.conf\n"));
	config->kube_proxy.node_identity = false;
	assert_string_equal(byoh_kube_proxy_kubeconfig_path(config), "/etc/kubernetes/kube-proxy.kubeconfig");
	assert_int_equal(byoh_kubernetes_version_parse("v1.20.2", &version, NULL), 0);
	assert_true(byoh_kube_proxy_config(&version, config, &text, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
}

static bool pinned(const char *kubernetes, const char *containerd)
{
	struct byoh_kubernetes_version version;

	assert_int_equal(byoh_kubernetes_version_parse(kubernetes, &version, NULL), 0);
	return byoh_images_can_be_pinned(&version, containerd);
}

static void test_versions(void **state)
{
	static const char *const bad[] = { "", "v1", "v1.20", "1.20.x", "v2.0.0", "v1.20.2 ", "v1.99999.0" };
	struct byoh_kubernetes_version version;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(byoh_kubernetes_version_parse(bad[i], &version, NULL) < 0);
	assert_true(pinned("v1.34.1", "v2.1.4"));
	assert_true(pinned("v1.28.2", "1.7.3~ds1"));
	assert_false(pinned("v1.28.1", "1.7.3"));
	assert_false(pinned("v1.20.2", "2.1.4"));
	assert_false(pinned("v1.34.1", "1.7.2"));
	assert_false(pinned("v1.34.1", "1.6.20~ds1"));
	assert_false(pinned("v1.34.1", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_no_config),
		cmocka_unit_test(test_every_section),
		cmocka_unit_test(test_tls_bootstrap),
		cmocka_unit_test(test_kubeconfig_in_place_of_parts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_secrets_are_not_shown),
		cmocka_unit_test(test_machines),
		cmocka_unit_test(test_load_finds_files_beside_the_config),
		cmocka_unit_test(test_pin_alone),
		cmocka_unit_test(test_no_files_from_memory),
		cmocka_unit_test(test_cidrs),
		cmocka_unit_test(test_kubelet_by_version),
		cmocka_unit_test(test_flags_are_one_unit_line),
		cmocka_unit_test(test_kube_proxy),
		cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
