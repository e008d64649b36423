/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates in PEM, and kubeconfigs that embed them, when a CA is exchanged: the first byte splits old from text. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, old = { 0 }, ret = { 0 }, again = { 0 };
	struct byoh_ca_list list = { 0 };
	uint64_t begin, end;
	bool changed = false;
	size_t at;

	if (!size)
		return 0;
	at = 1 + (size - 1) * data[0] / 256;
	require(byoh_buffer_add(&old, data + 1, at - 1, NULL) == 0 && byoh_buffer_add(&text, data + at, size - at, NULL) == 0);
	if (byoh_ca_list_read(byoh_buffer_text(&old), old.size, &list, NULL) == 0)
		for (size_t i = 0; i < list.count; i++)
			require(byoh_ca_list_holds(&list, &list.digests[i]));
	(void)byoh_ca_is_shared(&old, &text);
	if (byoh_certificate_times(byoh_buffer_text(&text), text.size, true, &begin, &end))
		require(byoh_certificate_times(byoh_buffer_text(&text), text.size, false, &begin, &end));
	if (byoh_ca_exchange(byoh_buffer_text(&text), text.size, &old, &old, &ret, &changed, NULL) < 0)
		return 0;
	if (!changed)
		require(ret.size == text.size && (!ret.size || memcmp(ret.data, text.data, ret.size) == 0));
	require(byoh_ca_exchange(byoh_buffer_text(&ret), ret.size, &old, &old, &again, &changed, NULL) == 0);
	return 0;
}
