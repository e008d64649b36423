/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/report.h"
#include "installer/support/support-bundle.h"
#include "installer/verbs/verbs.h"

static int tell(const struct byoh_session *session, const char *path, uint64_t size, size_t count, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_json json = byoh_json_to(&text);
	char length[32];
	int r;

	if (!session->options.json) {
		byoh_report_line(session, "%s: %zu files, %s, without secrets; names and addresses of this site are in it", path,
				 count, byoh_format_size(size, length));
		return 0;
	}
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "file", path);
	byoh_json_field_u64(&json, "size", size);
	byoh_json_field_u64(&json, "files", count);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static int write_bundle(struct byoh_session *session, const struct byoh_consultation *consultation, const char *path,
			struct byoh_error *err)
{
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();
	CLEANUP_SUPPORT_ARCHIVE struct byoh_support_archive *archive = NULL;
	uint64_t size;
	size_t count;
	int r;

	if (!redactor)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_support_learn(session->host, session->config, redactor, err);
	if (r == 0)
		r = byoh_support_archive_create(path, redactor, &archive, err);
	if (r == 0)
		r = byoh_support_collect(session, consultation, archive, err);
	if (r == 0)
		r = byoh_support_archive_finish(archive, &size, &count, err);
	return r < 0 ? r : tell(session, path, size, count, err);
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(byoh_consultation_release) struct byoh_consultation consultation = { 0 };
	int r;

	if (session->options.argument_count != 1)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "support-bundle needs the name of a file that is to be made");
	r = byoh_session_enter_host(session, err);
	if (r == 0)
		r = byoh_consult(session, &consultation, err);
	return r < 0 ? r : write_bundle(session, &consultation, session->options.arguments[0], err);
}

const struct byoh_verb byoh_verb_support_bundle = {
	"support-bundle", "FILE [--json]", "Write what a stranger needs to help with this host, without secrets, as .tar.zst.", "",
	1, run,
};
