/* SPDX-License-Identifier: Apache-2.0 */
/* The runner: the tables in order, the operator's list of what to ignore, and the words for
 * reports. */
#include "installer/preflight/preflight.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bundle/base/cleanup.h"
#include "installer/preflight/checks.h"

static const struct byoh_check *const tables[] = {
	byoh_checks_system,  byoh_checks_kernel,  byoh_checks_storage,
	byoh_checks_network, byoh_checks_runtime, byoh_checks_identity,
	byoh_checks_upgrade,
};

#define FOR_EACH_CHECK(check) \
	for (size_t table_ = 0; table_ < ARRAY_SIZE(tables); table_++) \
		for (const struct byoh_check *check = tables[table_]; check->id; check++)

#define SET(report, which, format) \
	do { \
		va_list args_; \
		va_start(args_, format); \
		vsnprintf((report)->which, sizeof((report)->which), format, args_); \
		va_end(args_); \
	} while (0)

int byoh_check_pass(struct byoh_check_report *report, const char *seen, ...)
{
	SET(report, seen, seen);
	report->result = BYOH_CHECK_PASS;
	return 0;
}

int byoh_check_skip(struct byoh_check_report *report, const char *seen, ...)
{
	SET(report, seen, seen);
	report->result = BYOH_CHECK_SKIPPED;
	return 0;
}

int byoh_check_warn(struct byoh_check_report *report, const char *seen, ...)
{
	SET(report, seen, seen);
	report->result = BYOH_CHECK_WARN;
	return 0;
}

int byoh_check_fail(struct byoh_check_report *report, const char *seen, ...)
{
	SET(report, seen, seen);
	report->result = BYOH_CHECK_FAIL;
	return 0;
}

int byoh_check_remedy(struct byoh_check_report *report, const char *remedy, ...)
{
	SET(report, remedy, remedy);
	return 0;
}

static size_t count_checks(void)
{
	size_t count = 0;

	FOR_EACH_CHECK(check)
		count++;
	return count;
}

static bool is_known(const char *id, size_t length)
{
	if (length == 3 && !strncasecmp(id, "all", 3))
		return true;
	FOR_EACH_CHECK(check)
		if (strlen(check->id) == length && !strncasecmp(check->id, id, length))
			return true;
	return false;
}

/* Calls no function for an empty part: "a,,b" and a comma at the end are harmless. */
static const char *next_id(const char *list, size_t *ret_length)
{
	list += strspn(list, ", \t");
	*ret_length = strcspn(list, ", \t");
	return list;
}

bool byoh_preflight_is_ignored(const char *list, const char *id)
{
	size_t length;

	if (!list)
		return false;
	for (const char *at = next_id(list, &length); length; at = next_id(at + length, &length))
		if ((length == 3 && !strncasecmp(at, "all", 3)) ||
		    (length == strlen(id) && !strncasecmp(at, id, length)))
			return true;
	return false;
}

static int unknown_id(const char *id, size_t length, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer known = { 0 };

	FOR_EACH_CHECK(check)
		if (byoh_buffer_printf(&known, NULL, "%s%s", known.size ? ", " : "", check->id) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return byoh_fail(
		err, BYOH_ERROR_USAGE, EINVAL,
		"--ignore-preflight-errors: there is no check \"%.*s\"; there are: all, %s",
		(int)(length > 64 ? 64 : length), id, byoh_buffer_text(&known));
}

static int check_ignored(const char *list, struct byoh_error *err)
{
	size_t length;

	for (const char *at = next_id(list, &length); length; at = next_id(at + length, &length))
		if (!is_known(at, length))
			return unknown_id(at, length, err);
	return 0;
}

static void run_one(const struct byoh_plan_input *input, const struct byoh_check *check,
		    bool installed, struct byoh_check_report *report)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	report->id = check->id;
	if (check->live_only && !input->host->live) {
		byoh_check_skip(report, "looks at a running host only");
	} else if (check->fresh_only && installed) {
		byoh_check_skip(report, "this host carries a release already");
	} else if (check->run(input, report, &err) < 0) {
		byoh_check_fail(report, "cannot be checked: %.200s", err.message);
		byoh_check_remedy(
			report, "mend what the message says, or pass --ignore-preflight-errors %s",
			check->id);
	}
	if (report->result == BYOH_CHECK_PASS || report->result == BYOH_CHECK_SKIPPED)
		report->remedy[0] = 0;
}

int byoh_preflight_run(const struct byoh_plan_input *input, const char *ignored, bool installed,
		       struct byoh_preflight **ret, struct byoh_error *err)
{
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = calloc(1, sizeof(*preflight));
	int rc;

	if (preflight)
		preflight->reports = calloc(count_checks(), sizeof(*preflight->reports));
	if (!preflight || !preflight->reports)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (!ignored)
		ignored = "";
	rc = check_ignored(ignored, err);
	if (rc < 0)
		return rc;
	FOR_EACH_CHECK(check) {
		struct byoh_check_report *report = &preflight->reports[preflight->count++];

		run_one(input, check, installed, report);
		report->ignored = report->result == BYOH_CHECK_FAIL &&
				  byoh_preflight_is_ignored(ignored, check->id);
		if (report->result == BYOH_CHECK_FAIL && !report->ignored)
			preflight->failed++;
	}
	*ret = TAKE_PTR(preflight);
	return 0;
}

void byoh_preflight_free(struct byoh_preflight *preflight)
{
	if (!preflight)
		return;
	free(preflight->reports);
	free(preflight);
}

void byoh_preflight_freep(struct byoh_preflight **preflight)
{
	byoh_preflight_free(*preflight);
}
