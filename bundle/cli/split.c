/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/bundle.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/slices.h"

static int split(const char *file, const char *folder, uint64_t size, bool quiet, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	size_t count;
	/* What is no whole bundle would be noticed at the site. */
	int r = byoh_bundle_open(file, &bundle, err);

	if (r == 0)
		r = byoh_slices_cut(file, folder, size, &count, err);
	if (r == 0 && !quiet)
		fprintf(stderr, "==> cut into %zu slices in %s\n", count, folder);
	return r;
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "size", required_argument, NULL, 's' },
						 { "out", required_argument, NULL, 'o' },
						 { "quiet", no_argument, NULL, 'q' },
						 { 0 } };
	const char *out = NULL;
	uint64_t size = 0;
	bool quiet = false;
	int c, r;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'o')
			out = optarg;
		quiet = quiet || c == 'q';
		r = c == 's' ? byoh_cli_size(optarg, "size", &size, err) : 0;
		if (r < 0)
			return r;
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc || !out || !size)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "split needs a file, --size and --out");
	return split(argv[optind], out, size, quiet, err);
}

const struct byoh_cli_verb byoh_cli_split = {
	"split", "split FILE --size 3.5G|700M|BYTES --out DIR [--quiet]",
	"Cut a bundle into slices FILE.001, FILE.002, ... for small or FAT-formatted sticks.", run,
};
