/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/sign.h"

struct sign {
	const char *path, *key, *passphrase_file, *signature;
	bool quiet;
};

static int sign_here(const struct sign *sign, const struct byoh_digest *id, struct byoh_signature *ret,
		     struct byoh_error *err)
{
	CLEANUP_PRIVATE_KEY struct byoh_private_key *key = NULL;
	int r = byoh_cli_read_key(sign->key, sign->passphrase_file, &key, err);

	return r < 0 ? r : byoh_trust_sign(key, id, ret, err);
}

/* Made elsewhere; it is checked before anything is written. */
static int read_detached(const struct sign *sign, struct byoh_signature *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };

	TRY(byoh_public_key_read(sign->key, &ret->key, err));
	TRY(byoh_read_named_file(sign->signature, 4096, &bytes, err));
	if (bytes.size != sizeof(ret->bytes))
		return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG,
				 "%s: a signature is %zu bytes as they are, this has %zu", sign->signature,
				 sizeof(ret->bytes), bytes.size);
	memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
	return 0;
}

static int tell(const struct sign *sign, const struct byoh_bundle *bundle,
		const struct byoh_signature *signature, bool added, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;
	size_t count;

	TRY(byoh_public_key_id(&signature->key, &id, err));
	byoh_digest_hex(&id, hex);
	byoh_bundle_signatures(bundle, &count);
	if (added)
		printf("%s: signed by %s, its signature %zu\n", sign->path, hex, count + 1);
	else
		printf("%s: %s has signed it already, nothing was changed\n", sign->path, hex);
	return 0;
}

static int sign_file(const struct sign *sign, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Checking", sign->quiet);
	struct byoh_progress progress = { .report = byoh_bar_report, .context = &bar };
	CLEANUP_FREE char *real = realpath(sign->path, NULL); /* a link stays one, what it names is signed */
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	struct byoh_signature signature;
	CLEANUP_FD int fd = -1;
	bool added;
	int r;

	fd = real ? open(real, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", sign->path);
	TRY(byoh_bundle_open_fd(fd, sign->path, &bundle, err));
	fd = -1;
	TRY(byoh_bundle_examine(bundle, err));
	TRY(sign->signature ? read_detached(sign, &signature, err)
			    : sign_here(sign, byoh_bundle_id(bundle), &signature, err));
	r = byoh_sign_file(bundle, real, &signature, &progress, &added, err);
	byoh_bar_finish(&bar);
	return r < 0 ? r : tell(sign, bundle, &signature, added, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "key", required_argument, NULL, 'k' },
						 { "passphrase-file", required_argument, NULL, 'p' },
						 { "signature", required_argument, NULL, 's' },
						 { "quiet", no_argument, NULL, 'q' },
						 { 0 } };
	struct sign sign = { 0 };
	int c;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'k')
			sign.key = optarg;
		else if (c == 'p')
			sign.passphrase_file = optarg;
		else if (c == 's')
			sign.signature = optarg;
		sign.quiet = sign.quiet || c == 'q';
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc || !sign.key)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "sign needs one file and --key");
	if (sign.signature && sign.passphrase_file)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "with --signature the key is the public one, which has no passphrase");
	sign.path = argv[optind];
	return sign_file(&sign, err);
}

const struct byoh_cli_verb byoh_cli_sign = {
	"sign",
	"sign FILE --key private.pem [--passphrase-file FILE] [--quiet]\n"
	"  byoh-bundle sign FILE --signature FILE --key public.pem [--quiet]",
	"Add a signature, by a key here or one that was made elsewhere over what `digest` writes; the id stays.", run,
};
