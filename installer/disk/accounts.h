/* SPDX-License-Identifier: Apache-2.0 */
/* iso.users in the account files of a system that does not run: passwd(5), shadow(5), group(5), gshadow(5). Pure. */
#ifndef BYOH_INSTALLER_DISK_ACCOUNTS_H
#define BYOH_INSTALLER_DISK_ACCOUNTS_H

#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config-iso.h"

struct byoh_accounts {
	struct byoh_buffer passwd, shadow, group, gshadow; /* shadow is a secret */
};
void byoh_accounts_release(struct byoh_accounts *accounts); /* wipes */

/* A user with a group of the same name and the next free id in *ret_id, its home in ret_home; of root the password alone.
 * A name that the system has already is BYOH_ERROR_CONFIG. */
BYOH_MUST_CHECK int byoh_accounts_add(struct byoh_accounts *accounts, const struct byoh_iso_user *user, uint32_t *ret_id,
				      char ret_home[64], struct byoh_error *err);

#endif
