/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/bundle.h"

static int write_message(const char *out, const unsigned char *message, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot create %s", out);
	r = byoh_write_all(fd, message, BYOH_MESSAGE_SIZE, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", out) : 0;
}

/* Whoever holds the key sees on the screen what the 64 bytes stand for. */
static void tell(const struct byoh_bundle *bundle)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	fprintf(stderr, "==> to sign: %s %s, epoch %llu, id %s\n", manifest->name, manifest->version,
		(unsigned long long)manifest->epoch, hex);
}

static int digest(const char *path, const char *out, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	unsigned char message[BYOH_MESSAGE_SIZE];
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	TRY(byoh_bundle_open(path, &bundle, err));
	TRY(byoh_bundle_examine(bundle, err));
	byoh_trust_message(byoh_bundle_id(bundle), message);
	tell(bundle);
	if (out)
		return write_message(out, message, err);
	TRY(byoh_buffer_add(&text, message, sizeof(message), err));
	return byoh_cli_print(&text, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "out", required_argument, NULL, 'o' }, { 0 } };
	const char *out = NULL;
	int c;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0)
		out = optarg;
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "digest needs one file");
	if (!out && isatty(STDOUT_FILENO))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "the message is no text: name a file with --out, or a pipe");
	return digest(argv[optind], out, err);
}

const struct byoh_cli_verb byoh_cli_digest = {
	"digest", "digest FILE [--out FILE]",
	"Write the 64 bytes that a key elsewhere signs (HSM, openssl): prefix and SHA-256 of the manifest.", run,
};
