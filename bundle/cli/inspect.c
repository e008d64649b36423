/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/base/cleanup.h"
#include "bundle/describe.h"

struct inspect {
	enum byoh_describe what;
	bool signatures, json;
	struct byoh_keyring *given;
};

static const char *word(void *context, const struct byoh_public_key *key, bool *ret_trusted)
{
	*ret_trusted = byoh_keyring_has(context, key);
	return *ret_trusted ? "named by --key" : NULL;
}

static int show_signatures(const struct inspect *inspect, struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_opinion opinion = { .word = word, .context = inspect->given };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	bool judged = byoh_keyring_count(inspect->given) > 0;
	size_t broken;

	TRY(byoh_describe_signatures(bundle, judged ? &opinion : NULL, inspect->json, &text, &broken, err));
	return byoh_cli_print(&text, err);
}

static int inspect_file(const struct inspect *inspect, const char *path, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	TRY(byoh_cli_open_bundle(path, &bundle, err));
	/* Before they are checked: who finds a file refused wants to know by which of them. */
	if (inspect->signatures)
		TRY(show_signatures(inspect, bundle, err));
	TRY(byoh_bundle_examine(bundle, err));
	if (inspect->signatures)
		return 0;
	TRY(byoh_describe(bundle, inspect->what, &text, err));
	return byoh_cli_print(&text, err);
}

static int take_option(struct inspect *inspect, int c, struct byoh_error *err)
{
	if (c == 'k')
		return byoh_cli_add_key(inspect->given, optarg, err);
	if (c == 's')
		inspect->signatures = true;
	else if (c == 'j')
		inspect->json = true;
	else
		inspect->what = c == 'b' ? BYOH_DESCRIBE_SBOM : BYOH_DESCRIBE_FILES;
	return 0;
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "sbom", no_argument, NULL, 'b' },
						 { "files", no_argument, NULL, 'f' },
						 { "signatures", no_argument, NULL, 's' },
						 { "key", required_argument, NULL, 'k' },
						 { 0 } };
	CLEANUP_KEYRING struct byoh_keyring *given = byoh_keyring_new();
	struct inspect inspect = { .what = BYOH_DESCRIBE_TEXT, .given = given };
	int c;

	if (!given)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while ((c = byoh_cli_next_option(argc, argv, options)) > 0)
		TRY(take_option(&inspect, c, err));
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "inspect needs one file");
	if (inspect.json)
		inspect.what = BYOH_DESCRIBE_JSON;
	return inspect_file(&inspect, argv[optind], err);
}

const struct byoh_cli_verb byoh_cli_inspect = {
	"inspect", "inspect FILE [--json|--sbom|--files|--signatures [--json] [--key public.pem]...]",
	"Show what a bundle holds and who signed it.", run,
};
