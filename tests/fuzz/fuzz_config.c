/* SPDX-License-Identifier: Apache-2.0 */
/* byoh.yaml: what operators find on sticks. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config.h"
#include "installer/kubernetes-config.h"
#include "tests/fuzz/fuzz.h"

/* What the parser lets through must be fit for the files that are written from it. */
static void use(const struct byoh_config *config)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_kubelet_input input = { .version = { 1, 20, 2 }, .config = config };

	require(byoh_kubelet_config(&input, &text, NULL) == 0);
	require(byoh_kubelet_flags(&input, &text, NULL) == 0);
	require(memchr(text.data, '%', text.size) == NULL);
	input.version.minor = 36;
	require(byoh_kubelet_config(&input, &text, NULL) == 0);
	require(byoh_kube_proxy_config(&input.version, config, &text, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *macs[] = { (char *)"52:54:00:12:34:56" };
	const struct byoh_machine_identity identity = { .serial = "S1", .macs = { 1, macs } };
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_config_parse((const char *)data, size, "fuzz", NULL, &identity, &config, &err) == 0)
		use(config);
	else
		require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	return 0;
}
