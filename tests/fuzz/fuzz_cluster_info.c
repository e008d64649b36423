/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the place of a cluster and answers to who looks for one: the whole answer, and a kubeconfig that is
 * signed as it should be, since no chance finds a signature. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/cluster-info.h"
#include "tests/fuzz/fuzz.h"

#define TOKEN "abcdef.0123456789abcdef"
/* of the CA in the corpus */
#define PIN "sha256:a3d90fbd96c76c6fa4fdc178598768b8262fff6ad7bc4c1b736e212e84fec59b"

static void read_answer(const char *answer, size_t size)
{
	CLEANUP_CLUSTER_INFO struct byoh_cluster_info info = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_cluster_info_read(answer, size, TOKEN, PIN, &info, &err) < 0) {
		require(err.kind != BYOH_ERROR_NONE && err.message[0]);
		return;
	}
	require(info.server && info.pinned.size && info.ca.size);
	require(byoh_cluster_info_confirm(&info, answer, size, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, quoted = { 0 }, signature = { 0 }, answer = { 0 };

	read_answer((const char *)data, size);
	require(byoh_buffer_add(&text, data, size, NULL) == 0);
	if (size && strlen(text.data) == size && byoh_json_quote(&quoted, text.data, NULL) == 0) {
		require(byoh_cluster_info_sign(TOKEN, text.data, size, &signature, NULL) == 0);
		require(byoh_buffer_printf(&answer, NULL, "data: {jws-kubeconfig-abcdef: %s, kubeconfig: %s}",
					   signature.data, quoted.data) == 0);
		read_answer(answer.data, answer.size);
	}
	return 0;
}
