/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs that operators bring along with byoh.yaml. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubeconfig.h"
#include "tests/fuzz/fuzz.h"

/* What is accepted is written anew for the host: that must be accepted too, and mean the same. */
static void check(const struct byoh_kubeconfig *kubeconfig)
{
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *second = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	require(kubeconfig->server && kubeconfig->token && kubeconfig->ca.size);
	require(byoh_kubeconfig_write_bootstrap("1", kubeconfig->server, &kubeconfig->ca, kubeconfig->token,
						&text, NULL) == 0);
	require(byoh_kubeconfig_parse_bootstrap(text.data, text.size, "second", true, &second, NULL) == 0);
	require(strcmp(kubeconfig->server, second->server) == 0 &&
		strcmp(kubeconfig->token, second->token) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	for (int opaque = 0; opaque < 2; opaque++) {
		CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		if (byoh_kubeconfig_parse_bootstrap(text, size, "fuzz", opaque, &kubeconfig, &err) == 0)
			check(kubeconfig);
		else
			require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
		err = (struct byoh_error)BYOH_ERROR_INIT;
		if (byoh_kubeconfig_check_proxy(text, size, "fuzz", &err) < 0)
			require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	}
	return 0;
}
