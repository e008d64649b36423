/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in folders of configuration that services fill too: theirs, ours, or somebody's own. */
#ifndef BYOH_INSTALLER_STEPS_STRANGERS_H
#define BYOH_INSTALLER_STEPS_STRANGERS_H

#include "installer/ledger.h"

enum byoh_tenant {
	BYOH_TENANT_SERVICE,   /* a file that kubelet, kubeadm or agent write */
	BYOH_TENANT_STRANGER,  /* neither theirs nor ours */
	BYOH_TENANT_DIRECTORY, /* told after all that is in it */
};

/* Calls visit for all below folder but what the ledger knows. A folder in which services alone are at home has
 * no strangers, and nothing is told. A result other than 0 ends it and is returned. */
BYOH_MUST_CHECK int byoh_tenants(const struct byoh_host *host, const struct byoh_ledger *ledger,
				 const char *folder,
				 int (*visit)(void *context, const char *path, enum byoh_tenant tenant,
					      struct byoh_error *err),
				 void *context, struct byoh_error *err);

#endif
