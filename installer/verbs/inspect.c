/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/describe.h"
#include "installer/report.h"
#include "installer/signers.h"
#include "installer/verbs/verbs.h"

static enum byoh_describe wanted(const struct byoh_options *options)
{
	if (options->json)
		return BYOH_DESCRIBE_JSON;
	if (options->sbom)
		return BYOH_DESCRIBE_SBOM;
	return options->files ? BYOH_DESCRIBE_FILES : BYOH_DESCRIBE_TEXT;
}

/* Who was refused for the signatures is sent here to see them: they are told before they are checked. */
static int show_signatures(struct byoh_session *session, const char *path, struct byoh_error *err)
{
	CLEANUP_SIGNERS struct byoh_signers *signers = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_opinion opinion = { .word = byoh_signers_word };
	size_t broken;
	int r = byoh_session_open_stranger(session, path, err);

	if (r == 0)
		r = byoh_session_read_signers(session, &signers, err);
	opinion.context = signers;
	opinion.threshold = session->policy.threshold;
	if (r == 0)
		r = byoh_describe_signatures(session->bundle, signers ? &opinion : NULL, session->options.json,
					     &text, &broken, err);
	if (r == 0)
		r = byoh_report_result(&text, err);
	return r < 0 ? r : byoh_bundle_examine(session->bundle, err);
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	const char *path = session->options.argument_count ? session->options.arguments[0] : NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r = byoh_session_enter_onlooker(session, err);

	if (r < 0)
		return r;
	if (session->options.signatures)
		return show_signatures(session, path, err);
	r = byoh_session_open_bundle(session, path, err);
	if (r == 0)
		r = byoh_describe(session->bundle, wanted(&session->options), &text, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

const struct byoh_verb byoh_verb_inspect = {
	"inspect", "[FILE|DIR|URL] [--json|--sbom|--files|--signatures [--json]]",
	"Show what the bundle holds and who signed it.", " from mirror-ca sbom files signatures ", 1, run,
};
