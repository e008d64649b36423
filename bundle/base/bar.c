/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/bar.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NANOSECONDS UINT64_C(100000000)
#define SECOND UINT64_C(1000000000)
#define CELLS 24

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

const char *byoh_format_size(uint64_t bytes, char ret[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(ret, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return ret;
}

struct byoh_bar byoh_bar_start(const char *label, bool quiet)
{
	return (struct byoh_bar){ .label = label, .shown = !quiet && isatty(STDERR_FILENO), .started = now() };
}

void byoh_bar_report(void *context, uint64_t done, uint64_t total)
{
	struct byoh_bar *bar = context;
	uint64_t time = now(), elapsed = time - bar->started;
	char cells[CELLS + 1], rate[32], size[32];
	uint64_t left, speed;
	int filled;

	if (!bar->shown || !total || (bar->drawn && done < total && time - bar->drawn_at < REDRAW_NANOSECONDS))
		return;
	bar->drawn_at = time;
	bar->drawn = true;
	filled = (int)((double)done / (double)total * CELLS);
	memset(cells, ' ', CELLS);
	memset(cells, '=', filled < 0 ? 0 : filled > CELLS ? CELLS : (size_t)filled);
	cells[CELLS] = '\0';
	speed = elapsed ? (uint64_t)((double)done * (double)SECOND / (double)elapsed) : 0;
	left = speed ? (total - done) / speed : 0;
	fprintf(stderr, "\r%-10s [%s] %3d%%  %9s  %9s/s  %llu:%02llu left \033[K", bar->label, cells,
		(int)((double)done * 100 / (double)total), byoh_format_size(done, size),
		byoh_format_size(speed, rate), (unsigned long long)(left / 60),
		(unsigned long long)(left % 60));
	fflush(stderr);
}

void byoh_bar_finish(struct byoh_bar *bar)
{
	if (bar->drawn)
		fputs("\r\033[K", stderr);
	bar->drawn = false;
}
