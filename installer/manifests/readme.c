/* SPDX-License-Identifier: Apache-2.0 */
/* The README of a set: the order, with the commands as they are to be typed. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/manifests/manifests.h"
#include "installer/manifests/names.h"

static void put_files(const struct byoh_manifests *files, struct byoh_object_file *file)
{
	static const struct {
		const char *name, *text;
	} meanings[] = {
		{ "00-namespace.yaml", "the namespace of the objects for Cluster API" },
		{ "10-bootstrap-token.yaml", "the token that hosts come with, **a secret**" },
		{ "20-rbac.yaml", "what hosts may do" },
		{ "21-rbac-remove-nodes.yaml", "optional: released hosts delete their Node, and "
					       "could any other" },
		{ "30-cluster.yaml", "ByoCluster and Cluster: where the API server is" },
		{ "40-cluster-kubeconfig.yaml", "how Cluster API reaches the cluster, **a "
						"secret**" },
		{ "45-cluster-ca.yaml", "the cluster's CA, for the kubeadm bootstrap provider" },
		{ "50-machine-template.yaml", "ByoMachineTemplate: which hosts, how they join" },
		{ "60-bootstrap-template.yaml", "what a claimed host joins with" },
		{ "75-cni-set.yaml", "ClusterResourceSet: applies the network of `70-cni-*.yaml`" },
		{ "80-machine-deployment.yaml", "MachineDeployment: how many workers. The last "
						"one" },
		{ "token", "the same token for the stick, **a secret**" },
		{ "examples/kube-vip.yaml", "an example: a virtual address for the API server" },
		{ "clusterctl/clusterctl.yaml", "the configuration of clusterctl, for "
						"`clusterctl/repo` beside it" },
	};

	byoh_object_put(file, "| file | is |\n|---|---|\n");
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		for (size_t j = 0; j < files->count; j++)
			if (!strcmp(files->items[j].name, meanings[i].name))
				byoh_object_put(file,
						"| `%s` | %s "
						"|\n",
						meanings[i].name, meanings[i].text);
}

/* A clock that is wrong makes a token that has ended already, or one that lives for years. */
static void put_token(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_put(file, "\n## 1. The token\n\n");
	if (!input->token) {
		byoh_object_put(file, "The token of byoh.yaml is a static one: it stands in the "
				      "file of the API "
				      "server's `--token-auth-file`,\nhas no end, and no Secret "
				      "can hold it.\n");
		return;
	}
	byoh_object_put(file,
			"    kubectl apply -f 10-bootstrap-token.yaml\n\n"
			"It ends at **%s** (UTC), counted by the clock of the computer that "
			"wrote this. What counts is "
			"the\ncontrol plane's clock. Compare: `date -u` there. If they differ, "
			"or the time is over, count "
			"anew on a\nhost of the control plane:\n\n"
			"    kubectl -n kube-system patch secret bootstrap-token-%.6s --type "
			"merge \\\n"
			"      -p '{\"stringData\":{\"expiration\":\"'$(date -u -d '+24 hours' "
			"+%%FT%%TZ)'\"}}'\n\n",
			input->expiration, input->token);
	if (input->token_is_new)
		byoh_object_put(file, "The file `token` goes on the stick, beside byoh.yaml, which "
				      "names it: `cluster: {token: "
				      "{file: token}}`.\nOn a host that is installed already: "
				      "`byoh-install join --token-file "
				      "token`. Delete it here then.\n");
	else
		byoh_object_put(file, "It is the token of byoh.yaml.\n");
	byoh_object_put(file, "\nWhen it has ended, `byoh-install manifests` makes another one; "
			      "hosts that have "
			      "joined need none.\n");
}

static void put_rbac(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_put(file, "\n## 2. Rights\n\n%s    kubectl apply -f 20-rbac.yaml\n",
			byoh_manifests_own_namespace(input) ? "    kubectl apply -f "
							      "00-namespace.yaml\n"
							    : "");
	if (!byoh_manifests_claim(input))
		return;
	byoh_object_put(file,
			"    kubectl apply -f 21-rbac-remove-nodes.yaml     # optional\n"
			"    kubectl auth can-i list services --as byoh:host:anyhost --as-group "
			"" BYOH_GROUP_HOSTS "\n\n"
			"The last one says `yes`. The provider lets every host read **every "
			"Secret of the cluster**. "
			"`20-rbac.yaml`\nlets them read those in the namespace `%s`, which is "
			"enough. Look for the "
			"provider's own binding,\nand delete it:\n\n"
			"    kubectl get clusterrolebinding -o name | grep "
			"secret-reader\n",
			input->namespace_name);
}

static void put_clusterctl(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	const struct byoh_provider *parts;

	byoh_object_put(file, "\n## 3. Cluster API\n\n");
	if (!input->clusterctl) {
		byoh_object_put(file, "Cluster API and its BYOH provider have to be there. Without "
				      "internet: unpack a management "
				      "bundle\n(`byoh-install extract DIR --from management.bundle`) "
				      "and make this folder anew with "
				      "`--management DIR`.\n");
		return;
	}
	parts = input->clusterctl->components;
	byoh_object_put(file,
			"    export GOPROXY=off\n"
			"    clusterctl init --config %s/clusterctl/clusterctl.yaml \\\n"
			"      --core cluster-api:%s --bootstrap kubeadm:%s \\\n"
			"      --control-plane kubeadm:%s --infrastructure byoh:%s\n\n"
			"clusterctl.yaml names this folder by its path; when it moves, change "
			"the paths. The versions have "
			"to be\nnamed, or clusterctl asks the internet for newer ones. The "
			"controllers' images have to be on "
			"the nodes that\nrun them, or in a registry of yours "
			"(`management.imageRepository`).\n",
			input->folder, parts[BYOH_PROVIDER_CORE].version,
			parts[BYOH_PROVIDER_BOOTSTRAP].version,
			parts[BYOH_PROVIDER_CONTROL_PLANE].version, parts[BYOH_PROVIDER_BYOH].version);
}

static void put_kubeconfig(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	if (input->cluster_kubeconfig) {
		byoh_object_put(file, "    kubectl apply -f 40-cluster-kubeconfig.yaml\n");
		return;
	}
	byoh_object_put(file,
			"\nCluster API reaches the cluster by the Secret `%s-kubeconfig`, which "
			"is **not** in this "
			"folder: no\n`--cluster-kubeconfig` was given. On a host of the control "
			"plane:\n\n"
			"    kubectl config view --kubeconfig /etc/kubernetes/admin.conf "
			"--flatten --raw --minify >value\n"
			"    kubectl -n %s create secret generic %s-kubeconfig --type "
			"cluster.x-k8s.io/secret \\\n"
			"      --from-file=value\n"
			"    kubectl -n %s label secret %s-kubeconfig " BYOH_CLUSTER_LABEL "=%s\n"
			"    rm value\n",
			input->cluster, input->namespace_name, input->cluster, input->namespace_name,
			input->cluster, input->cluster);
}

static void put_cluster(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_put(file, "\n## 4. The cluster\n\n    kubectl apply -f 30-cluster.yaml\n");
	if (input->config->management.join_mode == BYOH_CLAIM_KUBEADM)
		byoh_object_put(file, "    kubectl apply -f 45-cluster-ca.yaml\n");
	put_kubeconfig(input, file);
	byoh_object_put(file,
			"\nIt was not Cluster API that made this control plane, so nothing "
			"tells it that there is one. "
			"kubeadm's\nbootstrap provider waits for that, and a ClusterResourceSet "
			"may. Say it once "
			"(kubectl 1.24 or newer):\n\n"
			"    kubectl -n %s patch cluster %s --subresource status --type merge "
			"-p \\\n"
			"      "
			"'{\"status\":{\"conditions\":[{\"type\":\"ControlPlaneInitialized\","
			"\"status\":\"True\",",
			input->namespace_name, input->cluster);
	if (input->config->management.api == BYOH_CLUSTER_API_V1BETA2)
		byoh_object_put(file, "\"reason\":\"Initialized\",\"message\":\"\",");
	byoh_object_put(file, "\"lastTransitionTime\":\"'$(date -u +%%FT%%TZ)'\"}]}}'\n");
}

static void put_workers(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_put(file, "\n## 5. The workers\n\n"
			      "    kubectl apply -f 50-machine-template.yaml -f "
			      "60-bootstrap-template.yaml\n");
	if (input->cni)
		byoh_object_put(file, "    kubectl apply --server-side $(printf -- ' -f %%s' "
				      "70-cni-*.yaml) -f "
				      "75-cni-set.yaml\n");
	byoh_object_put(file,
			"    kubectl -n %s get byohosts          # the hosts, as their agents "
			"register them\n"
			"    kubectl apply -f 80-machine-deployment.yaml\n"
			"    kubectl -n %s get machines -w\n\n",
			input->namespace_name, input->namespace_name);
	byoh_object_put(file, input->cni ? "`--server-side`, because a plain apply keeps a copy in an "
					   "annotation, "
					   "which ends at 256 KiB. The "
					   "network is\napplied once: Cluster API does not touch it "
					   "afterwards.\n"
					 : "The cluster's network is not in here: byoh.yaml names no "
					   "`management.cni.file`. Nodes stay "
					   "NotReady until\nsomebody installs one.\n");
}

static void put_later(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	const struct byoh_management *management = &input->config->management;

	byoh_object_put(file, "\n## What is not in here, and why\n\n"
			      "- **No MachineHealthCheck.** A link that is down for longer than its "
			      "limit makes Cluster API give "
			      "up the host;\n  when the agent comes back it takes the host for a "
			      "leftover and wipes it. On sites "
			      "with bad links that is the\n  greater damage.\n"
			      "- **No installerRef.** Everything is on the hosts already. The agent's "
			      "own scripts ask the "
			      "internet, and wipe.\n"
			      "- **No ByoHost.** Agents register their hosts themselves.\n");
	if (management->join_mode == BYOH_CLAIM_TLS_BOOTSTRAP)
		byoh_object_put(file, "- **One cluster.** In this join mode the provider makes a "
				      "claim's token in the cluster that "
				      "it runs in: the\n  management cluster has to be the one that "
				      "the hosts join. Each lives for 30 "
				      "minutes.\n");
	byoh_object_put(file,
			"- Cluster API's kinds are written as `%s`. The BYOH provider "
			"implements the contract v1beta1, "
			"which\n  Cluster API serves up to "
			"1.15.\n",
			byoh_cluster_api_version(input));
	if (management->has_autoscaler)
		byoh_object_put(file,
				"- The autoscaler itself. It finds these machines by "
				"`--cloud-provider=clusterapi\n"
				"  "
				"--node-group-auto-discovery=clusterapi:namespace=%s,clusterName=%s`. "
				"To start from "
				"none it has\n  to be allowed to read byomachinetemplates.\n",
				input->namespace_name, input->cluster);
}

static void put_plain(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	if (input->config->join_mode == BYOH_JOIN_KUBEADM)
		byoh_object_put(file, "\nA control plane that kubeadm made has all of "
				      "`20-rbac.yaml` under other names "
				      "already; twice does no harm.\n");
	byoh_object_put(file, "\n## 3. The hosts\n\n"
			      "    kubectl get csr            # those of kubelets are approved "
			      "by themselves\n"
			      "    kubectl get nodes -w\n");
	if (input->config->node.serving_certificates)
		byoh_object_put(file, "\n`node.servingCertificates` is on: requests of the signer "
				      "`kubernetes.io/kubelet-serving` "
				      "are approved by nobody\nbut you. Look at the names and "
				      "addresses in each, then\n\n"
				      "    kubectl certificate approve NAME\n");
	byoh_object_put(file,
			"\nIn join mode %s there is no agent, and Cluster API has nothing "
			"to do with these "
			"hosts: there are no objects\nfor it. Its part of byoh.yaml "
			"(`management:`) is for join mode "
			"`agent`.\n",
			byoh_join_mode_name(input->config->join_mode));
}

static void put_kube_vip(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	if (input->config->management.kube_vip.image)
		byoh_object_put(file,
				"\n## The example\n\n"
				"`examples/kube-vip.yaml` is a static pod for the hosts of the "
				"control plane, and nothing for "
				"kubectl. Its image,\n`%s`, has to be on them already.\n",
				input->config->management.kube_vip.image);
}

void byoh_manifests_readme(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "README.md", 0644);

	byoh_object_put(file,
			"# Objects for the cluster of %s\n\n"
			"Made by byoh-install " BYOH_VERSION " from byoh.yaml, in join mode %s. "
			"kubectl needs an "
			"administrator's kubeconfig.\nThe order is that of the numbers.\n\n",
			input->config->cluster.server, byoh_join_mode_name(input->config->join_mode));
	put_files(ret, file);
	put_token(input, file);
	put_rbac(input, file);
	if (byoh_manifests_claim(input)) {
		put_clusterctl(input, file);
		put_cluster(input, file);
		put_workers(input, file);
		put_later(input, file);
	} else {
		put_plain(input, file);
	}
	put_kube_vip(input, file);
}
