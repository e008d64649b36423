/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "tests/fuzz/fuzz.h"

static void compare(const struct byoh_yaml_node *a, const struct byoh_yaml_node *b)
{
	if (!a != !b)
		abort();
	if (!a)
		return;
	if (a->type != b->type || a->line != b->line || a->column != b->column || a->quoted != b->quoted ||
	    a->count != b->count || !a->text != !b->text || (a->text && strcmp(a->text, b->text) != 0))
		abort();
	for (size_t i = 0; i < a->count; i++) {
		compare(a->items[i], b->items[i]);
		if (a->keys)
			compare(a->keys[i], b->keys[i]);
	}
}

/* What is read without libyaml has to be read by it, and as the same: a line end behind it is its alone. */
static void compare_readers(const uint8_t *data, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *plain = NULL, *full = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (size == 0 || data[size - 1] != '}' || byoh_buffer_add(&text, data, size, NULL) < 0 ||
	    byoh_buffer_add(&text, "\n", 1, NULL) < 0)
		return;
	if (byoh_yaml_parse(text.data, size, "fuzz", BYOH_ERROR_FORMAT, &plain, NULL) !=
	    byoh_yaml_parse(text.data, text.size, "fuzz", BYOH_ERROR_FORMAT, &full, NULL))
		abort();
	if (plain && full)
		compare(byoh_yaml_root(plain), byoh_yaml_root(full));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_yaml_parse((const char *)data, size, "fuzz", BYOH_ERROR_FORMAT, &doc, &err) < 0 &&
	    err.kind == BYOH_ERROR_NONE)
		abort();
	compare_readers(data, size);
	return 0;
}
