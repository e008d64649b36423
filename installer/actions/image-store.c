/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/actions/image-store.h"

#include <stddef.h>

#include "installer/run.h"

bool byoh_image_store_answers(void)
{
	const char *const argv[] = { "ctr", "--connect-timeout", "10s", "version", NULL };
	int status;

	return byoh_run(&(struct byoh_run){ .argv = argv, .timeout_seconds = 30 }, &status, NULL) == 0 &&
	       status == 0;
}
