/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are found when nobody names them: the configuration and the bundle. The order is a
 * promise: --config; the kernel argument byoh.config=; /etc/byoh/byoh.yaml of an installed host, whose
 * identity wins over any stick; a volume labelled BYOHCFG; beside the executable.
 */
#ifndef BYOH_INSTALLER_DISCOVER_H
#define BYOH_INSTALLER_DISCOVER_H

#include "bundle/trust.h"
#include "installer/config.h"
#include "installer/host.h"

/* *ret is a path to read (the caller frees it), NULL where there is none anywhere. named: --config. */
BYOH_MUST_CHECK int byoh_discover_config(const struct byoh_host *host, const char *named, char **ret,
					 struct byoh_error *err);

/* The bundle that --from means: a file, or the one .run or .bundle in a folder. */
BYOH_MUST_CHECK int byoh_discover_bundle(const char *named, char **ret, struct byoh_error *err);

/* The host's own policy: signatures needed, 1 where it has none. host may be NULL. */
BYOH_MUST_CHECK int byoh_discover_threshold(const struct byoh_host *host, uint64_t *ret,
					    struct byoh_error *err);

/* CONFIG.sig, where it stands, must be an Ed25519 signature of the config's bytes (64 bytes, as
 * `openssl pkeyutl -sign -rawin` writes it) by a key of the keyring; where the host's policy says so, it
 * must stand there. Its bytes are appended to ret_signature. */
BYOH_MUST_CHECK int byoh_discover_check_signature(const char *config, const struct byoh_keyring *keyring,
						  const struct byoh_host *host,
						  struct byoh_buffer *ret_signature,
						  struct byoh_error *err);

/* What `join` has put in place later overrides what the config knew: /etc/byoh/join.kubeconfig. */
BYOH_MUST_CHECK int byoh_discover_late_credentials(const struct byoh_host *host,
						   struct byoh_config *config, struct byoh_error *err);

#endif
