/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/trust.h"

/* O_EXCL: a key that exists is never overwritten, it may be the only one that a hundred hosts trust. */
static int write_new(const char *directory, const char *name, const struct byoh_buffer *text, mode_t mode,
		     struct byoh_error *err)
{
	char path[BYOH_PATH_MAX];
	CLEANUP_FD int fd = -1;
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return byoh_fail(err, BYOH_ERROR_USAGE, ENAMETOOLONG, "%s: the path is too long", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0 && errno == EEXIST)
		return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
				 "%s exists already; choose another folder with --out", path);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot create %s", path);
	r = byoh_write_all(fd, text->data, text->size, err);
	if (r == 0 && fsync(fd) < 0)
		return byoh_fail_errno(err, "cannot store %s", path);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

static int make_keys(const char *directory, const char *passphrase, struct byoh_error *err)
{
	CLEANUP_PRIVATE_KEY struct byoh_private_key *key = NULL;
	CLEANUP_BUFFER struct byoh_buffer private_pem = {0}, public_pem = {0};
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_public_key public_key;
	struct byoh_digest id;
	int r = byoh_private_key_generate(&key, err);

	if (r == 0)
		r = byoh_private_key_public(key, &public_key, err);
	if (r == 0)
		r = byoh_private_key_pem(key, passphrase, &private_pem, err);
	if (r == 0)
		r = byoh_public_key_pem(&public_key, &public_pem, err);
	if (r == 0)
		r = byoh_public_key_id(&public_key, &id, err);
	if (r == 0 && mkdir(directory, 0700) < 0 && errno != EEXIST)
		r = byoh_fail_errno(err, "cannot make the folder %s", directory);
	if (r == 0)
		r = write_new(directory, "private.pem", &private_pem, 0600, err);
	if (r == 0)
		r = write_new(directory, "public.pem", &public_pem, 0644, err);
	if (private_pem.data)
		OPENSSL_cleanse(private_pem.data, private_pem.size);
	if (r < 0)
		return r;
	byoh_digest_hex(&id, hex);
	printf("%s\n", hex);
	return 0;
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "out", required_argument, NULL, 'o' },
						 { "passphrase-file", required_argument, NULL, 'p' },
						 { 0 } };
	const char *directory = NULL, *passphrase_file = NULL;
	CLEANUP_BUFFER struct byoh_buffer passphrase = {0};
	int c, r;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'o')
			directory = optarg;
		else if (c == 'p')
			passphrase_file = optarg;
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (!directory || optind != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "keygen needs --out DIR");
	r = byoh_cli_read_passphrase(passphrase_file, &passphrase, err);
	if (r == 0)
		r = make_keys(directory, passphrase_file ? byoh_buffer_text(&passphrase) : NULL, err);
	if (passphrase.data)
		OPENSSL_cleanse(passphrase.data, passphrase.size);
	return r;
}

const struct byoh_cli_verb byoh_cli_keygen = {
	"keygen", "keygen --out DIR [--passphrase-file FILE]",
	"Make an Ed25519 key pair: DIR/private.pem and DIR/public.pem; prints the key's id.", run,
};
