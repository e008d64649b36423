/* SPDX-License-Identifier: Apache-2.0 */
/* How fetching shows on stderr: a line for each file, and on a terminal one bar below them. */
#ifndef BYOH_BUNDLE_CLI_PROGRESS_H
#define BYOH_BUNDLE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/bar.h"
#include "bundle/fetch/http.h"

struct byoh_cli_progress { /* begins as all zeros */
	struct byoh_bar bar;
	uint64_t first_done; /* bytes that were there when it began: no part of a rate */
	bool started;
};

/* Options whose report draws into progress, which must live as long. */
struct byoh_fetch_options byoh_cli_fetch_options(struct byoh_cli_progress *progress,
						 unsigned int jobs, unsigned int retries);
/* Takes the bar away; the next report begins a new one. */
void byoh_cli_progress_end(struct byoh_cli_progress *progress);

#endif
