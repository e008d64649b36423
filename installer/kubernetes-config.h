/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kubelet and kube-proxy are told when nobody else tells them (join mode tlsBootstrap): their
 * configuration files and flags, as text, by Kubernetes version. Pure; the caller places the text.
 */
#ifndef BYOH_INSTALLER_KUBERNETES_CONFIG_H
#define BYOH_INSTALLER_KUBERNETES_CONFIG_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config.h"

/* Places that Kubernetes' own documents and the BYOH agent use. */
#define BYOH_KUBERNETES_CA "/etc/kubernetes/pki/ca.crt"
#define BYOH_KUBERNETES_MANIFESTS "/etc/kubernetes/manifests"
#define BYOH_KUBELET_BOOTSTRAP_KUBECONFIG "/etc/kubernetes/bootstrap-kubeconfig" /* ours: 0600 */
#define BYOH_KUBELET_KUBECONFIG "/etc/kubernetes/kubelet.conf" /* written by the kubelet */
#define BYOH_KUBELET_CONFIG "/var/lib/kubelet/config.yaml"
#define BYOH_KUBEADM_FLAGS "/var/lib/kubelet/kubeadm-flags.env" /* kubeadm's */
#define BYOH_KUBELET_CERTIFICATES "/var/lib/kubelet/pki"
#define BYOH_KUBE_PROXY_CONFIG "/var/lib/kube-proxy/kube-proxy-config.yaml"
#define BYOH_KUBE_PROXY_KUBECONFIG "/etc/kubernetes/kube-proxy.kubeconfig" /* 0600 */
#define BYOH_CONTAINERD_ENDPOINT "unix:///run/containerd/containerd.sock"

struct byoh_kubernetes_version {
	unsigned int major, minor, patch;
};

/* "v1.20.2", also without "v" and with what semantic versions put behind ("-rc.1", "+build").
 * Errors are BYOH_ERROR_FORMAT: versions come from bundles. */
BYOH_MUST_CHECK int byoh_kubernetes_version_parse(const char *text, struct byoh_kubernetes_version *ret,
						  struct byoh_error *err);
/* 1.minor.patch or newer */
bool byoh_kubernetes_at_least(const struct byoh_kubernetes_version *version, unsigned int minor,
			      unsigned int patch);

/* Do this kubelet and this containerd ("1.7.24~ds1", "v2.3.4"; NULL: unknown, no) keep pinned images
 * from garbage collection? Where not, the kubelet's collection is switched off. */
bool byoh_images_can_be_pinned(const struct byoh_kubernetes_version *kubernetes, const char *containerd);

/* value (may be NULL) holds two addresses or networks with a comma between only where this version takes them so;
 * else BYOH_ERROR_CONFIG that names the key. */
BYOH_MUST_CHECK int byoh_kubernetes_check_families(const struct byoh_kubernetes_version *version, const char *key,
						   const char *value, struct byoh_error *err);

struct byoh_kubelet_input {
	struct byoh_kubernetes_version version;
	const struct byoh_config *config;
	const char *resolv_conf;   /* /run/systemd/resolve/resolv.conf with systemd-resolved; NULL: the default */
	const char *sandbox_image; /* as in containerd's config; NULL: none known */
	bool images_pinned;	   /* byoh_images_can_be_pinned */
};

/* KubeletConfiguration for BYOH_KUBELET_CONFIG, 0644. BYOH_ERROR_CONFIG for a field of node.kubelet that this
 * version does not know. */
BYOH_MUST_CHECK int byoh_kubelet_config(const struct byoh_kubelet_input *input, struct byoh_buffer *ret,
					struct byoh_error *err);
/* The arguments behind ExecStart=/usr/local/bin/kubelet, each on a line of its own and joined by " \" as
 * unit files continue lines; begins with the first "--" and ends without newline. Nothing in it needs
 * quotes or percent signs. */
BYOH_MUST_CHECK int byoh_kubelet_flags(const struct byoh_kubelet_input *input, struct byoh_buffer *ret,
				       struct byoh_error *err);

/* The kubeconfig that kube-proxy uses: BYOH_KUBE_PROXY_KUBECONFIG, or the kubelet's own where the config
 * says kubeProxy.nodeIdentity. Its unit waits for that file (ConditionPathExists=). */
const char *byoh_kube_proxy_kubeconfig_path(const struct byoh_config *config);

/* KubeProxyConfiguration for BYOH_KUBE_PROXY_CONFIG, 0644. BYOH_ERROR_CONFIG for a mode that this version
 * does not have. */
BYOH_MUST_CHECK int byoh_kube_proxy_config(const struct byoh_kubernetes_version *version,
					   const struct byoh_config *config, struct byoh_buffer *ret,
					   struct byoh_error *err);

#endif
