/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bundle/base/cleanup.h"
#include "bundle/cache.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/cli/progress.h"
#include "bundle/fetch/registry.h"
#include "bundle/fetch/sources.h"
#include "bundle/lock.h"
#include "bundle/spec.h"

#define MAX_JOBS 32
#define MAX_RETRIES 100

struct settings {
	const char *spec_path, *cache_dir, *insecure_host;
	uint64_t jobs, retries;
	bool refresh;
};

static int fetch(const struct settings *settings, const char *cache_dir, struct byoh_error *err)
{
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	CLEANUP_LOCK struct byoh_lock *lock = NULL;
	struct byoh_cli_progress progress = { 0 };
	struct byoh_fetch_options options = byoh_cli_fetch_options(
		&progress, (unsigned int)settings->jobs, (unsigned int)settings->retries);
	int r = byoh_spec_load(settings->spec_path, &spec, err);

	if (r == 0)
		r = byoh_lock_load(spec->lock_path, &lock, err);
	if (r == 0)
		r = byoh_fetch_sources(spec, lock, cache_dir, false, settings->refresh, &options,
				       err);
	byoh_cli_progress_end(&progress);
	if (r == 0)
		r = byoh_fetch_images(spec, cache_dir, settings->insecure_host, settings->refresh,
				      &options, err);
	byoh_cli_progress_end(&progress);
	return r;
}

static int parse(int argc, char **argv, struct settings *settings, struct byoh_error *err)
{
	static const struct option options[] = { { "cache", required_argument, NULL, 'c' },
						 { "jobs", required_argument, NULL, 'j' },
						 { "retries", required_argument, NULL, 'n' },
						 { "refresh", no_argument, NULL, 'r' },
						 { "insecure-registry", required_argument, NULL,
						   'i' },
						 { 0 } };
	int c, r = 0;

	while (r == 0 && (c = byoh_cli_next_option(argc, argv, options)) != -1) {
		if (c < 0)
			return byoh_cli_bad_option(argv, err);
		if (c == 'c')
			settings->cache_dir = optarg;
		else if (c == 'j')
			r = byoh_cli_number(optarg, "--jobs", 1, MAX_JOBS, &settings->jobs, err);
		else if (c == 'n')
			r = byoh_cli_number(optarg, "--retries", 0, MAX_RETRIES, &settings->retries,
					    err);
		settings->refresh = settings->refresh || c == 'r';
		if (c == 'i')
			settings->insecure_host = optarg;
	}
	if (r == 0 && optind + 1 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "fetch needs one SPEC");
	settings->spec_path = r == 0 ? argv[optind] : NULL;
	return r;
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	struct settings settings = { .jobs = 4, .retries = 5 };
	CLEANUP_FREE char *default_cache = NULL;
	int r = parse(argc, argv, &settings, err);

	if (r == 0)
		r = byoh_cache_default(&default_cache, err);
	if (r == 0)
		r = fetch(&settings, settings.cache_dir ? settings.cache_dir : default_cache, err);
	return r;
}

const struct byoh_cli_verb byoh_cli_fetch = {
	"fetch",
	"fetch SPEC [--cache DIR] [--jobs N] [--retries N] [--refresh] [--insecure-registry HOST]",
	"Get every source and image that a spec names into the cache, checking every digest; "
	"resumes.",
	run,
};
