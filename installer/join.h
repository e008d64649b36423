/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that arrive after the install: they replace what the config knew, and stand on the host in
 * a file of their own, so that the operator's config stays as it was written. */
#ifndef BYOH_INSTALLER_JOIN_H
#define BYOH_INSTALLER_JOIN_H

#include "installer/config.h"
#include "installer/credentials.h"

#define BYOH_LATE_KUBECONFIG "/etc/byoh/join.kubeconfig"
#define BYOH_LATE_CA "/etc/byoh/join-ca.crt" /* a CA, as long as there is no token for the file above */

/* Takes server, CA and token of a bootstrap kubeconfig into the config and marks them as late. */
BYOH_MUST_CHECK int byoh_join_use_kubeconfig(struct byoh_config *config, const char *text, size_t size,
					     const char *name, struct byoh_error *err);
/* A token for the server and CA that the config knows. */
BYOH_MUST_CHECK int byoh_join_use_token(struct byoh_config *config, const char *token,
					struct byoh_error *err);
/* Another CA for the server and token that the config knows. */
BYOH_MUST_CHECK int byoh_join_use_ca(struct byoh_config *config, const char *pem, size_t size,
				     const char *name, struct byoh_error *err);

/* For what byoh_join_use_* and others have changed since ca was the configuration's CA: notes it as the old one, and
 * exchanges it in kube-proxy's kubeconfig, which the configuration brought. */
BYOH_MUST_CHECK int byoh_join_note_old_ca(struct byoh_config *config, const struct byoh_buffer *ca,
					  struct byoh_error *err);

#endif
