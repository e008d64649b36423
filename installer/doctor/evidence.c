/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/doctor/evidence.h"

#include <stdlib.h>

#include "bundle/base/cleanup.h"

static void release_strings(struct byoh_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

static void release_kubeconfig(struct byoh_kubeconfig_evidence *kubeconfig)
{
	free(kubeconfig->fault);
	free(kubeconfig->server);
	byoh_buffer_release(&kubeconfig->ca);
	free(kubeconfig->token_id);
	free(kubeconfig->identity);
}

static void release_api(struct byoh_api_evidence *api)
{
	free(api->message);
	free(api->node_machine_id);
	free(api->node_address);
	free(api->ready);
	free(api->ready_reason);
	free(api->ready_message);
	for (size_t i = 0; i < api->csr_count; i++) {
		free(api->csrs[i].name);
		free(api->csrs[i].signer);
		free(api->csrs[i].identity);
		free(api->csrs[i].reason);
	}
	free(api->csrs);
}

static void release_lists(struct byoh_evidence *evidence)
{
	for (size_t i = 0; i < evidence->drift_count; i++)
		free(evidence->drifts[i].subject);
	free(evidence->drifts);
	for (size_t i = 0; i < evidence->cni_count; i++) {
		free(evidence->cni_files[i].name);
		free(evidence->cni_files[i].fault);
		free(evidence->cni_files[i].missing_plugin);
	}
	free(evidence->cni_files);
	for (size_t i = 0; i < ARRAY_SIZE(evidence->disks); i++) {
		free(evidence->disks[i].path);
		free(evidence->disks[i].mount);
	}
}

static void release_parts(struct byoh_evidence *evidence)
{
	free(evidence->claim_said);
	free(evidence->containerd.fault);
	free(evidence->containerd.sandbox_image);
	free(evidence->containerd.cri);
	release_strings(&evidence->containerd.images);
	free(evidence->kubelet.fault);
	free(evidence->kubelet.cgroup_driver);
	free(evidence->kubelet.ca_file);
	free(evidence->kubelet.resolv_conf);
	free(evidence->kubelet.resolv_loop);
	free(evidence->net.port_owner);
	free(evidence->net.iptables);
	free(evidence->net.firewall);
}

void byoh_evidence_release(struct byoh_evidence *evidence)
{
	free(evidence->kubernetes);
	free(evidence->transaction);
	free(evidence->release_fault);
	for (size_t i = 0; i < ARRAY_SIZE(evidence->units); i++) {
		free(evidence->units[i].definition);
		free(evidence->units[i].log);
	}
	for (size_t i = 0; i < ARRAY_SIZE(evidence->kubeconfigs); i++)
		release_kubeconfig(&evidence->kubeconfigs[i]);
	release_lists(evidence);
	release_parts(evidence);
	release_api(&evidence->api);
	*evidence = (struct byoh_evidence){ 0 };
}
