/* SPDX-License-Identifier: Apache-2.0 */
/* A secret from the terminal, unseen. */
#ifndef BYOH_INSTALLER_PROMPT_H
#define BYOH_INSTALLER_PROMPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

/* Are standard input and standard error a terminal? Without one nothing is ever asked. */
bool byoh_prompt_is_possible(void);
/* One line, without its end, appended to ret. The terminal is as it was afterwards, also after Ctrl-C, which is
 * BYOH_ERROR_INTERRUPTED; cancel is what the handlers of SIGINT and SIGTERM set. */
BYOH_MUST_CHECK int byoh_prompt_secret(const char *question, const atomic_bool *cancel, struct byoh_buffer *ret,
				       struct byoh_error *err);

#endif
