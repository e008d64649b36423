/* SPDX-License-Identifier: Apache-2.0 */
/* What a cluster says about a certificate request, and the certificate in it. */
#include <string.h>

#include "installer/csr.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct byoh_buffer no_key = { 0 };
	CLEANUP_CSR_STATE struct byoh_csr_state state = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_validity validity;

	if (byoh_csr_state_parse((const char *)data, size, &state, &err) < 0) {
		require(err.kind != BYOH_ERROR_NONE && err.message[0] && !state.certificate.size && !state.message);
		return 0;
	}
	require((state.phase == BYOH_CSR_ISSUED) == (state.certificate.size > 0) || !state.certificate.size);
	for (const char *at = state.message; at && *at; at++)
		require((unsigned char)*at >= ' ' && *at != 127);
	/* Nothing fits a key that is none. */
	require(byoh_csr_check_certificate(&state.certificate, &no_key, "system:kube-proxy", &validity, NULL) < 0);
	return 0;
}
