/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/key-files.h"

#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define KEY_FILE_MAX ((size_t)16 << 10)

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Hosts know a release's keys by the digests of their files, before they have read them. */
static int check_spelling(const struct byoh_tree_entry *entry, const struct byoh_public_key *key, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer there = { 0 }, pem = { 0 };

	TRY(byoh_public_key_pem(key, &pem, err));
	TRY(byoh_read_named_file(entry->source, KEY_FILE_MAX, &there, err));
	if (there.size == pem.size && memcmp(there.data, pem.data, pem.size) == 0)
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "/%s: the key has to stand there as openssl writes it, and nothing else; `openssl pkey -pubin -in "
			 "FILE -out NEW` does that", entry->path);
}

static int check(const struct byoh_tree_entry *entry, const struct byoh_public_key *signer, struct byoh_error *err)
{
	const char *dot = strrchr(entry->path, '.');
	struct byoh_public_key key;
	int r;

	if (entry->type != BYOH_FILE_REGULAR || !dot || strcmp(dot, ".pem") != 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "/%s: there stand files *.pem and nothing else, hosts read all of them", entry->path);
	r = byoh_public_key_read(entry->source, &key, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "/%s", entry->path);
	if (signer && is_below(entry->path, BYOH_RELEASE_REVOKED) &&
	    memcmp(key.bytes, signer->bytes, sizeof(key.bytes)) == 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "/%s takes back the key that signs this bundle: once installed, a host would not "
				 "trust it; sign by another key",
				 entry->path);
	return check_spelling(entry, &key, err);
}

bool byoh_key_files_leave_out(const struct byoh_tree *tree, const struct byoh_public_key *signer)
{
	bool takes_back = false;

	for (size_t i = 0; i < tree->entry_count; i++) {
		const struct byoh_tree_entry *entry = &tree->entries[i];
		struct byoh_public_key key;

		takes_back |= is_below(entry->path, BYOH_RELEASE_REVOKED);
		if (is_below(entry->path, BYOH_RELEASE_KEYS) && byoh_public_key_read(entry->source, &key, NULL) == 0 &&
		    memcmp(key.bytes, signer->bytes, sizeof(key.bytes)) == 0)
			return false;
	}
	return takes_back;
}

int byoh_key_files_check(const struct byoh_tree *tree, const struct byoh_public_key *signer, struct byoh_error *err)
{
	for (size_t i = 0; i < tree->entry_count; i++) {
		const struct byoh_tree_entry *entry = &tree->entries[i];

		if (is_below(entry->path, BYOH_RELEASE_KEYS) || is_below(entry->path, BYOH_RELEASE_REVOKED))
			TRY(check(entry, signer, err));
	}
	return 0;
}
