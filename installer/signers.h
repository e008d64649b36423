/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose signatures count on this host: the keys in /etc/byoh/keys.d and /usr/share/byoh/keys.d, and --key for
 * one run, less those in the two revoked.d. The first folder is the host's own, the second a package's, an
 * image's or a release's.
 */
#ifndef BYOH_INSTALLER_SIGNERS_H
#define BYOH_INSTALLER_SIGNERS_H

#include "bundle/describe.h"
#include "bundle/trust.h"

/* Adds the keys of both folders. */
BYOH_MUST_CHECK int byoh_signers_add_trusted(struct byoh_keyring *keyring, int root_fd, struct byoh_error *err);
/* Takes those away that either revoked.d names. Last of all: nothing brings one back. */
BYOH_MUST_CHECK int byoh_signers_remove_revoked(struct byoh_keyring *keyring, int root_fd,
						struct byoh_error *err);

/* The four folders (without their first "/"), those of revoked keys last. Ends at a failure. */
BYOH_MUST_CHECK int byoh_signers_each_folder(int (*visit)(void *context, const char *folder, bool revokes,
							  struct byoh_error *err),
					     void *context, struct byoh_error *err);

/* Does a file of a release at this path (without its first "/") decide about a key? */
bool byoh_signers_is_key_file(const char *path);

struct byoh_signers; /* the same keys by where they come from, to tell who is who */
BYOH_MUST_CHECK int byoh_signers_read(int root_fd, const struct byoh_keyring *given, struct byoh_signers **ret,
				      struct byoh_error *err);
void byoh_signers_free(struct byoh_signers *signers);
void byoh_signers_freep(struct byoh_signers **signers);
#define CLEANUP_SIGNERS __attribute__((cleanup(byoh_signers_freep)))
/* Fits struct byoh_opinion.word with struct byoh_signers as context. */
const char *byoh_signers_word(void *signers, const struct byoh_public_key *key, bool *ret_trusted);

#endif
