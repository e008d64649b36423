/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/preflight/elf.h"
#include "tests/unit/root-fixture.h"

/* This program itself, in an empty root. */
static struct byoh_buffer own_program(const struct test_root *root)
{
	struct byoh_buffer bytes = { 0 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0 && !fstat(fd, &st));
	assert_int_equal(byoh_buffer_reserve(&bytes, (size_t)st.st_size, NULL), 0);
	bytes.size = (size_t)st.st_size;
	assert_int_equal(byoh_pread_all(fd, bytes.data, bytes.size, 0, NULL), 0);
	close(fd);
	assert_int_equal(byoh_write_file(root->fd, "/program", bytes.data, bytes.size, 0755, NULL), 0);
	return bytes;
}

static void test_elf_needs(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = own_program(root), missing = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_elf_needs needs;

	assert_int_equal(byoh_elf_read_needs(bytes.data, bytes.size, &needs, &err), 0);
	assert_non_null(needs.interpreter);
	assert_true(needs.count >= 2);
	assert_int_equal(byoh_preflight_elf(root->fd, "/program", &missing, &err), 0);
	assert_non_null(strstr(byoh_buffer_text(&missing), needs.interpreter));
	assert_non_null(strstr(byoh_buffer_text(&missing), "libcmocka.so.0"));
	assert_non_null(strstr(byoh_buffer_text(&missing), ", libc.so.6"));

	/* each found in another of the places where loaders look */
	test_root_put(root, needs.interpreter, "", 0755);
	test_root_put(root, "/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0644);
	test_root_put(root, "/etc/ld.so.conf.d/site.conf", "# libraries\n/opt/site/lib\n", 0644);
	for (size_t i = 0; i < needs.count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", i % 2 ? "/opt/site/lib" : "/usr/lib",
			 needs.libraries[i]);
		test_root_put(root, path, "", 0644);
	}
	missing.size = 0;
	missing.data[0] = 0;
	assert_int_equal(byoh_preflight_elf(root->fd, "/program", &missing, &err), 0);
	assert_string_equal(byoh_buffer_text(&missing), "");
}

static void test_elf_that_needs_nothing(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer missing = { 0 };
	unsigned char small[sizeof(Elf64_Ehdr)] = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB };

	test_root_put(root, "/script",
		      "#!/bin/sh\nexit 0\n# long enough to be taken for a program's header, but it is none\n",
		      0755);
	test_root_put(root, "/empty", "", 0755);
	assert_int_equal(byoh_write_file(root->fd, "/small", small, sizeof(small), 0755, NULL), 0);
	assert_int_equal(byoh_preflight_elf(root->fd, "/script", &missing, NULL), 0);
	assert_int_equal(byoh_preflight_elf(root->fd, "/empty", &missing, NULL), 0);
	assert_int_equal(byoh_preflight_elf(root->fd, "/small", &missing, NULL), 0);
	assert_string_equal(byoh_buffer_text(&missing), "");
	assert_int_equal(byoh_preflight_elf(root->fd, "/absent", &missing, NULL), -ENOENT);
}

/* The sanitizers watch; no answer but 0 or -EBADMSG is right. */
static void expect_no_harm(const char *bytes, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct byoh_elf_needs needs;
	int rc;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	rc = byoh_elf_read_needs(exact, size, &needs, NULL);
	assert_true(rc == 0 || rc == -EBADMSG);
	for (size_t i = 0; rc == 0 && i < needs.count; i++)
		assert_true(strlen(needs.libraries[i]) <= BYOH_ELF_NAME_MAX);
	free(exact);
}

static void test_hostile_elf(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = own_program(root);
	static const uint64_t values[] = {
		0, 1, 0x7fffffff, UINT64_MAX, UINT64_MAX - 7, INT64_MAX
	};
	size_t refused = 0, header = sizeof(Elf64_Ehdr) + 16 * sizeof(Elf64_Phdr);

	for (size_t size = 0; size < 2048; size++)
		expect_no_harm(bytes.data, size);
	/* every eight bytes of both headers in turn; what lies behind is cut, to be quick under
	 * sanitizers */
	for (size_t at = 16; at + 8 <= header; at += 4) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			char before[8];
			struct byoh_elf_needs needs;

			memcpy(before, bytes.data + at, 8);
			memcpy(bytes.data + at, &values[i], 8);
			expect_no_harm(bytes.data, bytes.size < 65536 ? bytes.size : 65536);
			refused += byoh_elf_read_needs(bytes.data, bytes.size, &needs, NULL) ==
				   -EBADMSG;
			memcpy(bytes.data + at, before, 8);
		}
	}
	assert_true(refused > 10);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(test_elf_needs),
		WITH_ROOT(test_elf_that_needs_nothing),
		WITH_ROOT(test_hostile_elf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
