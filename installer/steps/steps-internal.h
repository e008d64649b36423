/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: the builders' prototypes, the places on the host, and a few
 * helpers. */
#ifndef BYOH_INSTALLER_STEPS_STEPS_INTERNAL_H
#define BYOH_INSTALLER_STEPS_STEPS_INTERNAL_H

#include "installer/agent-config.h"
#include "installer/kubernetes-config.h"
#include "installer/plan.h"
#include "installer/pod-cidr.h"

#define BYOH_UNIT_DIR "/usr/local/lib/systemd/system"
#define BYOH_BIN_CONTAINERD "/usr/local/bin/containerd"
#define BYOH_BIN_RUNC "/usr/local/bin/runc"
#define BYOH_BIN_KUBELET "/usr/local/bin/kubelet"
#define BYOH_BIN_KUBE_PROXY "/usr/local/bin/kube-proxy"
#define BYOH_BIN_AGENT "/usr/local/bin/byoh-hostagent"
#define BYOH_BIN_TOOL "/" BYOH_EXECUTABLE_PATH
#define BYOH_CONTAINERD_CONFIG "/etc/containerd/config.toml"
#define BYOH_CONTAINERD_CERTS "/etc/containerd/certs.d"
#define BYOH_CNI_BIN "/opt/cni/bin"
#define BYOH_RESOLVED_FILE "/run/systemd/resolve/resolv.conf" /* the servers that systemd-resolved asks */
#define BYOH_LOCAL_BUNDLES "/var/lib/byoh/bundles"
#define BYOH_ADOPTED_NODE_PATH "/var/lib/byoh/adopted-node"
#define BYOH_HEADCNI_CONFLIST "10-headcni.conflist"
#define BYOH_HEADCNI_SUFFIX ".headcni_bak" /* what it gives to every other file there */
#define BYOH_CA_GUARD_UNIT "byoh-ca-guard.path"
#define BYOH_DUMMY_ROUTE_UNIT "byoh-dummy-route.service"
#define BYOH_AGENT_BOOTSTRAP "/etc/byoh/bootstrap-kubeconfig.conf"
#define BYOH_AGENT_ENVIRONMENT "/etc/byoh/agent.env"

/* For units: the environment of PID 1 may hold proxies, and through one the API server is not reached. */
#define BYOH_STEPS_NO_PROXIES \
	"UnsetEnvironment=http_proxy https_proxy ftp_proxy no_proxy all_proxy\n" \
	"UnsetEnvironment=HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY\n"

/* The builders, in the order of the table. */
#define BYOH_STEP_BUILDER(name) \
	int byoh_step_##name(const struct byoh_plan_input *input, struct byoh_step *step, \
			     struct byoh_error *err)
BYOH_STEP_BUILDER(tool);
BYOH_STEP_BUILDER(own);
BYOH_STEP_BUILDER(data);
BYOH_STEP_BUILDER(trust);
BYOH_STEP_BUILDER(late);
BYOH_STEP_BUILDER(release_files);
BYOH_STEP_BUILDER(directories);
BYOH_STEP_BUILDER(modules);
BYOH_STEP_BUILDER(kernel_parameters);
BYOH_STEP_BUILDER(swap);
BYOH_STEP_BUILDER(host_name);
BYOH_STEP_BUILDER(host_table);
BYOH_STEP_BUILDER(time);
BYOH_STEP_BUILDER(containerd);
BYOH_STEP_BUILDER(registries);
BYOH_STEP_BUILDER(crictl);
BYOH_STEP_BUILDER(units);
BYOH_STEP_BUILDER(join_volume);
BYOH_STEP_BUILDER(slices);
BYOH_STEP_BUILDER(iptables);
BYOH_STEP_BUILDER(dummy_route);
BYOH_STEP_BUILDER(start_route);
BYOH_STEP_BUILDER(cni);
BYOH_STEP_BUILDER(kubernetes);
BYOH_STEP_BUILDER(ca_bundle);
BYOH_STEP_BUILDER(ca_guard);
BYOH_STEP_BUILDER(start_guard);
BYOH_STEP_BUILDER(kubeadm);
BYOH_STEP_BUILDER(adopted_node);
BYOH_STEP_BUILDER(local_bundle);
BYOH_STEP_BUILDER(agent);
BYOH_STEP_BUILDER(kubelet_flags);
BYOH_STEP_BUILDER(selinux);
BYOH_STEP_BUILDER(systemd);
BYOH_STEP_BUILDER(runtime);
BYOH_STEP_BUILDER(images);
BYOH_STEP_BUILDER(node);

/* Does the bundle bring a file or link at this absolute path? */
bool byoh_steps_brings(const struct byoh_plan_input *input, const char *path);
/* containerd.existing: does the host's own containerd stay, and is set up for CRI; or does it make room
 * for the bundle's? */
bool byoh_steps_adopts(const struct byoh_plan_input *input);
bool byoh_steps_replaces(const struct byoh_plan_input *input);
/* --adopt-node, now or by an earlier run: the host's own kubelet stays. */
bool byoh_steps_adopts_node(const struct byoh_plan_input *input);
/* A program of Kubernetes that stays out, since the adopted node runs its own from that place. */
bool byoh_steps_keeps_program(const struct byoh_plan_input *input, const struct byoh_file *file);
/* agent.localBundle: the agent runs its own scripts, which find their files on the host. */
bool byoh_steps_has_local_bundle(const struct byoh_plan_input *input);
bool byoh_steps_is_in_local_bundle(const struct byoh_plan_input *input, const struct byoh_file *file);
/* Does a containerd serve this host, the bundle's or an adopted one? */
bool byoh_steps_has_containerd(const struct byoh_plan_input *input);
/* A file of the bundle that stays out, since the host has what it is for. */
BYOH_MUST_CHECK int byoh_steps_leaves_out(const struct byoh_plan_input *input,
					  const struct byoh_file *file, bool *ret,
					  struct byoh_error *err);
/* Where it keeps images and containers: the config's folder, or an adopted one's own. */
BYOH_MUST_CHECK int byoh_steps_containerd_root(const struct byoh_plan_input *input, char **ret,
					       struct byoh_error *err);
/* The text of containerd's unit (NULL: none) and of each of its drop-ins. */
BYOH_MUST_CHECK int byoh_steps_containerd_unit_texts(const struct byoh_host *host, const char *unit,
						     int (*each)(const char *path, const char *text,
								 struct byoh_error *err),
						     struct byoh_error *err);
/* Is the node to be one whose kubelet and kube-proxy this program configures, with what the bundle
 * brings? */
bool byoh_steps_runs_kubelet(const struct byoh_plan_input *input);
bool byoh_steps_runs_kube_proxy(const struct byoh_plan_input *input);
/* Does the config hold what kube-proxy identifies itself with? Otherwise its kubeconfig comes
 * later. */
bool byoh_steps_knows_kube_proxy(const struct byoh_plan_input *input);
/* Are server, CA and token all known, so that the first contact can be made? */
bool byoh_steps_can_join(const struct byoh_plan_input *input);

/* kubeadm.c: is the host to be joined by kubeadm, and is all known that kubeadm has to be told? */
bool byoh_steps_joins_by_kubeadm(const struct byoh_plan_input *input);
/* The units that run kubeadm, for the modes kubeadm and agent; and the one that watches the agent, running. */
BYOH_MUST_CHECK int byoh_steps_kubeadm_units(const struct byoh_plan_input *input,
					     struct byoh_step *step, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_steps_kubeadm_watch(const struct byoh_plan_input *input,
					     struct byoh_step *step, struct byoh_error *err);

/* A file of ours. Left out where the bundle brings a file at that path: what the
 * publisher signed goes before a template. *ret (may be NULL) is NULL then. */
BYOH_MUST_CHECK int byoh_steps_file(const struct byoh_plan_input *input, struct byoh_step *step,
				    const char *path, mode_t mode, const void *bytes, size_t size,
				    struct byoh_action **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_steps_text(const struct byoh_plan_input *input, struct byoh_step *step,
				    const char *path, mode_t mode, const char *text,
				    struct byoh_error *err);
/* The same, never shown. */
BYOH_MUST_CHECK int byoh_steps_secret(const struct byoh_plan_input *input, struct byoh_step *step,
				      const char *path, const struct byoh_buffer *bytes,
				      struct byoh_error *err);
/* Enables a unit of ours for multi-user.target. */
BYOH_MUST_CHECK int byoh_steps_enable(struct byoh_step *step, const char *unit,
				      struct byoh_error *err);
/* byoh-settle.service, by which a boot undoes what was interrupted. */
BYOH_MUST_CHECK int byoh_steps_settle_unit(const struct byoh_plan_input *input, struct byoh_step *step,
					   struct byoh_error *err);

/* byoh-certificates.service and its timer, where kube-proxy has a certificate of its own (certificates.c). */
BYOH_MUST_CHECK int byoh_steps_place_certificates(const struct byoh_plan_input *input, struct byoh_step *step,
						  struct byoh_error *err);
BYOH_MUST_CHECK int byoh_steps_start_certificates(const struct byoh_plan_input *input, struct byoh_step *step,
						  struct byoh_error *err);

/* A text below the host's root; *ret_mode may be NULL. -ENOENT without err set where there is
 * none. */
BYOH_MUST_CHECK int byoh_steps_read(const struct byoh_host *host, const char *path,
				    struct byoh_buffer *ret, mode_t *ret_mode,
				    struct byoh_error *err);
bool byoh_steps_exists(const struct byoh_host *host, const char *path);
/* In any folder that systemd reads units from. */
bool byoh_steps_unit_exists(const struct byoh_host *host, const char *unit);
/* The folders, ended by NULL. */
extern const char *const byoh_steps_unit_folders[];

/* Refuses control characters: a value that goes into a file of lines must not bring lines of its
 * own. */
BYOH_MUST_CHECK int byoh_steps_one_line(const char *value, const char *what,
					struct byoh_error *err);

/* "v1.7.24~ds1-1": 1 and 7. False if it does not begin like a version. */
bool byoh_steps_version(const char *text, unsigned int *ret_major, unsigned int *ret_minor);
/* Of the containerd that serves this host. BYOH_ERROR_FORMAT if the manifest does not tell that of the
 * bundle's, BYOH_ERROR_PREFLIGHT if that of an adopted one cannot be told. */
BYOH_MUST_CHECK int byoh_steps_containerd_version(const struct byoh_plan_input *input,
						  unsigned int *ret_major, unsigned int *ret_minor,
						  struct byoh_error *err);
/* The image that every pod begins with: the config's, else the bundle's own; NULL if there is none.
 * BYOH_ERROR_CONFIG if no pod could ever start with it. */
BYOH_MUST_CHECK int byoh_steps_sandbox_image(const struct byoh_plan_input *input, const char **ret,
					     struct byoh_error *err);
/* What the texts of kubelet and kube-proxy are made from; points into input. */
BYOH_MUST_CHECK int byoh_steps_kubelet_input(const struct byoh_plan_input *input,
					     struct byoh_kubelet_input *ret,
					     struct byoh_error *err);

/* fstab with the swap entries commented out, the rest byte for byte; *ret_entries counts those and
 * the ones that an earlier run has commented. Pure. */
BYOH_MUST_CHECK int byoh_fstab_without_swap(const char *text, size_t size, struct byoh_buffer *ret,
					    size_t *ret_entries, struct byoh_error *err);
/* /etc/hosts with the lines between our markers replaced by the pairs; none: without markers. Pure.
 */
BYOH_MUST_CHECK int byoh_hosts_with(const char *text, size_t size, const struct byoh_pairs *pairs,
				    struct byoh_buffer *ret, bool *ret_had_block,
				    struct byoh_error *err);
/* The name that systemd gives to what a path names: "/dev/sda2", ".swap" is "dev-sda2.swap". Pure.
 */
BYOH_MUST_CHECK int byoh_unit_name_of_path(const char *path, const char *suffix,
					   struct byoh_buffer *ret, struct byoh_error *err);

/* kubeadm-flags.env without the flags that a kubelet of that version ends over; *ret_removed counts them. Pure. */
BYOH_MUST_CHECK int byoh_kubelet_flags_clean(const char *text, const struct byoh_kubernetes_version *version,
					     struct byoh_buffer *ret, size_t *ret_removed,
					     struct byoh_error *err);

/* The list of plugins for a single node, with the node's networks. Pure. */
BYOH_MUST_CHECK int byoh_bridge_conflist(const char *cidrs, struct byoh_buffer *ret, struct byoh_error *err);
/* Has HeadCNI taken the folder over? */
bool byoh_cni_is_headcni(const struct byoh_host *host);

/* containerd's configuration, by its version. The texts are pure functions of their input. */
struct byoh_containerd_input {
	unsigned int major, minor;
	const char *root;
	const char *sandbox_image; /* NULL: containerd's own default */
	bool selinux;
	const char *runc;    /* NULL: the first in PATH */
	bool has_registries; /* the config has `registries` */
	size_t registry_config_count; /* 1.x: credentials stand in the configuration */
	const struct byoh_registry_config *registry_configs;
};
BYOH_MUST_CHECK int byoh_containerd_config(const struct byoh_containerd_input *input,
					   struct byoh_buffer *ret, bool *ret_secret,
					   struct byoh_error *err);
/* An adopted one: its files and the drop-in, into the step. */
BYOH_MUST_CHECK int byoh_step_adopt_containerd(const struct byoh_plan_input *input,
					       const struct byoh_containerd_input *values,
					       struct byoh_step *step, struct byoh_error *err);
/* A TOML basic string, quotes included. */
BYOH_MUST_CHECK int byoh_toml_quote(struct byoh_buffer *ret, const char *text,
				    struct byoh_error *err);
/* hosts.toml of one registry; mirror may be NULL. *ret_secret: it holds credentials. */
BYOH_MUST_CHECK int byoh_hosts_toml(const struct byoh_config *config, const char *registry,
				    const struct byoh_mirror *mirror, bool with_credentials,
				    struct byoh_buffer *ret, bool *ret_secret,
				    struct byoh_error *err);
const struct byoh_registry_config *byoh_registry_config_of(const struct byoh_config *config,
							   const char *registry);

#endif
