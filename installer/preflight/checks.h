/* SPDX-License-Identifier: Apache-2.0 */
/* Between the runner and the files of checks. */
#ifndef BYOH_INSTALLER_PREFLIGHT_CHECKS_H
#define BYOH_INSTALLER_PREFLIGHT_CHECKS_H

#include "installer/preflight/preflight.h"

/* The tables, each ended by a row without id; docs/preflight.md describes every row. */
extern const struct byoh_check byoh_checks_system[];
extern const struct byoh_check byoh_checks_kernel[];
extern const struct byoh_check byoh_checks_storage[];
extern const struct byoh_check byoh_checks_network[];
extern const struct byoh_check byoh_checks_runtime[];
extern const struct byoh_check byoh_checks_identity[];
extern const struct byoh_check byoh_checks_upgrade[];

/* Each sets result and seen, and returns 0, so that a check ends with `return
 * byoh_check_fail(...)`. */
int byoh_check_pass(struct byoh_check_report *report, const char *seen, ...) BYOH_PRINTF(2, 3);
int byoh_check_skip(struct byoh_check_report *report, const char *seen, ...) BYOH_PRINTF(2, 3);
/* The remedy is set by byoh_check_remedy before or after. */
int byoh_check_warn(struct byoh_check_report *report, const char *seen, ...) BYOH_PRINTF(2, 3);
int byoh_check_fail(struct byoh_check_report *report, const char *seen, ...) BYOH_PRINTF(2, 3);
int byoh_check_remedy(struct byoh_check_report *report, const char *remedy, ...) BYOH_PRINTF(2, 3);

/* What the bundle brings. */
bool byoh_check_has_kubelet(const struct byoh_plan_input *input);
bool byoh_check_has_containerd(const struct byoh_plan_input *input);
bool byoh_check_has_kube_proxy(const struct byoh_plan_input *input);
bool byoh_check_has_agent(const struct byoh_plan_input *input);
/* Anything that makes a host a node: kubelet, containerd or the agent. */
bool byoh_check_has_node_parts(const struct byoh_plan_input *input);
/* CNI plugins or a kube-proxy that set packet filter rules by the iptables program. */
bool byoh_check_needs_iptables(const struct byoh_plan_input *input);

/* What exists of path: the folder itself or the nearest parent, opened O_PATH. */
BYOH_MUST_CHECK int byoh_check_open_nearest(const struct byoh_host *host, const char *path,
					    struct byoh_error *err);
/* Has a directory an entry whose name ends with one of the suffixes (NULL-terminated list; NULL:
 * any)? Its name is copied to ret. */
bool byoh_check_directory_has(const struct byoh_host *host, const char *path,
			      const char *const *suffixes, char ret[256]);

/* Pure parts, for tests. */

/* Text of /proc/net/tcp or tcp6: does a socket listen on the port? */
bool byoh_check_listens(const char *text, uint16_t port);
/* Text of /proc/net/route, of /proc/net/ipv6_route: is there a default route? */
bool byoh_check_default_route(const char *ipv4, const char *ipv6);
/* Text of a resolv.conf: does it name this host as a name server? */
bool byoh_check_loops(const char *text);
/* NULL if the name can be a node's, else what is wrong with it. */
const char *byoh_check_hostname_fault(const char *name);
/* "modules.dep" or "modules.builtin" text: does it name the module? '-' and '_' are the same. */
bool byoh_check_module_listed(const char *text, const char *module);
/* containerd's configuration: is the CRI plugin switched off? */
bool byoh_check_disables_cri(const char *text);
/* A kernel configuration's text: is the option y or m? */
bool byoh_check_kernel_option(const char *text, const char *option);
/* A kubelet of this version below an API server of that one. */
BYOH_MUST_CHECK int byoh_check_api_skew(const char *kubelet, const char *server,
					struct byoh_check_report *report, struct byoh_error *err);

#endif
