/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/bar.h"
#include "bundle/bundle.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"

static int print_good(const struct byoh_bundle *bundle, const struct byoh_keyring *given, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	char hex[BYOH_DIGEST_HEX_SIZE];
	const struct byoh_signature *signatures;
	size_t count;

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	printf("%s: good: %s %s, id %s\n", byoh_bundle_name(bundle), manifest->name, manifest->version, hex);
	if (byoh_bundle_is_delta(bundle))
		printf("  a delta: it installs where %s %s is\n", manifest->base_name, manifest->base_version);
	signatures = byoh_bundle_signatures(bundle, &count);
	for (size_t i = 0; i < count; i++) {
		struct byoh_digest id;
		int r = byoh_public_key_id(&signatures[i].key, &id, err);

		if (r < 0)
			return r;
		byoh_digest_hex(&id, hex);
		printf("  signed by %s%s\n", hex, byoh_keyring_has(given, &signatures[i].key) ? "" :
		       " (nobody vouched for this key: compare it)");
	}
	return 0;
}

static int verify(const char *path, const struct byoh_keyring *given, bool quiet, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Verifying", quiet);
	struct byoh_progress progress = { .report = byoh_bar_report, .context = &bar };
	CLEANUP_KEYRING struct byoh_keyring *signers = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	bool vouched = byoh_keyring_count(given) > 0;
	int r;

	if (!signers)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_cli_open_bundle(path, &bundle, err);
	if (r == 0 && !vouched)
		r = byoh_bundle_add_signers(bundle, signers, err);
	if (r == 0)
		r = byoh_bundle_authenticate(bundle, vouched ? given : signers, 1, err);
	if (r == 0)
		r = byoh_bundle_check(bundle, 0, &progress, err);
	byoh_bar_finish(&bar);
	return r < 0 ? r : print_good(bundle, given, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "key", required_argument, NULL, 'k' },
						 { "quiet", no_argument, NULL, 'q' },
						 { 0 } };
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	struct byoh_public_key key;
	bool quiet = false;
	int c, r = 0;

	if (!keyring)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'q') {
			quiet = true;
			continue;
		}
		r = byoh_public_key_read(optarg, &key, err);
		if (r == 0)
			r = byoh_keyring_add(keyring, &key, err);
		if (r < 0)
			return r;
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind == argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "verify needs a file");
	for (int i = optind; i < argc && r == 0; i++)
		r = verify(argv[i], keyring, quiet, err);
	return r;
}

const struct byoh_cli_verb byoh_cli_verify = {
	"verify", "verify FILE... [--key public.pem]... [--quiet]",
	"Check signatures and every byte; 0 only if all are good.", run,
};
