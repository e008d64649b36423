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

struct byoh_config_place {
	char *path;   /* to read; NULL: there is none anywhere */
	char *name;   /* for people, where the path alone says too little; else NULL */
	bool mounted; /* a volume is, until the release */
};
/* Once the configuration and the files it names have been read. Leaves nothing behind. */
void byoh_config_place_release(struct byoh_config_place *place);

/* named: --config. Two volumes with the label are an error; on failure there is nothing to release. */
BYOH_MUST_CHECK int byoh_discover_config(const struct byoh_host *host, const char *named,
					 struct byoh_config_place *ret, struct byoh_error *err);

/* The value of byoh.config= in the kernel's command line, which is cut into words; NULL where it is not.
 * Two different ones are an error. */
BYOH_MUST_CHECK int byoh_discover_kernel_argument(char *line, const char **ret, struct byoh_error *err);

/* The bundle that --from means: a file, or the one .run or .bundle in a folder. */
BYOH_MUST_CHECK int byoh_discover_bundle(const char *named, char **ret, struct byoh_error *err);

/* What the host itself asks for, in the `policy` of its installed config; nothing, where it has none. */
struct byoh_policy {
	unsigned int threshold; /* signatures by trusted keys */
	bool config_signature;	/* of a config, too */
};
BYOH_MUST_CHECK int byoh_discover_policy(int root_fd, struct byoh_policy *ret, struct byoh_error *err);

/* A config from elsewhere may raise the host's policy, never lower it: BYOH_ERROR_TRUST. signed_: the
 * config came with a signature that holds. */
BYOH_MUST_CHECK int byoh_discover_check_policy(const struct byoh_policy *policy,
					       const struct byoh_config *config, bool signed_,
					       struct byoh_error *err);

/* The first file that a config names and its signature says nothing of, where that matters; NULL if there is none. */
const char *byoh_discover_uncovered_file(const struct byoh_config *config);

#define BYOH_CONFIG_MESSAGE_PREFIX "byoh-install/v1 config sha-256\n"

/* CONFIG.sig, where it stands, must be an Ed25519 signature (64 bytes) by a key of the keyring, over the
 * prefix and the SHA-256 of text (docs/publish-a-bundle.md makes one with openssl). Its bytes are appended
 * to ret_signature; none, where there is none. */
BYOH_MUST_CHECK int byoh_discover_check_signature(const char *config, const struct byoh_buffer *text,
						  const struct byoh_keyring *keyring,
						  struct byoh_buffer *ret_signature,
						  struct byoh_error *err);

/* What `join` has put in place later overrides what the config knew: /etc/byoh/join.kubeconfig, or a CA
 * alone. */
BYOH_MUST_CHECK int byoh_discover_late_credentials(const struct byoh_host *host,
						   struct byoh_config *config, struct byoh_error *err);

#endif
