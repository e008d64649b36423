/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define KEY_FILE_MAX ((size_t)16 << 10)

struct byoh_keyring {
	size_t count;
	struct byoh_public_key *keys;
};

struct byoh_private_key {
	EVP_PKEY *pair;
};

static void free_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_md(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

#define CLEANUP_PKEY CLEANUP(free_pkey)
#define CLEANUP_BIO CLEANUP(free_bio)
#define CLEANUP_MD CLEANUP(free_md)

static int fail_crypto(struct byoh_error *err, const char *doing)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "libcrypto cannot %s", doing);
}

struct byoh_keyring *byoh_keyring_new(void)
{
	return calloc(1, sizeof(struct byoh_keyring));
}

void byoh_keyring_free(struct byoh_keyring *keyring)
{
	if (!keyring)
		return;
	free(keyring->keys);
	free(keyring);
}

void byoh_keyring_freep(struct byoh_keyring **keyring)
{
	byoh_keyring_free(*keyring);
}

size_t byoh_keyring_count(const struct byoh_keyring *keyring)
{
	return keyring->count;
}

static size_t position(const struct byoh_keyring *keyring, const struct byoh_public_key *key)
{
	size_t i = 0;

	while (i < keyring->count && memcmp(keyring->keys[i].bytes, key->bytes, sizeof(key->bytes)) != 0)
		i++;
	return i;
}

bool byoh_keyring_has(const struct byoh_keyring *keyring, const struct byoh_public_key *key)
{
	return position(keyring, key) < keyring->count;
}

int byoh_keyring_add(struct byoh_keyring *keyring, const struct byoh_public_key *key,
		     struct byoh_error *err)
{
	struct byoh_public_key *grown;

	if (byoh_keyring_has(keyring, key))
		return 0;
	grown = reallocarray(keyring->keys, keyring->count + 1, sizeof(*grown));
	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	keyring->keys = grown;
	keyring->keys[keyring->count++] = *key;
	return 0;
}

void byoh_keyring_remove(struct byoh_keyring *keyring, const struct byoh_public_key *key)
{
	size_t i = position(keyring, key);

	if (i < keyring->count)
		keyring->keys[i] = keyring->keys[--keyring->count];
}

const struct byoh_public_key *byoh_keyring_find_pem(const struct byoh_keyring *keyring, const struct byoh_digest *digest)
{
	for (size_t i = 0; i < keyring->count; i++) {
		CLEANUP_BUFFER struct byoh_buffer pem = {0};
		struct byoh_digest own;

		if (byoh_public_key_pem(&keyring->keys[i], &pem, NULL) == 0 &&
		    byoh_digest_of(pem.data, pem.size, &own, NULL) == 0 && byoh_digest_equal(&own, digest))
			return &keyring->keys[i];
	}
	return NULL;
}

bool byoh_keyring_is_key_name(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && name[0] != '.' && strcmp(name + length - 4, ".pem") == 0;
}

int byoh_keyring_add_file(struct byoh_keyring *keyring, int root_fd, const char *path, bool remove,
			  struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer pem = {0};
	struct byoh_public_key key;
	int r = byoh_read_file(root_fd, path, KEY_FILE_MAX, &pem, err);

	if (r == 0)
		r = byoh_public_key_parse(byoh_buffer_text(&pem), pem.size, path, &key, err);
	if (r < 0)
		return r;
	if (remove) {
		byoh_keyring_remove(keyring, &key);
		return 0;
	}
	return byoh_keyring_add(keyring, &key, err);
}

int byoh_keyring_add_directory(struct byoh_keyring *keyring, int root_fd, const char *directory,
			       bool remove, struct byoh_error *err)
{
	return byoh_keyring_add_directory_but(keyring, root_fd, directory, remove, NULL, NULL, err);
}

int byoh_keyring_add_directory_but(struct byoh_keyring *keyring, int root_fd, const char *directory, bool remove,
				   bool (*skip)(void *context, const char *name), void *context,
				   struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(root_fd, directory, O_RDONLY | O_DIRECTORY, 0, err);
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;
	int copy, r = 0;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return byoh_fail_errno(err, "cannot list %s", directory);
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (byoh_keyring_is_key_name(entry->d_name) && !(skip && skip(context, entry->d_name)))
			r = byoh_keyring_add_file(keyring, fd, entry->d_name, remove, err);
	if (r == 0 && errno)
		return byoh_fail_errno(err, "cannot list %s", directory);
	return r < 0 ? byoh_error_wrap(err, r, "%s", directory) : 0;
}

int byoh_public_key_parse(const char *pem, size_t size, const char *name, struct byoh_public_key *ret,
			  struct byoh_error *err)
{
	CLEANUP_BIO BIO *bio = BIO_new_mem_buf(pem, (int)size);
	CLEANUP_PKEY EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	size_t length = sizeof(ret->bytes);

	if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519 ||
	    EVP_PKEY_get_raw_public_key(key, ret->bytes, &length) != 1 || length != sizeof(ret->bytes))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: not an Ed25519 public key in PEM form (\"BEGIN PUBLIC KEY\")", name);
	return 0;
}

int byoh_public_key_read(const char *path, struct byoh_public_key *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[KEY_FILE_MAX];
	ssize_t n;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open the key %s", path);
	n = read(fd, chunk, sizeof(chunk));
	if (n < 0)
		return byoh_fail_errno(err, "cannot read the key %s", path);
	return byoh_public_key_parse(chunk, (size_t)n, path, ret, err);
}

static EVP_PKEY *raw_key(const struct byoh_public_key *key)
{
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, sizeof(key->bytes));
}

int byoh_public_key_pem(const struct byoh_public_key *key, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_PKEY EVP_PKEY *pkey = raw_key(key);
	CLEANUP_BIO BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long size;

	if (!pkey || !bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
		return fail_crypto(err, "write a public key");
	size = BIO_get_mem_data(bio, &text);
	return byoh_buffer_add(ret, text, (size_t)size, err);
}

int byoh_public_key_id(const struct byoh_public_key *key, struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_PKEY EVP_PKEY *pkey = raw_key(key);
	unsigned char *der = NULL;
	int size = pkey ? i2d_PUBKEY(pkey, &der) : -1;
	int r;

	if (size < 0)
		return fail_crypto(err, "encode a public key");
	r = byoh_digest_of(der, (size_t)size, ret, err);
	OPENSSL_free(der);
	return r;
}

void byoh_private_key_free(struct byoh_private_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pair);
	free(key);
}

void byoh_private_key_freep(struct byoh_private_key **key)
{
	byoh_private_key_free(*key);
}

static int adopt_pair(EVP_PKEY *pair, struct byoh_private_key **ret, struct byoh_error *err)
{
	struct byoh_private_key *key = calloc(1, sizeof(*key));

	if (!key) {
		EVP_PKEY_free(pair);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	key->pair = pair;
	*ret = key;
	return 0;
}

int byoh_private_key_generate(struct byoh_private_key **ret, struct byoh_error *err)
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!pair)
		return fail_crypto(err, "generate a key");
	return adopt_pair(pair, ret, err);
}

/* Never asks on a terminal: a passphrase comes from a file or not at all. */
static int give_passphrase(char *buffer, int size, int writing, void *context)
{
	const char *passphrase = context;
	size_t length = passphrase ? strlen(passphrase) : 0;

	(void)writing;
	if (!passphrase || length > (size_t)size)
		return -1;
	memcpy(buffer, passphrase, length);
	return (int)length;
}

int byoh_private_key_read(const char *path, const char *passphrase, struct byoh_private_key **ret,
			  struct byoh_error *err)
{
	CLEANUP_BIO BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *pair;

	if (!bio)
		return byoh_fail_errno(err, "cannot open the key %s", path);
	pair = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)(uintptr_t)passphrase);
	if (!pair || EVP_PKEY_id(pair) != EVP_PKEY_ED25519) {
		EVP_PKEY_free(pair);
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: not an Ed25519 private key in PEM form, or its passphrase is wrong or "
				 "missing (--passphrase-file)",
				 path);
	}
	return adopt_pair(pair, ret, err);
}

int byoh_private_key_pem(const struct byoh_private_key *key, const char *passphrase,
			 struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BIO BIO *bio = BIO_new(BIO_s_secmem());
	int length = passphrase ? (int)strlen(passphrase) : 0;
	char *text;
	long size;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pair, passphrase ? EVP_aes_256_cbc() : NULL,
						  passphrase, length, NULL, NULL) != 1)
		return fail_crypto(err, "write a private key");
	size = BIO_get_mem_data(bio, &text);
	return byoh_buffer_add(ret, text, (size_t)size, err);
}

int byoh_private_key_public(const struct byoh_private_key *key, struct byoh_public_key *ret,
			    struct byoh_error *err)
{
	size_t length = sizeof(ret->bytes);

	if (EVP_PKEY_get_raw_public_key(key->pair, ret->bytes, &length) != 1)
		return fail_crypto(err, "read a public key");
	return 0;
}

void byoh_trust_message(const struct byoh_digest *id, unsigned char ret[BYOH_MESSAGE_SIZE])
{
	_Static_assert(sizeof(BYOH_MESSAGE_PREFIX) - 1 + BYOH_DIGEST_SIZE == BYOH_MESSAGE_SIZE,
		       "the message is prefix and digest");
	memcpy(ret, BYOH_MESSAGE_PREFIX, sizeof(BYOH_MESSAGE_PREFIX) - 1);
	memcpy(ret + sizeof(BYOH_MESSAGE_PREFIX) - 1, id->bytes, BYOH_DIGEST_SIZE);
}

int byoh_trust_sign(const struct byoh_private_key *key, const struct byoh_digest *id,
		    struct byoh_signature *ret, struct byoh_error *err)
{
	CLEANUP_MD EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char message[BYOH_MESSAGE_SIZE];
	size_t length = sizeof(ret->bytes);

	byoh_trust_message(id, message);
	if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) != 1 ||
	    EVP_DigestSign(context, ret->bytes, &length, message, sizeof(message)) != 1)
		return fail_crypto(err, "sign");
	return byoh_private_key_public(key, &ret->key, err);
}

static bool holds(const struct byoh_public_key *public_key, const unsigned char *signature, const void *bytes,
		  size_t size)
{
	CLEANUP_PKEY EVP_PKEY *key = raw_key(public_key);
	CLEANUP_MD EVP_MD_CTX *context = EVP_MD_CTX_new();

	return key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestVerify(context, signature, BYOH_SIGNATURE_SIZE, bytes, size) == 1;
}

int byoh_trust_check(const struct byoh_signature *signature, const struct byoh_digest *id,
		     struct byoh_error *err)
{
	unsigned char message[BYOH_MESSAGE_SIZE];

	byoh_trust_message(id, message);
	if (!holds(&signature->key, signature->bytes, message, sizeof(message)))
		return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG, "a signature does not hold");
	return 0;
}

int byoh_keyring_check_bytes(const struct byoh_keyring *keyring, const char *domain, const void *bytes,
			     size_t size, const void *signature, size_t signature_size,
			     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer message = { 0 };
	struct byoh_digest digest;
	int r;

	if (signature_size != BYOH_SIGNATURE_SIZE)
		return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG, "a signature has 64 bytes, this has %zu",
				 signature_size);
	r = byoh_digest_of(bytes, size, &digest, err);
	if (r == 0)
		r = byoh_buffer_add(&message, domain, strlen(domain), err);
	if (r == 0)
		r = byoh_buffer_add(&message, digest.bytes, sizeof(digest.bytes), err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < keyring->count; i++)
		if (holds(&keyring->keys[i], signature, message.data, message.size))
			return 0;
	return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED, "signed by none of the trusted keys");
}
