/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/describe.h"

static int inspect(const char *path, enum byoh_describe what, struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *signers = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!signers)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_bundle_open(path, &bundle, err);
	if (r == 0)
		r = byoh_bundle_add_signers(bundle, signers, err);
	if (r == 0)
		r = byoh_bundle_authenticate(bundle, signers, 1, err);
	if (r == 0)
		r = byoh_describe(bundle, what, &text, err);
	if (r < 0)
		return r;
	if (fwrite(byoh_buffer_text(&text), 1, text.size, stdout) != text.size || fflush(stdout) != 0)
		return byoh_fail_errno(err, "cannot write to standard output");
	return 0;
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "sbom", no_argument, NULL, 'b' },
						 { "files", no_argument, NULL, 'f' },
						 { "signatures", no_argument, NULL, 's' },
						 { 0 } };
	enum byoh_describe what = BYOH_DESCRIBE_TEXT;
	int c;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0)
		what = c == 'j' ? BYOH_DESCRIBE_JSON : c == 'b' ? BYOH_DESCRIBE_SBOM :
		       c == 'f' ? BYOH_DESCRIBE_FILES : BYOH_DESCRIBE_SIGNATURES;
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "inspect needs one file");
	return inspect(argv[optind], what, err);
}

const struct byoh_cli_verb byoh_cli_inspect = {
	"inspect", "inspect FILE [--json|--sbom|--files|--signatures]",
	"Show what a bundle holds and who signed it.", run,
};
