/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 24
#define REDRAW_MS 200

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void draw(const struct byoh_cli_progress *progress, const struct byoh_fetch_progress *p, uint64_t now)
{
	uint64_t elapsed = now - progress->began;
	uint64_t came = p->done > progress->first_done ? p->done - progress->first_done : 0;
	uint64_t rate = elapsed ? came * 1000 / elapsed : 0;
	uint64_t filled = p->total ? (uint64_t)((double)p->done / (double)p->total * BAR_WIDTH) : 0;
	char bar[BAR_WIDTH + 1];

	for (uint64_t i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %zu/%zu files %.1f/%.1f MB %.1f MB/s", bar, p->files_done, p->files,
		(double)p->done / 1e6, (double)p->total / 1e6, (double)rate / 1e6);
	if (rate && p->total > p->done)
		fprintf(stderr, ", %" PRIu64 " s left", (p->total - p->done) / rate + 1);
	fputs("\x1b[K", stderr);
	fflush(stderr);
}

static void report(void *context, const struct byoh_fetch_progress *p)
{
	struct byoh_cli_progress *progress = context;
	uint64_t now = now_ms();

	if (!progress->started) {
		*progress = (struct byoh_cli_progress){ .began = now,
							.first_done = p->done,
							.started = true,
							.bar = isatty(STDERR_FILENO) == 1 };
	}
	if (p->finished) {
		byoh_cli_progress_end(progress);
		fprintf(stderr, "==> %s %s\n", p->was_there ? "have   " : "fetched", p->finished);
	}
	if (progress->bar && (p->finished || now - progress->drawn >= REDRAW_MS)) {
		draw(progress, p, now);
		progress->drawn = now;
	}
}

void byoh_cli_progress_end(struct byoh_cli_progress *progress)
{
	if (progress->bar)
		fputs("\r\x1b[K", stderr);
}

struct byoh_fetch_options byoh_cli_fetch_options(struct byoh_cli_progress *progress, unsigned int jobs,
						 unsigned int retries)
{
	return (struct byoh_fetch_options){
		.jobs = jobs, .retries = retries, .report = report, .context = progress
	};
}
