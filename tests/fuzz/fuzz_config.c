/* SPDX-License-Identifier: Apache-2.0 */
/* byoh.yaml: what operators find on sticks. */
#include <stdbool.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config.h"
#include "installer/kubernetes-config.h"
#include "tests/fuzz/fuzz.h"

/* What a field of the operator's needs may be another version's: that is said, and nothing else may fail. */
static bool fits(int r, const struct byoh_error *err)
{
	require(r == 0 || (err->kind == BYOH_ERROR_CONFIG && err->message[0]));
	return r == 0;
}

/* What the parser lets through must be fit for the files that are written from it. */
static void use_with(const struct byoh_config *config, unsigned int minor)
{
	CLEANUP_BUFFER struct byoh_buffer kubelet = {0}, flags = {0}, proxy = {0};
	struct byoh_kubelet_input input = { .version = { 1, minor, 2 }, .config = config };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)fits(byoh_kubelet_config(&input, &kubelet, &err), &err);
	if (fits(byoh_kubelet_flags(&input, &flags, &err), &err))
		require(memchr(flags.data, '%', flags.size) == NULL);
	(void)fits(byoh_kube_proxy_config(&input.version, config, &proxy, &err), &err);
}

static void use(const struct byoh_config *config)
{
	use_with(config, 20);
	use_with(config, 36);
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
