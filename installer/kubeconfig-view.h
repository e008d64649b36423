/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kubeconfig that somebody else has written on this host (kubelet, agent, kubeadm), as far as it can be read: where it
 * leads, whom it trusts, by what it is known. For looking only: nothing is refused.
 */
#ifndef BYOH_INSTALLER_KUBECONFIG_VIEW_H
#define BYOH_INSTALLER_KUBECONFIG_VIEW_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

struct byoh_kubeconfig_view {
	char *server;			/* as it stands there; NULL: none */
	char *token;			/* secret; NULL: none */
	struct byoh_buffer ca;		/* PEM; empty: none */
	struct byoh_buffer certificate; /* the client's, PEM; empty: none */
	struct byoh_buffer key;		/* secret, PEM; empty: none */
};

void byoh_kubeconfig_view_release(struct byoh_kubeconfig_view *view); /* secrets are wiped */
#define CLEANUP_KUBECONFIG_VIEW __attribute__((cleanup(byoh_kubeconfig_view_release)))

/* The current context of a text. Files that it names are read below root_fd; relative ones and those that are not
 * there count as none (root_fd -1: all). -EINVAL: it is no kubeconfig. */
BYOH_MUST_CHECK int byoh_kubeconfig_view(int root_fd, const char *text, size_t size,
					 struct byoh_kubeconfig_view *ret, struct byoh_error *err);
/* The same for a file below the root. -ENOENT where there is none. */
BYOH_MUST_CHECK int byoh_kubeconfig_view_file(int root_fd, const char *path, struct byoh_kubeconfig_view *ret,
					      struct byoh_error *err);

#endif
