/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration of containerd is changed for CRI; what comes out is read again, and changing it once more
 * changes nothing. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/containerd-adopt.h"
#include "tests/fuzz/fuzz.h"

static bool disables_cri(const struct byoh_toml *toml)
{
	const struct byoh_toml_item *item = byoh_toml_find(toml, "disabled_plugins");
	CLEANUP_TOML_STRINGS struct byoh_toml_strings names = { 0 };

	if (!item)
		return false;
	require(byoh_toml_list(toml, item, &names, NULL) == 0);
	for (size_t i = 0; i < names.count; i++)
		if (!strcmp(names.items[i].text, "cri"))
			return true;
	return false;
}

static void check_drop_in(const struct byoh_containerd_input *input,
			  const struct byoh_containerd_source *source)
{
	struct byoh_containerd_source copy = *source;
	const struct byoh_containerd_sources sources = { 1, &copy };
	CLEANUP_BUFFER struct byoh_buffer drop_in = { 0 };
	CLEANUP_TOML struct byoh_toml *toml = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	bool secret;

	if (byoh_containerd_drop_in(input, &sources, &drop_in, &secret, &err) < 0)
		require(err.message[0]);
	else
		require(byoh_toml_read(drop_in.data, drop_in.size, &toml, NULL) == 0);
}

static void check_edit(const struct byoh_containerd_input *input,
		       const struct byoh_containerd_source *source)
{
	CLEANUP_BUFFER struct byoh_buffer once = { 0 }, twice = { 0 };
	CLEANUP_TOML struct byoh_toml *toml = NULL;
	struct byoh_containerd_source edited = *source;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_containerd_edit(input, source, true, &once, &err) < 0) {
		require(err.message[0]);
		return;
	}
	require(byoh_toml_read(once.data, once.size, &toml, NULL) == 0);
	require(!disables_cri(toml));
	edited.text = once;
	edited.toml = toml;
	require(byoh_containerd_edit(input, &edited, true, &twice, NULL) == 0);
	require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_TOML struct byoh_toml *toml = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	require(byoh_buffer_add(&text, data, size, NULL) == 0);
	if (byoh_toml_read(text.data, text.size, &toml, &err) < 0) {
		require(!toml && err.message[0]);
		return 0;
	}
	for (unsigned int major = 1; major <= 2; major++) {
		const struct byoh_containerd_input input = {
			.major = major, .minor = major == 1 ? 6 : 1,
			.sandbox_image = "registry.k8s.io/pause:3.10",
		};
		const struct byoh_containerd_source source = {
			.path = (char *)"/etc/containerd/config.toml", .text = text, .mode = 0644,
			.toml = toml,
		};

		check_drop_in(&input, &source);
		check_edit(&input, &source);
	}
	return 0;
}
