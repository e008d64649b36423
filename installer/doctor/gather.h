/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering the evidence: each file of it looks at one side of the host. What cannot be seen is
 * left unknown, which is never an error: a doctor is called where much does not work. */
#ifndef BYOH_INSTALLER_DOCTOR_GATHER_H
#define BYOH_INSTALLER_DOCTOR_GATHER_H

#include "installer/doctor/evidence.h"
#include "installer/plan.h"
#include "installer/state.h"

struct byoh_gather_input {
	const struct byoh_host *host;
	const struct byoh_config *config;    /* the installed one; NULL: none */
	const struct byoh_state *state;	     /* NULL: nothing of ours is installed */
	const struct byoh_plan *plan;	     /* checked and excused; NULL: it could not be made */
	const struct byoh_node_state *node;  /* NULL: not looked at */
	bool images_unknown;
	const char *transaction;  /* why an open one cannot be settled; NULL: none is */
	const char *
		release_fault; /* why there is no plan; NULL: there is one, or nothing to compare */
};

BYOH_MUST_CHECK int byoh_evidence_gather(const struct byoh_gather_input *input,
					 struct byoh_evidence *ret, struct byoh_error *err);

/* The sides. Each fails for want of memory only. */
BYOH_MUST_CHECK int byoh_gather_units(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_runtime(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_kubelet(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_cni(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_kubeconfigs(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_network(struct byoh_evidence *evidence, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_gather_api(struct byoh_evidence *evidence, struct byoh_error *err);

/* What a program prints, "" if it cannot be run or fails. */
BYOH_MUST_CHECK int byoh_gather_output(const char *const *argv, unsigned int seconds,
				       struct byoh_buffer *ret, bool *ret_good,
				       struct byoh_error *err);
/* "10%" of total, "1Gi", "500M", "100000": how much that is; 0 if it is nothing of the kind. Pure.
 */
uint64_t byoh_quantity(const char *text, uint64_t total);
/* The highest folder above the path, or the path, that is on its file system; *ret stays as it is
 * where the path is not there. Fails for want of memory only. */
BYOH_MUST_CHECK int byoh_mount_point(const char *path, char **ret, struct byoh_error *err);
/* Text of /proc/net/tcp: the inode of the socket that listens on the port; 0: none does. Pure. */
unsigned long byoh_listener_inode(const char *text, unsigned int port);
/* Is ufw on, with nothing in its files that lets 10250 in? */
bool byoh_ufw_is_closed(int root_fd);
/* Rules of ufw as its files have them (user.rules, before.rules): does one of them let anybody's new
 * TCP connections to that port in? Pure. */
bool byoh_ufw_lets_in(const char *rules, unsigned int port);
/* `firewall-cmd --list-all-zones`: does a zone that is in use? Also true where that cannot be told
 * from it. Pure. */
bool byoh_firewalld_lets_in(const char *zones, const char *default_zone, unsigned int port);
/* The rules in what iptables-save prints: a table without any holds nothing up. Pure. */
size_t byoh_count_rules(const char *saved);
/* An answer of the API server about a Node, about one request for a certificate or a list of them,
 * as YAML. Those that are not for this host are left out. waiting_key: PEM of the key that waits
 * for its certificate, NULL: none. Pure. */
BYOH_MUST_CHECK int byoh_api_read_node(const char *text, size_t size, struct byoh_api_evidence *ret,
				       struct byoh_error *err);
BYOH_MUST_CHECK int byoh_api_read_requests(const char *text, size_t size, const char *node_name,
					   const char *waiting_key, struct byoh_api_evidence *ret,
					   struct byoh_error *err);

#endif
