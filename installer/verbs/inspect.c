/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/describe.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static enum byoh_describe wanted(const struct byoh_options *options)
{
	if (options->json)
		return BYOH_DESCRIBE_JSON;
	if (options->sbom)
		return BYOH_DESCRIBE_SBOM;
	if (options->files)
		return BYOH_DESCRIBE_FILES;
	return options->signatures ? BYOH_DESCRIBE_SIGNATURES : BYOH_DESCRIBE_TEXT;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	const char *path = session->options.argument_count ? session->options.arguments[0] : NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	enum byoh_describe what = wanted(&session->options);
	int r = byoh_session_enter_reader(session, err);

	if (r < 0)
		return r;
	/* Who was refused for the signatures is sent here to see them. */
	r = what == BYOH_DESCRIBE_SIGNATURES ? byoh_session_open_stranger(session, path, err)
					     : byoh_session_open_bundle(session, path, err);
	if (r == 0)
		r = byoh_describe(session->bundle, what, &text, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

const struct byoh_verb byoh_verb_inspect = {
	"inspect", "[FILE] [--json|--sbom|--files|--signatures]",
	"Show what the bundle holds and who signed it.", " from sbom files signatures ", 1, run,
};
