/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a run that changes the host: what was said, each step, each action and how it ended, line by
 * line with the time. It is collected from the start of any run and kept only where byoh_log_begin was
 * called. It holds what is said to people, so no secret.
 *
 * It lies in /var/log/byoh of the root that is worked on, in a folder that an installation makes: before
 * the first one there is none, and a first installation that fails leaves the host as it was. On a live
 * host its log is then in /run/byoh, until the next boot.
 *
 * There is one log in a process, as there is one standard error. A log that cannot be written is never a
 * failure.
 */
#ifndef BYOH_INSTALLER_LOG_H
#define BYOH_INSTALLER_LOG_H

#include <stdbool.h>

#include "bundle/base/error.h"

#define BYOH_LOG_FOLDER "/var/log/byoh"
#define BYOH_LOG_FOLDER_VOLATILE "/run/byoh"
#define BYOH_LOG_KEPT 20 /* the newest; older ones go */

void byoh_log_text(const char *fmt, ...) BYOH_PRINTF(1, 2);
/* What is being done: the last words of a run that is killed in it. The next action tells that it was done;
 * what else does is said by byoh_log_done, and text that comes before that leaves it open. */
void byoh_log_action(const char *what);
void byoh_log_done(void);
/* From here on the run changes the host. Once is enough. */
void byoh_log_begin(int root_fd, const char *verb);
/* The end of the run. Returns the log's path below the root, NULL where there is none; valid until the
 * next call. A positive *ret_errno says why one could not be written. */
const char *byoh_log_end(int root_fd, bool live, bool failed, int *ret_errno);

#endif
