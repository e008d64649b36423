/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/steps.h"

#include "installer/steps/steps-internal.h"

/* Order is order of execution: the tool comes before what it would have to mend, the kernel before
 * what needs it, every file before any service, containerd before images, images before what makes
 * pods. The tool is the new release's before anything else changes. */
const struct byoh_step_kind byoh_step_kinds[] = {
	{ "tool", byoh_step_tool },
	{ "own", byoh_step_own },
	{ "data", byoh_step_data },
	{ "trust", byoh_step_trust },
	{ "late-credentials", byoh_step_late },
	{ "release-files", byoh_step_release_files },
	{ "directories", byoh_step_directories },
	{ "modules", byoh_step_modules },
	{ "sysctl", byoh_step_kernel_parameters },
	{ "swap", byoh_step_swap },
	{ "hostname", byoh_step_host_name },
	{ "hosts", byoh_step_host_table },
	{ "time", byoh_step_time },
	{ "containerd", byoh_step_containerd },
	{ "registries", byoh_step_registries },
	{ "crictl", byoh_step_crictl },
	{ "units", byoh_step_units },
	{ "join-volume", byoh_step_join_volume },
	{ "slices", byoh_step_slices },
	{ "iptables", byoh_step_iptables },
	{ "cni", byoh_step_cni },
	{ "dummy-route", byoh_step_dummy_route },
	{ "kubernetes", byoh_step_kubernetes },
	{ "ca-bundle", byoh_step_ca_bundle },
	{ "ca-guard", byoh_step_ca_guard },
	{ "kubeadm", byoh_step_kubeadm },
	{ "adopted-node", byoh_step_adopted_node },
	{ "agent", byoh_step_agent },
	{ "local-bundle", byoh_step_local_bundle },
	{ "kubelet-flags", byoh_step_kubelet_flags },
	{ "selinux", byoh_step_selinux },
	{ "systemd", byoh_step_systemd },
	{ "route", byoh_step_start_route },
	{ "runtime", byoh_step_runtime },
	{ "images", byoh_step_images },
	{ "ca-watch", byoh_step_start_guard },
	{ "node", byoh_step_node },
	{ NULL, NULL },
};
