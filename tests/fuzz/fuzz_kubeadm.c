/* SPDX-License-Identifier: Apache-2.0 */
/* JoinConfigurations that an agent left, and what kubeadm prints. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubeadm-config.h"
#include "installer/kubeadm-output.h"
#include "tests/fuzz/fuzz.h"

/* What was written anew is accepted, is not mangled any more, and stays as it is. */
static void check(const struct byoh_buffer *first)
{
	CLEANUP_BUFFER struct byoh_buffer second = { 0 };
	bool mangled = true;

	require(byoh_kubeadm_normalise(first->data, first->size, "second", "other", &second, &mangled, NULL) == 0);
	require(!mangled && second.size == first->size && memcmp(second.data, first->data, first->size) == 0);
}

static void judge(const char *text, size_t size)
{
	CLEANUP_FREE char *output = strndup(text, size);
	struct byoh_kubeadm_verdict verdict;

	require(output);
	byoh_kubeadm_judge(1, output, &verdict);
	require(verdict.outcome != BYOH_KUBEADM_JOINED && verdict.cause[0] && verdict.remedy[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	bool mangled = false;

	if (byoh_kubeadm_normalise((const char *)data, size, "fuzz", "host", &text, &mangled, &err) == 0)
		check(&text);
	else
		require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	judge((const char *)data, size);
	return 0;
}
