/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preflight: is the host fit? Each check has an id (stable, for --ignore-preflight-errors), a result,
 * what it saw and what to do about it. A check reads; it changes nothing. Below --root only the checks
 * that look at files of that root run.
 */
#ifndef BYOH_INSTALLER_PREFLIGHT_PREFLIGHT_H
#define BYOH_INSTALLER_PREFLIGHT_PREFLIGHT_H

#include "installer/plan.h"

enum byoh_check_result { BYOH_CHECK_PASS, BYOH_CHECK_WARN, BYOH_CHECK_FAIL, BYOH_CHECK_SKIPPED };

struct byoh_check_report {
	const char *id;
	enum byoh_check_result result;
	bool ignored;	   /* failed, and the operator said to go on */
	char seen[256];	   /* "2 cores", "/dev/sda2 is active swap" */
	char remedy[256];  /* "" where it passed */
};

struct byoh_preflight {
	size_t count;
	struct byoh_check_report *reports;
	size_t failed; /* not ignored */
};

/* A row of the table of checks. run fills result, seen and remedy; a negative errno means that the check
 * itself could not be made and becomes a failed report with the error's words. */
struct byoh_check {
	const char *id;
	bool live_only;
	bool fresh_only; /* skipped where a release of ours is installed: what it finds may be ours */
	int (*run)(const struct byoh_plan_input *input, struct byoh_check_report *report,
		   struct byoh_error *err);
};

/* ignored: ids from --ignore-preflight-errors, ignored case, "all" allowed; an unknown id is
 * BYOH_ERROR_USAGE and lists the known ones. installed: this host carries a release of ours already, so
 * what it brought (containerd running, port 10250 bound by our kubelet, ...) is no obstacle. */
BYOH_MUST_CHECK int byoh_preflight_run(const struct byoh_plan_input *input, const char *ignored,
				       bool installed, struct byoh_preflight **ret,
				       struct byoh_error *err);
/* Is id in a list of that form? list may be NULL. */
bool byoh_preflight_is_ignored(const char *list, const char *id);
/* The one check that needs the payload: looked at by install when files are staged, before any change. */
#define BYOH_CHECK_ELF_NEEDS "elf-needs"
void byoh_preflight_free(struct byoh_preflight *preflight);
void byoh_preflight_freep(struct byoh_preflight **preflight);
#define CLEANUP_PREFLIGHT __attribute__((cleanup(byoh_preflight_freep)))

#endif
