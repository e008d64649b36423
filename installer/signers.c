/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/signers.h"

#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/key-files.h"

enum source { REVOKED, HOST, VENDOR, GIVEN, SOURCES };

static const struct {
	const char *folder, *word;
} places[] = {
	[REVOKED] = { "etc/byoh/revoked.d", "revoked" },
	[HOST] = { "etc/byoh/keys.d", "pinned in /etc/byoh/keys.d" },
	[VENDOR] = { BYOH_RELEASE_KEYS, "trusted by /usr/share/byoh/keys.d" },
	[GIVEN] = { NULL, "named by --key" },
};
static const char vendor_revoked[] = BYOH_RELEASE_REVOKED;

struct byoh_signers {
	struct byoh_keyring *rings[SOURCES];
};

int byoh_signers_each_folder(int (*visit)(void *context, const char *folder, bool revokes, struct byoh_error *err),
			     void *context, struct byoh_error *err)
{
	TRY(visit(context, places[HOST].folder, false, err));
	TRY(visit(context, places[VENDOR].folder, false, err));
	TRY(visit(context, places[REVOKED].folder, true, err));
	return visit(context, vendor_revoked, true, err);
}

int byoh_signers_add_trusted(struct byoh_keyring *keyring, int root_fd, struct byoh_error *err)
{
	TRY(byoh_keyring_add_directory(keyring, root_fd, places[HOST].folder, false, err));
	return byoh_keyring_add_directory(keyring, root_fd, places[VENDOR].folder, false, err);
}

int byoh_signers_remove_revoked(struct byoh_keyring *keyring, int root_fd, struct byoh_error *err)
{
	TRY(byoh_keyring_add_directory(keyring, root_fd, places[REVOKED].folder, true, err));
	return byoh_keyring_add_directory(keyring, root_fd, vendor_revoked, true, err);
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

bool byoh_signers_is_key_file(const char *path)
{
	return is_below(path, places[VENDOR].folder) || is_below(path, vendor_revoked);
}

void byoh_signers_free(struct byoh_signers *signers)
{
	if (!signers)
		return;
	for (size_t i = 0; i < GIVEN; i++) /* the given ones are borrowed */
		byoh_keyring_free(signers->rings[i]);
	free(signers);
}

void byoh_signers_freep(struct byoh_signers **signers)
{
	byoh_signers_free(*signers);
}

int byoh_signers_read(int root_fd, const struct byoh_keyring *given, struct byoh_signers **ret,
		      struct byoh_error *err)
{
	CLEANUP_SIGNERS struct byoh_signers *signers = calloc(1, sizeof(*signers));
	union { /* asked, never changed */
		const struct byoh_keyring *from;
		struct byoh_keyring *to;
	} borrowed = { given };

	if (!signers)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < GIVEN; i++) {
		signers->rings[i] = byoh_keyring_new();
		if (!signers->rings[i])
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		TRY(byoh_keyring_add_directory(signers->rings[i], root_fd, places[i].folder, false, err));
	}
	TRY(byoh_keyring_add_directory(signers->rings[REVOKED], root_fd, vendor_revoked, false, err));
	signers->rings[GIVEN] = borrowed.to;
	*ret = TAKE_PTR(signers);
	return 0;
}

const char *byoh_signers_word(void *context, const struct byoh_public_key *key, bool *ret_trusted)
{
	const struct byoh_signers *signers = context;

	*ret_trusted = false;
	for (size_t i = 0; i < SOURCES; i++) {
		if (!byoh_keyring_has(signers->rings[i], key))
			continue;
		*ret_trusted = i != REVOKED;
		return places[i].word;
	}
	return NULL;
}
