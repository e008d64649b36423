/* SPDX-License-Identifier: Apache-2.0 */
/* bundle.yaml, which a publisher may have from somebody else. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/spec.h"
#include "tests/fuzz/fuzz.h"

static void check_source(const struct byoh_spec *spec, const struct byoh_spec_source *source)
{
	CLEANUP_FREE char *path = NULL;

	require(source->line && source->column && !(source->has_digest && source->unlocked));
	if (!source->path)
		return;
	path = byoh_spec_source_path(spec, source);
	require(path && path[0] == '/');
}

/* What the packer takes for granted. */
static void check(const struct byoh_spec *spec)
{
	require(spec->name && spec->version && spec->arch && spec->component_count + spec->image_count);
	require(strcmp(spec->directory, "/specs") == 0 && strcmp(spec->lock_path, "/specs/fuzz.lock") == 0);
	for (size_t i = 0; i < spec->component_count; i++) {
		const struct byoh_spec_component *component = &spec->components[i];

		require(component->name && component->version && component->license);
		require(!strchr(component->name, '/') && component->rule_count);
		require(!component->source.url != !component->source.path);
		check_source(spec, &component->source);
		for (size_t j = 0; j < component->rule_count; j++) {
			const struct byoh_spec_rule *rule = &component->rules[j];

			require(rule->from && rule->to[0] == '/' && !strstr(rule->to, "/../"));
			require(rule->mode == BYOH_SPEC_KEEP_MODE || !(rule->mode & ~0777u));
		}
	}
	for (size_t i = 0; i < spec->image_count; i++) {
		const struct byoh_spec_image *image = &spec->images[i];

		require(image->ref && image->platform && strchr(image->platform, '/'));
		require(image->source.path || image->source.has_digest || image->source.unlocked);
		check_source(spec, &image->source);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_spec_parse((const char *)data, size, "/specs/fuzz.yaml", &spec, &err) == 0)
		check(spec);
	else
		require(!spec && err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	return 0;
}
