/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cli/progress.h"

#include <stdio.h>

static void report(void *context, const struct byoh_fetch_progress *p)
{
	struct byoh_cli_progress *progress = context;

	if (!progress->started) {
		progress->bar = byoh_bar_start("Fetching", false);
		progress->first_done = p->done;
		progress->started = true;
	}
	/* A part that is fetched anew makes the sum smaller than it was. */
	if (p->done < progress->first_done)
		progress->first_done = p->done;
	if (p->finished) {
		byoh_bar_finish(&progress->bar);
		fprintf(stderr, "==> %s %s\n", p->was_there ? "have" : "fetched", p->finished);
	}
	byoh_bar_report(&progress->bar, p->done - progress->first_done,
			p->total - progress->first_done);
}

void byoh_cli_progress_end(struct byoh_cli_progress *progress)
{
	if (progress->started)
		byoh_bar_finish(&progress->bar);
	progress->started = false;
}

struct byoh_fetch_options byoh_cli_fetch_options(struct byoh_cli_progress *progress,
						 unsigned int jobs, unsigned int retries)
{
	return (struct byoh_fetch_options){
		.jobs = jobs, .retries = retries, .report = report, .context = progress
	};
}
