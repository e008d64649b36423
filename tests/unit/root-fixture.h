/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that stands for a host's root, for one test. Whatever fails, fails the test. */
#ifndef BYOH_TESTS_ROOT_FIXTURE_H
#define BYOH_TESTS_ROOT_FIXTURE_H

#include <sys/types.h>

struct test_root {
	char path[128];
	int fd; /* O_PATH */
};

void test_root_make(struct test_root *root);
void test_root_remove(struct test_root *root);
/* For cmocka: *state is the root. */
int test_root_set_up(void **state);
int test_root_tear_down(void **state);
/* path begins with a slash; missing folders above are made. */
void test_root_put(const struct test_root *root, const char *path, const char *text, mode_t mode);
void test_root_put_link(const struct test_root *root, const char *path, const char *target);

#endif
