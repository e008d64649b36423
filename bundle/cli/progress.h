/* SPDX-License-Identifier: Apache-2.0 */
/* How fetching shows on stderr: one bar on a terminal, a line for each file elsewhere. */
#ifndef BYOH_BUNDLE_CLI_PROGRESS_H
#define BYOH_BUNDLE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/fetch/http.h"

struct byoh_cli_progress { /* begins as all zeros */
	uint64_t began, drawn; /* milliseconds */
	uint64_t first_done;   /* bytes that were there when it began */
	bool started, bar;
};

/* Options whose report draws into progress, which must live as long. */
struct byoh_fetch_options byoh_cli_fetch_options(struct byoh_cli_progress *progress, unsigned int jobs,
						 unsigned int retries);
/* Clears the bar. */
void byoh_cli_progress_end(struct byoh_cli_progress *progress);

#endif
