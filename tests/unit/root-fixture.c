/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/root-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

void test_root_make(struct test_root *root)
{
	const char *parent = getenv("TMPDIR");
	int length = snprintf(root->path, sizeof(root->path), "%s/byoh-root-XXXXXX",
			      parent ? parent : "/tmp");

	assert_true(length > 0 && (size_t)length < sizeof(root->path));
	assert_non_null(mkdtemp(root->path));
	root->fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root->fd >= 0);
}

void test_root_remove(struct test_root *root)
{
	char *slash = strrchr(root->path, '/');
	CLEANUP_FD int parent = -1;

	*slash = '\0';
	parent = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(parent >= 0);
	assert_int_equal(byoh_remove_tree(parent, slash + 1, NULL), 0);
	close(root->fd);
}

int test_root_set_up(void **state)
{
	static struct test_root root;

	test_root_make(&root);
	*state = &root;
	return 0;
}

int test_root_tear_down(void **state)
{
	test_root_remove(*state);
	return 0;
}

static void make_parents(const struct test_root *root, const char *path)
{
	char parent[BYOH_PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	if (parent[0])
		assert_int_equal(byoh_make_directories(root->fd, parent, 0755, NULL), 0);
}

void test_root_put(const struct test_root *root, const char *path, const char *text, mode_t mode)
{
	make_parents(root, path);
	assert_int_equal(byoh_write_file(root->fd, path, text, strlen(text), mode, NULL), 0);
}

void test_root_put_link(const struct test_root *root, const char *path, const char *target)
{
	make_parents(root, path);
	assert_int_equal(byoh_write_link(root->fd, path, target, NULL), 0);
}
