/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "bundle/base/json.h"
#include "bundle/describe.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static int tell(const struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(session->bundle);
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_json json = byoh_json_to(&text);
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	byoh_digest_hex(byoh_bundle_id(session->bundle), hex);
	if (!session->options.json) {
		printf("%s: good: %s %s, id %s\n", byoh_bundle_name(session->bundle), manifest->name,
		       manifest->version, hex);
		if (byoh_bundle_is_delta(session->bundle))
			printf("  a delta: it installs where %s %s is\n", manifest->base_name, manifest->base_version);
		return 0;
	}
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "result", "good");
	byoh_json_field_string(&json, "id", hex);
	byoh_json_field_string(&json, "name", manifest->name);
	byoh_json_field_string(&json, "version", manifest->version);
	byoh_describe_base(manifest, &json);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Verifying", session->options.quiet || session->options.json);
	struct byoh_progress progress = { byoh_bar_report, &bar, session->cancel };
	const char *path = session->options.argument_count ? session->options.arguments[0] : NULL;
	int r;

	if (session->options.installed)
		return byoh_verify_installed(session, err);
	r = byoh_session_enter_onlooker(session, err);
	if (r == 0)
		r = byoh_session_open_bundle(session, path, err);
	if (r == 0)
		r = byoh_session_check_floor(session, err);
	if (r == 0)
		r = byoh_bundle_check(session->bundle, 0, &progress, err);
	byoh_bar_finish(&bar);
	return r < 0 ? r : tell(session, err);
}

const struct byoh_verb byoh_verb_verify = {
	"verify", "[FILE|DIR|URL | --installed] [--key FILE]",
	"Check signatures and every byte of this bundle or another, or of what is installed and kept here.",
	" from mirror-ca installed ", 1, run,
};
