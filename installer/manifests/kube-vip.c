/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube-vip as a static pod: for the control plane's hosts, in /etc/kubernetes/manifests, and not for
 * kubectl. A static pod takes no ConfigMap, no Secret and no service account, so all of it stands in
 * here.
 */
#include "bundle/base/cleanup.h"
#include "installer/manifests/manifests.h"

static void put_environment(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	const struct byoh_management *management = &input->config->management;
	const struct {
		const char *name, *value;
	} variables[] = {
		{ "address", management->kube_vip.address },
		{ "vip_interface", management->kube_vip.interface },
		{ "vip_arp", "true" },
		{ "cp_enable", "true" },
		{ "cp_namespace", "kube-system" },
		{ "svc_enable", "false" },
		{ "vip_leaderelection", "true" },
	};

	byoh_object_put(file, "    env:\n    - name: port\n      value: \"%u\"\n", input->port);
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		byoh_object_put(file, "    - name: %s\n      value: \"%s\"\n", variables[i].name,
				variables[i].value);
}

void byoh_manifests_kube_vip(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	const struct byoh_management *management = &input->config->management;
	struct byoh_object_file *file;

	if (!management->kube_vip.image)
		return;
	file = byoh_manifests_add(ret, "examples/kube-vip.yaml", 0644);
	byoh_object_put(file, "# An example, for /etc/kubernetes/manifests of each host of the control "
			      "plane.\n"
			      "# Its image has to be there already: nothing is pulled.\n");
	byoh_object_begin(file, "v1", "Pod", "kube-vip", "kube-system");
	byoh_object_put(file,
			"spec:\n"
			"  hostNetwork: true\n"
			"  priorityClassName: system-node-critical\n"
			"  hostAliases:\n"
			"  - ip: 127.0.0.1\n"
			"    hostnames: [kubernetes]\n"
			"  containers:\n"
			"  - name: kube-vip\n"
			"    image: \"%s\"\n"
			"    imagePullPolicy: Never\n"
			"    args: [manager]\n",
			management->kube_vip.image);
	put_environment(input, file);
	byoh_object_put(file, "    securityContext:\n"
			      "      capabilities:\n"
			      "        add: [NET_ADMIN, NET_RAW]\n"
			      "    volumeMounts:\n"
			      "    - name: kubeconfig\n"
			      "      mountPath: /etc/kubernetes/admin.conf\n"
			      "      readOnly: true\n"
			      "  volumes:\n"
			      "  - name: kubeconfig\n"
			      "    hostPath:\n"
			      "      path: /etc/kubernetes/admin.conf\n"
			      "      type: File\n");
}
