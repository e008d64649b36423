/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "bundle/base/cleanup.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/compare.h"

static int open_examined(const char *path, struct byoh_bundle **ret, struct byoh_error *err)
{
	TRY(byoh_bundle_open(path, ret, err));
	return byoh_bundle_examine(*ret, err);
}

static int diff(const char *old, const char *new, bool json, bool *ret_same, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *from = NULL, *to = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	TRY(open_examined(old, &from, err));
	TRY(open_examined(new, &to, err));
	TRY(byoh_compare(from, to, json, &text, ret_same, err));
	return byoh_cli_print(&text, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "exit-code", no_argument, NULL, 'x' },
						 { 0 } };
	bool json = false, exit_code = false, same;
	int c;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		json = json || c == 'j';
		exit_code = exit_code || c == 'x';
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 2 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "diff needs two files");
	TRY(diff(argv[optind], argv[optind + 1], json, &same, err));
	return exit_code && !same ? BYOH_CLI_DIFFERENT : 0;
}

const struct byoh_cli_verb byoh_cli_diff = {
	"diff", "diff OLD NEW [--json] [--exit-code]",
	"Show what changes from one bundle to another; --exit-code: 1 where anything does.", run,
};
