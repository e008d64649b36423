/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/stick.h"

struct bars {
	struct byoh_bar bar;
	bool quiet, begun;
};

static void end_bar(struct bars *bars)
{
	if (bars->begun)
		byoh_bar_finish(&bars->bar);
	bars->begun = false;
}

static void begin_bar(void *context, const char *label)
{
	struct bars *bars = context;

	end_bar(bars);
	bars->bar = byoh_bar_start(label, bars->quiet);
	bars->begun = true;
}

static void report(void *context, uint64_t done, uint64_t total)
{
	struct bars *bars = context;

	byoh_bar_report(&bars->bar, done, total);
}

static void warn(const struct byoh_stick *stick)
{
	if (stick->medium.is_root)
		fprintf(stderr, "byoh-bundle: warning: %s lies on the file system of /: is the stick mounted?\n",
			stick->folder);
}

static int copy(struct byoh_stick *stick, char **paths, size_t count, struct byoh_error *err)
{
	TRY(byoh_stick_open(stick, (const char *const *)paths, count, err));
	warn(stick);
	return byoh_stick_write(stick, err);
}

static int tell(const struct byoh_stick *stick, bool json, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	TRY(json ? byoh_stick_receipt(stick, &text, err) : byoh_stick_tell(stick, &text, err));
	return byoh_cli_print(&text, err);
}

static int usb(struct byoh_stick *stick, bool quiet, bool json, char **paths, size_t count, struct byoh_error *err)
{
	struct bars bars = { .quiet = quiet || json };
	int r;

	stick->phase = begin_bar;
	stick->progress = (struct byoh_progress){ .report = report, .context = &bars };
	r = copy(stick, paths, count, err);
	end_bar(&bars);
	return r < 0 ? r : tell(stick, json, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "to", required_argument, NULL, 't' },
						 { "key", required_argument, NULL, 'k' },
						 { "json", no_argument, NULL, 'j' },
						 { "quiet", no_argument, NULL, 'q' },
						 { 0 } };
	CLEANUP_KEYRING struct byoh_keyring *keys = byoh_keyring_new();
	CLEANUP(byoh_stick_release) struct byoh_stick stick = { .keys = keys, .directory = -1 };
	bool json = false, quiet = false;
	int c;

	if (!keys)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'k')
			TRY(byoh_cli_add_key(keys, optarg, err));
		if (c == 't')
			stick.folder = optarg;
		json = json || c == 'j';
		quiet = quiet || c == 'q';
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind == argc || !stick.folder)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "usb needs files and --to DIR");
	return usb(&stick, quiet, json, argv + optind, (size_t)(argc - optind), err);
}

const struct byoh_cli_verb byoh_cli_usb = {
	"usb", "usb FILE... --to DIR [--key public.pem]... [--json] [--quiet]",
	"Copy to a mounted stick, read back past the page cache, verify, and write a receipt.", run,
};
