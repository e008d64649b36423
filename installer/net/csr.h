/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BYOH_INSTALLER_NET_CSR_H
#define BYOH_INSTALLER_NET_CSR_H

#include "installer/csr.h"
#include "installer/net/api.h"

/* access holds server, CA and credential (byoh_access_request). HTTP 401 and 403 are -EACCES with BYOH_ERROR_SYSTEM,
 * so that another credential can be tried; what byoh_outside_api cannot do fails as that does. */

/* Creates the object (byoh_csr_object). That it is there already is fine. */
BYOH_MUST_CHECK int byoh_csr_submit(struct byoh_outside *outside, const struct byoh_api_request *access,
				    const struct byoh_buffer *object, struct byoh_error *err);
/* -ENOENT: there is no such request. The cluster forgets one that was decided within an hour, and one that was not
 * within a day. */
BYOH_MUST_CHECK int byoh_csr_look(struct byoh_outside *outside, const struct byoh_api_request *access,
				  const char *name, struct byoh_csr_state *ret, struct byoh_error *err);

#endif
