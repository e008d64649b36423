/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `kubeadm join` printed, in our own words: the cause, what to do, and whether trying again can help. kubeadm has no
 * other interface: its checks are lines "[ERROR Name]: message", everything else is prose that changes between
 * releases (1.20 to 1.36 were read). Pure.
 */
#ifndef BYOH_INSTALLER_KUBEADM_OUTPUT_H
#define BYOH_INSTALLER_KUBEADM_OUTPUT_H

#include <stdbool.h>

/* Checks whose programs kubeadm looks for and nothing of a worker uses: kubeadm's `crictl` is for pulling and
 * resetting, `conntrack` and `ip` were for kube-proxy and the docker of old, which bring their own. */
#define BYOH_KUBEADM_NEVER_NEEDED \
	"FileExisting-conntrack,FileExisting-crictl,FileExisting-ip,FileExisting-ebtables,FileExisting-ethtool," \
	"FileExisting-socat,FileExisting-tc,FileExisting-touch"

enum byoh_kubeadm_outcome {
	BYOH_KUBEADM_JOINED,
	BYOH_KUBEADM_LATER,   /* nobody has to do anything here: try again */
	BYOH_KUBEADM_KERNEL,  /* a check knows no kernel as new as this one: try again without that check */
	BYOH_KUBEADM_FAILED,  /* not before somebody mends it */
};

struct byoh_kubeadm_verdict {
	enum byoh_kubeadm_outcome outcome;
	char cause[400], remedy[300]; /* no secrets */
};

/* status is kubeadm's exit code, text its whole output. */
void byoh_kubeadm_judge(int status, const char *text, struct byoh_kubeadm_verdict *ret);

#endif
