/* SPDX-License-Identifier: Apache-2.0 */
/* How long is waited for block devices that are still to come: no second of it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "installer/disk/quiet.h"
#include "tests/unit/root-fixture.h"

#define REST 500

/* A machine whose devices change at the given milliseconds since its kernel started; 0 ends the list. */
struct machine {
	uint64_t now, busy_until, cancelled_at, every;
	uint64_t changes[8];
};

static uint64_t now(void *context)
{
	const struct machine *machine = context;

	return machine->now;
}

static bool look(void *context, uint64_t *ret)
{
	const struct machine *machine = context;

	*ret = machine->every ? machine->now / machine->every : 0;
	for (size_t i = 0; machine->changes[i]; i++)
		*ret += machine->now >= machine->changes[i];
	return machine->now >= machine->busy_until;
}

static bool rest(void *context)
{
	struct machine *machine = context;

	machine->now += REST;
	return !machine->cancelled_at || machine->now < machine->cancelled_at;
}

static void waits_until(struct machine machine, enum byoh_quiet expected, uint64_t end)
{
	const struct byoh_quiet_world world = { now, look, rest, &machine };

	assert_int_equal(byoh_quiet_await(&world), expected);
	if (machine.now < end || machine.now > end + REST)
		fail_msg("it ended at %llu ms, not at %llu", (unsigned long long)machine.now, (unsigned long long)end);
}

static void five_quiet_seconds_are_enough(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 90000 }, BYOH_QUIET, 95000);
}

static void nothing_is_chosen_in_the_first_half_minute(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 10000 }, BYOH_QUIET, 30000);
	/* One that is up at 2 s, and a RAID volume at 25 s. */
	waits_until((struct machine){ .now = 12000, .changes = { 2000, 25000 } }, BYOH_QUIET, 30000);
}

static void each_that_comes_is_waited_for_anew(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 40000, .changes = { 44000, 48500, 53000 } }, BYOH_QUIET, 58000);
	waits_until((struct machine){ .now = 20000, .changes = { 29000 } }, BYOH_QUIET, 34000);
	/* It comes too late for anybody. */
	waits_until((struct machine){ .now = 40000, .changes = { 46000 } }, BYOH_QUIET, 45000);
}

static void what_udev_still_looks_at_is_no_quiet(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 40000, .busy_until = 52000 }, BYOH_QUIET, 57000 - REST);
}

static void it_ends_after_a_minute(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 40000, .every = 3000 }, BYOH_QUIET_NEVER, 100000);
	waits_until((struct machine){ .now = 40000, .busy_until = UINT64_MAX }, BYOH_QUIET_NEVER, 100000);
	waits_until((struct machine){ .now = 1000, .every = 3000 }, BYOH_QUIET_NEVER, 61000);
}

static void it_can_be_interrupted(void **state)
{
	(void)state;
	waits_until((struct machine){ .now = 40000, .cancelled_at = 42000 }, BYOH_QUIET_CANCELLED, 42000);
}

static uint64_t seen(const struct test_root *root)
{
	uint64_t sum;

	assert_true(byoh_quiet_look(root->fd, &sum));
	return sum;
}

static void a_change_of_the_devices_is_seen(void **state)
{
	const struct test_root *root = *state;
	uint64_t empty = seen(root), one, two, other, bigger, known, named;

	test_root_put(root, "/sys/class/block/sda/size", "1000\n", 0644);
	one = seen(root);
	assert_int_equal(one, seen(root));
	test_root_put(root, "/sys/class/block/sdb/size", "0\n", 0644);
	two = seen(root);
	test_root_put(root, "/sys/class/block/sdb/size", "2000\n", 0644);
	bigger = seen(root);
	test_root_put(root, "/run/udev/data/b8:0", "E:ID_MODEL=X\n", 0644);
	known = seen(root);
	test_root_put(root, "/run/udev/data/n2", "E:ID_NET_NAME=eth0\n", 0644);
	other = seen(root);
	test_root_put(root, "/run/udev/data/b8:16", "E:ID_FS_LABEL=BYOHCFG\n", 0644);
	named = seen(root);
	assert_int_not_equal(empty, one);
	assert_int_not_equal(one, two);
	assert_int_not_equal(two, bigger);
	assert_int_not_equal(bigger, known);
	assert_int_equal(known, other); /* a network port is no disk */
	assert_int_not_equal(other, named);
}

static void udevs_queue_is_seen(void **state)
{
	const struct test_root *root = *state;
	uint64_t sum;

	assert_true(byoh_quiet_look(root->fd, &sum));
	test_root_put(root, "/run/udev/queue", "", 0644);
	assert_false(byoh_quiet_look(root->fd, &sum));
}

#define IN_ROOT(function) cmocka_unit_test_setup_teardown(function, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_quiet_seconds_are_enough),
		cmocka_unit_test(nothing_is_chosen_in_the_first_half_minute),
		cmocka_unit_test(each_that_comes_is_waited_for_anew),
		cmocka_unit_test(what_udev_still_looks_at_is_no_quiet),
		cmocka_unit_test(it_ends_after_a_minute),
		cmocka_unit_test(it_can_be_interrupted),
		IN_ROOT(a_change_of_the_devices_is_seen),
		IN_ROOT(udevs_queue_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
