/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: steps as data, made by pure functions from the config, the facts about the host and the
 * bundle's manifest and index. plan, install, status and the lifecycle verbs are short functions over
 * it. Planning touches nothing.
 */
#ifndef BYOH_INSTALLER_PLAN_H
#define BYOH_INSTALLER_PLAN_H

#include "bundle/index.h"
#include "bundle/manifest.h"
#include "bundle/trust.h"
#include "installer/action.h"
#include "installer/config.h"
#include "installer/host.h"

struct byoh_ledger;
struct byoh_progress;
struct byoh_upgrade;

struct byoh_step {
	const char *name;	/* "sysctl": a word of the table, stable, for --json and journals */
	char *sentence;		/* what it does, for people: "Set 6 kernel parameters for containers" */
	size_t action_count;
	struct byoh_action *actions;
};

struct byoh_plan {
	size_t step_count;
	struct byoh_step *steps;
};

/* What step builders see. All borrowed. */
struct byoh_plan_input {
	const struct byoh_public_key *pins; /* keys that the host trusts from now on */
	size_t pin_count;
	const struct byoh_config *config;
	const struct byoh_host *host;
	const struct byoh_manifest *manifest;
	const struct byoh_index *index;
	const struct byoh_digest *release_id; /* the bundle's id; NULL where there is no bundle */
	const struct byoh_ledger *ledger; /* what was there before us; NULL: nothing of ours is there */
	const struct byoh_upgrade *upgrade; /* from what is installed; NULL: nothing is */
	const char *pod_cidr, *pod_cidr_source; /* of this node, where cni asks for it; NULL or "": not known */
	bool adopt_node;		  /* the operator gives the agent a host that is a node already */
	bool thorough;			  /* the check reads every file */
	const struct byoh_progress *progress; /* of a thorough check; may be NULL */
};

/* A row of the table of steps (installer/steps/steps.h). build adds actions to step and sets its
 * sentence; a step without actions is left out of the plan. */
struct byoh_step_kind {
	const char *name;
	int (*build)(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err);
};

/* All steps in order of execution. */
BYOH_MUST_CHECK int byoh_plan_make(const struct byoh_plan_input *input, struct byoh_plan **ret,
				   struct byoh_error *err);
void byoh_plan_free(struct byoh_plan *plan);
void byoh_plan_freep(struct byoh_plan **plan);
#define CLEANUP_PLAN __attribute__((cleanup(byoh_plan_freep)))

/* Puts a step (taken) in front, but behind the tool of the new release, which can undo all that follows. One
 * without actions is dropped. */
BYOH_MUST_CHECK int byoh_plan_add_early(struct byoh_plan *plan, struct byoh_step *step,
					struct byoh_error *err);
/* The same at the end. */
BYOH_MUST_CHECK int byoh_plan_add(struct byoh_plan *plan, struct byoh_step *step, struct byoh_error *err);

/* What the builders put into a step. */
void byoh_step_release(struct byoh_step *step);

/* For step builders: each adds one action to the step. Strings and bytes are copied. A path begins with
 * "/". *ret (may be NULL) points to the action until the next one is added. */
BYOH_MUST_CHECK int byoh_step_sentence(struct byoh_step *step, struct byoh_error *err, const char *fmt, ...)
	BYOH_PRINTF(3, 4);
BYOH_MUST_CHECK int byoh_step_directory(struct byoh_step *step, const char *path, mode_t mode, bool strict,
					struct byoh_error *err);
BYOH_MUST_CHECK int byoh_step_file(struct byoh_step *step, const char *path, mode_t mode,
				   const char *content, size_t size, struct byoh_action **ret,
				   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_step_bundle_file(struct byoh_step *step, const struct byoh_file *file,
					  struct byoh_action **ret, struct byoh_error *err);
/* A regular file once more at another path. */
BYOH_MUST_CHECK int byoh_step_bundle_copy(struct byoh_step *step, const struct byoh_file *file, const char *path,
					  struct byoh_action **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_step_link(struct byoh_step *step, const char *path, const char *target,
				   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_step_remove(struct byoh_step *step, const char *path, struct byoh_error *err);
/* module, sysctl, swap, host name, reload, image, relabel; value may be NULL */
BYOH_MUST_CHECK int byoh_step_other(struct byoh_step *step, enum byoh_action_kind kind,
				    const char *subject, const char *value, struct byoh_action **ret,
				    struct byoh_error *err);
/* started: the unit runs afterwards; restart_on is copied, may be NULL, ends with NULL. Enabling is a
 * link (byoh_step_enable), so that it works below --root too. */
BYOH_MUST_CHECK int byoh_step_unit(struct byoh_step *step, const char *unit, bool started,
				   const char *const *restart_on, struct byoh_error *err);
/* /etc/systemd/system/<target>.wants/<unit> -> <unit_directory>/<unit> */
BYOH_MUST_CHECK int byoh_step_enable(struct byoh_step *step, const char *unit, const char *unit_directory,
				     const char *target, struct byoh_error *err);

struct byoh_json;
/* The field "upgrade" of a plan's JSON, where another release is installed. */
void byoh_plan_json_upgrade(struct byoh_json *json, const struct byoh_plan *plan,
			    const struct byoh_plan_input *input);
/* The plan as JSON for --json and install --plan: digests, never contents. */
BYOH_MUST_CHECK int byoh_plan_json(const struct byoh_plan *plan, const struct byoh_plan_input *input,
				   struct byoh_buffer *ret, struct byoh_error *err);

#endif
