/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kubeadm join` on the running host: one attempt of it, with what it needs before and leaves behind; the same in the
 * stead of an agent that skips the command; and, for who waits for it, starting the unit that makes the attempts.
 */
#ifndef BYOH_INSTALLER_STEPS_KUBEADM_JOIN_H
#define BYOH_INSTALLER_STEPS_KUBEADM_JOIN_H

#include <stdatomic.h>
#include <sys/types.h>

#include "installer/host.h"
#include "installer/join-record.h"
#include "installer/kubeadm-output.h"
#include "installer/plan.h"

#define BYOH_BIN_KUBEADM "/usr/local/bin/kubeadm"
#define BYOH_KUBEADM_UNIT "byoh-kubeadm-join.service"
#define BYOH_KUBEADM_PATH_UNIT "byoh-kubeadm-join.path"
#define BYOH_KUBEADM_LOG "/var/log/byoh/kubeadm-join.log"
/* By whoever bootstraps a host for Cluster API. */
#define BYOH_KUBEADM_REQUEST "/run/kubeadm/kubeadm-join-config.yaml"
#define BYOH_KUBEADM_SENTINEL "/run/cluster-api/bootstrap-success.complete"
/* Not below /etc/systemd/system, where the agent and the operator are at home. */
#define BYOH_KUBEADM_DROP_IN "/usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
#define BYOH_KUBELET_WANTED "/etc/systemd/system/multi-user.target.wants/kubelet.service"

/* The kubelet writes its kubeconfig when it begins to ask, and this when it is admitted. */
#define BYOH_KUBELET_CLIENT "/var/lib/kubelet/pki/kubelet-client-current.pem"

struct byoh_kubeadm_join {
	int root_fd;	     /* of the running system; tests: of a folder */
	const char *program; /* kubeadm */
	const char *config;  /* as kubeadm is to be told */
	const char *proc;    /* "/proc" */
	const char *host_name;
	bool live;	     /* there is a systemd to be told */
	const atomic_bool *cancel;
};

/* Has the cluster admitted this host? */
bool byoh_kubeadm_is_node(int root_fd);
/* One attempt. 0 and the verdict, which is on record too, and kubeadm's output in its log; negative only where the attempt
 * itself could not be made. A node stays as it is. */
BYOH_MUST_CHECK int byoh_kubeadm_attempt(const struct byoh_kubeadm_join *join, struct byoh_kubeadm_verdict *ret,
					 struct byoh_error *err);
/* What has become of an attempt, for status and doctor. The verdict may be NULL where there is none yet. */
BYOH_MUST_CHECK int byoh_kubeadm_put_on_record(const struct byoh_kubeadm_join *join, const char *state,
					       const struct byoh_kubeadm_verdict *verdict, struct byoh_error *err);
/* What the agent has left to do, if anything: joins by its request, or clears up after its reset. */
BYOH_MUST_CHECK int byoh_kubeadm_for_agent(struct byoh_kubeadm_join *join, struct byoh_kubeadm_verdict *ret,
					   struct byoh_error *err);
/* A process that may be about to join the host by itself: a kubeadm, or what an agent has started. 0: there is none. Reads
 * nothing but the folder. */
pid_t byoh_kubeadm_find_other(const char *proc);

/* Starts the unit anew and waits for the outcome of its first attempt; ret->state is "joining" where that takes too long
 * or the caller was cancelled. */
BYOH_MUST_CHECK int byoh_kubeadm_start(const struct byoh_host *host, const atomic_bool *cancel,
				       struct byoh_join_record *ret, struct byoh_error *err);
/* Is the host to join by kubeadm now: it knows how, runs, and is no node yet? */
bool byoh_kubeadm_is_due(const struct byoh_plan_input *input);

#endif
