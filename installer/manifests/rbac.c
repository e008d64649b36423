/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts may do in the cluster: the bindings that a control plane of kubeadm has for its own
 * tokens, for the groups that these hosts come with, and what the BYOH provider's own components lack.
 */
#include "bundle/base/cleanup.h"
#include "installer/manifests/manifests.h"

#define GROUP "rbac.authorization.k8s.io"
#define API GROUP "/v1"
#define CSRS "system:certificates.k8s.io:certificatesigningrequests:"

struct binding {
	const char *why, *name, *role, *group;
};

static const struct binding for_agents[] = {
	{ "With the token alone an agent, and later a kubelet, may ask for a certificate.",
	  "byoh:node-bootstrapper", "system:node-bootstrapper", BYOH_GROUP_BYOH },
	{ "The controller manager approves the kubelet's first certificate by itself.",
	  "byoh:node-autoapprove-bootstrap", CSRS "nodeclient", BYOH_GROUP_BYOH },
	{ "The same for its renewal.", "byoh:node-autoapprove-certificate-rotation",
	  CSRS "selfnodeclient", "system:nodes" },
	{ "kube-proxy comes with the agent's certificate, which by itself may read nodes and no "
	  "services.",
	  "byoh:node-proxier", "system:node-proxier", BYOH_GROUP_HOSTS },
};

static const struct binding for_tokens[] = {
	{ "With the token alone a kubelet may ask for a certificate.", "byoh:kubelet-bootstrap",
	  "system:node-bootstrapper", BYOH_GROUP_KUBEADM },
	{ "The controller manager approves the kubelet's first certificate by itself.",
	  "byoh:kubelet-autoapprove-bootstrap", CSRS "nodeclient", BYOH_GROUP_KUBEADM },
	{ "The same for its renewal.", "byoh:node-autoapprove-certificate-rotation",
	  CSRS "selfnodeclient", "system:nodes" },
};

static const struct binding for_node_identity = {
	"kube-proxy comes with the kubelet's certificate (kubeProxy.nodeIdentity).",
	"byoh:node-identity-proxier",
	"system:node-proxier",
	"system:nodes",
};

static void put_binding(struct byoh_object_file *file, const char *kind, const char *namespace_name,
			const char *role_kind, const struct binding *binding)
{
	byoh_object_remark(file, binding->why);
	byoh_object_begin(file, API, kind, binding->name, namespace_name);
	byoh_object_put(file,
			"roleRef:\n"
			"  apiGroup: " GROUP "\n"
			"  kind: %s\n"
			"  name: \"%s\"\n"
			"subjects:\n"
			"- apiGroup: " GROUP "\n"
			"  kind: Group\n"
			"  name: \"%s\"\n",
			role_kind, binding->role, binding->group);
}

static void put_bindings(struct byoh_object_file *file, const struct binding *bindings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_binding(file, "ClusterRoleBinding", NULL, "ClusterRole", &bindings[i]);
}

static void put_role(struct byoh_object_file *file, const char *kind, const char *name,
		     const char *namespace_name, const char *resource, const char *verb)
{
	byoh_object_begin(file, API, kind, name, namespace_name);
	byoh_object_put(file,
			"rules:\n"
			"- apiGroups: [\"\"]\n"
			"  resources: [%s]\n"
			"  verbs: [%s]\n",
			resource, verb);
}

/* kubeadm looks whether a node of the name is there already. */
static void put_kubeadm(struct byoh_object_file *file)
{
	static const struct binding binding = {
		"kubeadm join looks whether a node of its name is there already.",
		"byoh:get-nodes",
		"byoh:get-nodes",
		BYOH_GROUP_KUBEADM,
	};

	put_role(file, "ClusterRole", "byoh:get-nodes", NULL, "nodes", "get");
	put_binding(file, "ClusterRoleBinding", NULL, "ClusterRole", &binding);
}

/* Clusters that kubeadm made have the same under another name. */
static void put_discovery(struct byoh_object_file *file)
{
	static const struct binding binding = {
		"Hosts that know the cluster's CA by its pin read its cluster-info before they are anybody; the "
		"token's signature on it, and the pin, say whether it is true.",
		"byoh:cluster-info",
		"byoh:cluster-info",
		"system:unauthenticated",
	};

	put_role(file, "Role", binding.role, "kube-public", "configmaps", "get");
	byoh_object_put(file, "  resourceNames: [cluster-info]\n");
	put_binding(file, "RoleBinding", "kube-public", "Role", &binding);
}

/* The provider lets every host read every Secret of the cluster. This is what an agent needs of that.
 */
static void put_secret_reader(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	static const struct binding binding = {
		"Agents read the Secrets of their claims, and those lie in this namespace.",
		"byoh:secret-reader",
		"byoh:secret-reader",
		BYOH_GROUP_HOSTS,
	};

	put_role(file, "Role", binding.role, input->namespace_name, "secrets", "get");
	put_binding(file, "RoleBinding", input->namespace_name, "Role", &binding);
}

static void put_node_remover(struct byoh_object_file *file)
{
	static const struct binding binding = {
		"Optional: without it the Node of a host that was released stays. With it every "
		"host may delete any "
		"Node.",
		"byoh:node-remover",
		"byoh:node-remover",
		BYOH_GROUP_HOSTS,
	};

	put_role(file, "ClusterRole", binding.role, NULL, "nodes", "delete");
	put_binding(file, "ClusterRoleBinding", NULL, "ClusterRole", &binding);
}

void byoh_manifests_rbac(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	const struct byoh_config *config = input->config;
	struct byoh_object_file *file = byoh_manifests_add(ret, "20-rbac.yaml", 0644);

	if (config->cluster.ca_pin)
		put_discovery(file);
	if (byoh_manifests_claim(input)) {
		put_bindings(file, for_agents, ARRAY_SIZE(for_agents));
		put_secret_reader(input, file);
		put_node_remover(byoh_manifests_add(ret, "21-rbac-remove-nodes.yaml", 0644));
		return;
	}
	put_bindings(file, for_tokens, ARRAY_SIZE(for_tokens));
	if (config->join_mode == BYOH_JOIN_KUBEADM)
		put_kubeadm(file);
	if (config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP && config->kube_proxy.node_identity)
		put_bindings(file, &for_node_identity, 1);
}
