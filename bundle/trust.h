/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust: Ed25519 (RFC 8032) over a domain prefix and the SHA-256 of the manifest's exact bytes. A key's
 * id is the SHA-256 of its DER SubjectPublicKeyInfo.
 */
#ifndef BYOH_BUNDLE_TRUST_H
#define BYOH_BUNDLE_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_PUBLIC_KEY_SIZE 32
#define BYOH_PUBLIC_KEY_PEM_SIZE 113 /* as byoh_public_key_pem, and openssl, write it */
#define BYOH_SIGNATURE_SIZE 64
#define BYOH_MESSAGE_PREFIX "byoh-bundle/v1 manifest sha-256\n" /* 32 bytes */
#define BYOH_MESSAGE_SIZE (32 + BYOH_DIGEST_SIZE)

struct byoh_public_key {
	unsigned char bytes[BYOH_PUBLIC_KEY_SIZE];
};

struct byoh_signature {
	struct byoh_public_key key;
	unsigned char bytes[BYOH_SIGNATURE_SIZE];
};

struct byoh_keyring; /* distinct public keys */

struct byoh_keyring *byoh_keyring_new(void); /* NULL without memory */
void byoh_keyring_free(struct byoh_keyring *keyring);
void byoh_keyring_freep(struct byoh_keyring **keyring);
#define CLEANUP_KEYRING __attribute__((cleanup(byoh_keyring_freep)))
size_t byoh_keyring_count(const struct byoh_keyring *keyring);
bool byoh_keyring_has(const struct byoh_keyring *keyring, const struct byoh_public_key *key);
BYOH_MUST_CHECK int byoh_keyring_add(struct byoh_keyring *keyring, const struct byoh_public_key *key,
				     struct byoh_error *err);
void byoh_keyring_remove(struct byoh_keyring *keyring, const struct byoh_public_key *key);
/* The key whose PEM form (byoh_public_key_pem) has this digest; NULL: none of the keyring. Borrowed. */
const struct byoh_public_key *byoh_keyring_find_pem(const struct byoh_keyring *keyring, const struct byoh_digest *digest);
/* Every *.pem below root_fd/directory; a missing directory is empty. remove: takes them away instead. */
BYOH_MUST_CHECK int byoh_keyring_add_directory(struct byoh_keyring *keyring, int root_fd,
					       const char *directory, bool remove,
					       struct byoh_error *err);
/* The same without those names that skip says yes to. */
BYOH_MUST_CHECK int byoh_keyring_add_directory_but(struct byoh_keyring *keyring, int root_fd, const char *directory,
						   bool remove, bool (*skip)(void *context, const char *name),
						   void *context, struct byoh_error *err);
/* One file below root_fd. */
BYOH_MUST_CHECK int byoh_keyring_add_file(struct byoh_keyring *keyring, int root_fd, const char *path, bool remove,
					  struct byoh_error *err);
/* Is a file of that name in such a folder a key? */
bool byoh_keyring_is_key_name(const char *name);

/* A PEM public key (SubjectPublicKeyInfo, Ed25519 and no other). name stands in messages. */
BYOH_MUST_CHECK int byoh_public_key_parse(const char *pem, size_t size, const char *name,
					  struct byoh_public_key *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_public_key_read(const char *path, struct byoh_public_key *ret,
					 struct byoh_error *err);
/* Appends the PEM form. */
BYOH_MUST_CHECK int byoh_public_key_pem(const struct byoh_public_key *key, struct byoh_buffer *ret,
					struct byoh_error *err);
BYOH_MUST_CHECK int byoh_public_key_id(const struct byoh_public_key *key, struct byoh_digest *ret,
				       struct byoh_error *err);

/* 0 if signature (64 bytes) over domain and the SHA-256 of the bytes holds for a key of the keyring;
 * BYOH_ERROR_TRUST otherwise. The domain says what kind of file it is, so that a signature of one kind
 * is never one of another: each kind has its own, none begins as another does. */
BYOH_MUST_CHECK int byoh_keyring_check_bytes(const struct byoh_keyring *keyring, const char *domain,
					     const void *bytes, size_t size, const void *signature,
					     size_t signature_size, struct byoh_error *err);

struct byoh_private_key; /* an Ed25519 key pair */
void byoh_private_key_free(struct byoh_private_key *key);
void byoh_private_key_freep(struct byoh_private_key **key);
#define CLEANUP_PRIVATE_KEY __attribute__((cleanup(byoh_private_key_freep)))
BYOH_MUST_CHECK int byoh_private_key_generate(struct byoh_private_key **ret, struct byoh_error *err);
/* PKCS#8 PEM; passphrase may be NULL (an encrypted key then fails and says so). */
BYOH_MUST_CHECK int byoh_private_key_read(const char *path, const char *passphrase,
					  struct byoh_private_key **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_private_key_pem(const struct byoh_private_key *key, const char *passphrase,
					 struct byoh_buffer *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_private_key_public(const struct byoh_private_key *key,
					    struct byoh_public_key *ret, struct byoh_error *err);

/* The message that is signed for a bundle id. */
void byoh_trust_message(const struct byoh_digest *id, unsigned char ret[BYOH_MESSAGE_SIZE]);
BYOH_MUST_CHECK int byoh_trust_sign(const struct byoh_private_key *key, const struct byoh_digest *id,
				    struct byoh_signature *ret, struct byoh_error *err);
/* 0 if the signature holds for its own key, -EBADMSG if not. */
BYOH_MUST_CHECK int byoh_trust_check(const struct byoh_signature *signature, const struct byoh_digest *id,
				     struct byoh_error *err);

#endif
