/* SPDX-License-Identifier: Apache-2.0 */
/* Which mounts lie below a path: what is taken for one is unmounted, what is missed is deleted into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/mounts.h"

static void below_ends_at_names(void **state)
{
	static const struct {
		const char *point, *path;
		bool below;
	} cases[] = {
		{ "/var/lib/kubelet", "/var/lib/kubelet", true },
		{ "/var/lib/kubelet/pods/x/volumes", "/var/lib/kubelet", true },
		{ "/var/lib/kubelet2", "/var/lib/kubelet", false },
		{ "/var/lib", "/var/lib/kubelet", false },
		{ "/", "/var/lib/kubelet", false },
		{ "/mnt/var/lib/kubelet", "/var/lib/kubelet", false },
		/* only what is in it: the folder may be a file system of its own */
		{ "/var/lib/kubelet", "/var/lib/kubelet/", false },
		{ "/var/lib/kubelet/pods", "/var/lib/kubelet/", true },
		{ "/run/netns/cni-1234", "/run/netns/cni-", true },
		{ "/run/netns/mine", "/run/netns/cni-", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (byoh_mount_is_below(cases[i].point, cases[i].path) != cases[i].below)
			fail_msg("%s below %s", cases[i].point, cases[i].path);
}

static void the_fifth_field_is_the_mount_point(void **state)
{
	static const struct {
		const char *line, *point;
	} cases[] = {
		{ "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n", "/mnt2" },
		{ "36 35 98:0 / /a\\040b\\011c rw - tmpfs tmpfs rw\n", "/a b\tc" },
		{ "36 35 98:0 / /back\\134slash rw - tmpfs tmpfs rw\n", "/back\\slash" },
		{ "36 35 98:0 / /not\\09octal rw - tmpfs tmpfs rw\n", "/not\\09octal" },
		{ "36 35 98:0 / /end\\04", "/end\\04" },
		{ "36 35 98:0 / /end\\", "/end\\" },
		{ "36 35 98:0 / \n", "" },
		{ "36 35 98:0 /\n", NULL },
		{ "36", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *line = strdup(cases[i].line);
		const char *point = byoh_mount_point_of(line);

		if (!cases[i].point)
			assert_null(point);
		else
			assert_string_equal(point, cases[i].point);
	}
}

/* The running kernel's own list, of which /proc is a part wherever this runs. */
static void the_kernels_list_is_understood(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_true(byoh_mounts_count("/proc", &err) > 0);
	assert_int_equal(byoh_mounts_count("/proc/self", &err), 0);
	assert_true(byoh_mounts_refuse("/proc", &err) < 0);
	assert_non_null(strstr(err.message, "/proc"));
	assert_int_equal(byoh_mounts_refuse("/nothing/is/here", NULL), 0);
	assert_int_equal(byoh_mounts_release("/nothing/is/here", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below_ends_at_names),
		cmocka_unit_test(the_fifth_field_is_the_mount_point),
		cmocka_unit_test(the_kernels_list_is_understood),
	};

	return cmocka_run_group_tests_name("mounts", tests, NULL, NULL);
}
