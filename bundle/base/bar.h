/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress on stderr, for programs: on a terminal one line that is redrawn, with rate and time left;
 * elsewhere nothing but what was printed before and after. The library itself never prints.
 */
#ifndef BYOH_BASE_BAR_H
#define BYOH_BASE_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct byoh_bar {
	const char *label;  /* "Unpacking" */
	bool shown;	    /* stderr is a terminal and nobody asked for quiet */
	bool drawn;
	uint64_t started, drawn_at; /* nanoseconds, monotonic */
};

struct byoh_bar byoh_bar_start(const char *label, bool quiet);
/* Fits struct byoh_progress.report with a struct byoh_bar as context. One caller at a time. */
void byoh_bar_report(void *bar, uint64_t done, uint64_t total);
/* Takes the line away. */
void byoh_bar_finish(struct byoh_bar *bar);

/* "75.5 MB" in decimal units. ret holds at least 32 bytes. */
const char *byoh_format_size(uint64_t bytes, char ret[32]);

#endif
