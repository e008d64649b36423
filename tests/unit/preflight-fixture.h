/* SPDX-License-Identifier: Apache-2.0 */
/* A host, a bundle and a config that fit together; tests of the preflight checks spoil one thing each. */
#ifndef BYOH_TESTS_PREFLIGHT_FIXTURE_H
#define BYOH_TESTS_PREFLIGHT_FIXTURE_H

#include "installer/preflight/checks.h"
#include "installer/preflight/preflight.h"
#include "tests/unit/root-fixture.h"

struct preflight_fixture {
	struct test_root root;
	struct byoh_host host;
	struct byoh_config config;
	struct byoh_manifest manifest;
	struct byoh_image pause;
	struct byoh_index index;
	struct byoh_plan_input input;
};

/* For cmocka: *state is the fixture. */
int preflight_set_up(void **state);
int preflight_tear_down(void **state);

/* What the bundle brings: a node's programs, without the one at that path (NULL: all), or a web page. */
void preflight_use_node_files(struct preflight_fixture *f, const char *without);
void preflight_use_plain_files(struct preflight_fixture *f);

/* The check itself, without the runner's rules about running hosts and first installs. */
struct byoh_check_report preflight_run_check(const struct preflight_fixture *f, const char *id);
/* Fails the test unless the check says so, and a remedy where there is something to do. */
void preflight_expect(const struct preflight_fixture *f, const char *id,
		      enum byoh_check_result result, const char *seen);

#endif
