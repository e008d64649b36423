/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/base/yaml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_yaml_parse((const char *)data, size, "fuzz", BYOH_ERROR_FORMAT, &doc, &err) < 0 &&
	    err.kind == BYOH_ERROR_NONE)
		abort();
	return 0;
}
