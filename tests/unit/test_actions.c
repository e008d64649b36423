/* SPDX-License-Identifier: Apache-2.0 */
/* Actions on what runs, in namespaces of the test's own, with a systemctl that writes down what it is
 * told and what the unit's file was at that moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/state.h"
#include "installer/transaction.h"
#include "tests/unit/tree-snapshot.h"

#define TOOLS "/usr/local/sbin" /* first in the PATH of programs that are run */
#define NO_RIGHTS 2

static const char systemctl[] =
	"#!/bin/sh\n"
	"cd " TOOLS "\n"
	"for last; do :; done\n"
	"case $1 in\n"
	"show) active=inactive; [ ! -e active-$last ] || active=active\n"
	"      echo ActiveState=$active; cat condition-$last 2>/dev/null || :\n"
	"      [ ! -e flaps-$last ] || { read -r n <flaps-$last; echo NRestarts=$n; echo $((n + 1)) >flaps-$last; }\n"
	"      exit;;\n"
	"start|restart) echo \"$1 $last $(cat root/etc/unit)\" >>log\n"
	"      [ ! -e broken-$last ] || exit 1; : >active-$last;;\n"
	"stop) echo \"$1 $last $(cat root/etc/unit)\" >>log; rm -f active-$last;;\n"
	"--no-block) echo \"$1 $2 $last $(cat root/etc/unit)\" >>log;;\n"
	"*) echo \"$1 $(cat root/etc/unit)\" >>log;;\n"
	"esac\n";

/* In the child assertions must end it, not go on with the next test. */
#define CHECK(holds)                                                                     \
	do {                                                                             \
		if (!(holds)) {                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds);      \
			_exit(1);                                                        \
		}                                                                        \
	} while (0)

static void put(const char *path, const char *text, mode_t mode)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	CHECK(fd >= 0);
	CHECK(byoh_write_all(fd, text, strlen(text), NULL) == 0);
	CHECK(fchmod(fd, mode) == 0);
}

static void check_log(const char *wanted)
{
	CLEANUP_BUFFER struct byoh_buffer log = { 0 };
	CLEANUP_FD int root = open(TOOLS, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (byoh_exists_beneath(root, "log"))
		CHECK(byoh_read_file(root, "log", 1 << 16, &log, NULL) == 0);
	if (strcmp(byoh_buffer_text(&log), wanted) != 0) {
		fprintf(stderr, "log:\n%s\nwanted:\n%s\n", byoh_buffer_text(&log), wanted);
		_exit(1);
	}
	CHECK(byoh_remove_file(root, "log", NULL) == 0);
}

struct world {
	struct byoh_host host;
	struct byoh_plan_input plan_input;
	struct byoh_step step;
	struct byoh_plan plan;
	struct byoh_transaction_input input;
};

/* A host whose unit file says "old". */
static void make_world(struct world *world)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", TOOLS, "tmpfs", 0, "mode=755") < 0)
		_exit(NO_RIGHTS);
	put(TOOLS "/systemctl", systemctl, 0755);
	CHECK(mkdir(TOOLS "/root", 0755) == 0 && mkdir(TOOLS "/root/etc", 0755) == 0);
	put(TOOLS "/root/etc/unit", "old", 0644);
	CHECK(sethostname("before", 6) == 0);
	*world = (struct world){ .step = { .name = "services" } };
	world->host.root = strdup(TOOLS "/root");
	world->host.root_fd = open(TOOLS "/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	world->host.live = world->host.systemd_running = true;
	world->plan_input.host = &world->host;
	world->plan = (struct byoh_plan){ .step_count = 1, .steps = &world->step };
	world->input = (struct byoh_transaction_input){
		.plan_input = &world->plan_input, .plan = &world->plan, .verb = "install",
	};
}

static void plan_services(struct world *world)
{
	static const char *const list[] = { "/etc/unit", NULL };
	struct byoh_step *step = &world->step;

	CHECK(byoh_step_file(step, "/etc/unit", 0644, "new", 3, NULL, NULL) == 0);
	CHECK(byoh_step_other(step, BYOH_ACTION_RELOAD, "systemd", NULL, NULL, NULL) == 0);
	CHECK(byoh_step_other(step, BYOH_ACTION_HOSTNAME, "after", NULL, NULL, NULL) == 0);
	CHECK(byoh_step_other(step, BYOH_ACTION_SYSCTL, "kernel.domainname", "example.org", NULL, NULL) == 0);
	CHECK(byoh_step_unit(step, "ran.service", true, list, NULL) == 0);
	CHECK(byoh_step_unit(step, "fresh.service", true, list, NULL) == 0);
	CHECK(byoh_step_unit(step, "last.service", true, NULL, NULL) == 0);
	put(TOOLS "/active-ran.service", "", 0644);
}

static size_t count_changes(struct world *world)
{
	size_t changes = 0;

	CHECK(byoh_plan_check(&world->plan, &world->plan_input, &changes, NULL) == 0);
	return changes;
}

static void check_names(const char *host_name, const char *domain_name)
{
	char name[128] = "";

	CHECK(gethostname(name, sizeof(name)) == 0 && strcmp(name, host_name) == 0);
	CHECK(getdomainname(name, sizeof(name)) == 0 && strcmp(name, domain_name) == 0);
}

static void services_are_started_and_restarted(struct world *world)
{
	CLEANUP_STATE struct byoh_state *installed = NULL;

	plan_services(world);
	CHECK(count_changes(world) == 7);
	CHECK(byoh_transaction_run(&world->input, NULL) == 0);
	check_log("daemon-reload new\nrestart ran.service new\nrestart fresh.service new\n"
		  "start last.service new\n");
	check_names("after", "example.org");
	CHECK(byoh_state_read(&world->host, &installed, NULL) == 0 && installed->settled);
	CHECK(count_changes(world) == 0);
	CHECK(byoh_transaction_run(&world->input, NULL) == 0);
	check_log("");
}

static void a_failed_start_is_undone(struct world *world)
{
	CLEANUP_BUFFER struct byoh_buffer before = { 0 }, after = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	plan_services(world);
	put(TOOLS "/broken-last.service", "", 0644);
	tree_snapshot(TOOLS "/root", &before);
	check_names("before", "(none)");
	CHECK(byoh_transaction_run(&world->input, &err) < 0);
	CHECK(strstr(err.message, "cannot start last.service"));
	CHECK(strstr(err.message, "the host is as before"));
	/* fresh.service goes before its file does; what ran is started when the old file is back. */
	check_log("daemon-reload new\nrestart ran.service new\nrestart fresh.service new\n"
		  "start last.service new\nstop fresh.service new\ndaemon-reload old\n"
		  "restart ran.service old\n");
	check_names("before", "(none)");
	tree_snapshot(TOOLS "/root", &after);
	CHECK(strcmp(byoh_buffer_text(&before), byoh_buffer_text(&after)) == 0);
}

static void a_service_that_does_not_stay_up_is_undone(struct world *world)
{
	CLEANUP_BUFFER struct byoh_buffer before = { 0 }, after = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	plan_services(world);
	put(TOOLS "/flaps-ran.service", "0\n", 0644);
	tree_snapshot(TOOLS "/root", &before);
	CHECK(byoh_transaction_run(&world->input, &err) < 0);
	CHECK(strstr(err.message, "ran.service does not stay up"));
	CHECK(strstr(err.message, "the host is as before"));
	tree_snapshot(TOOLS "/root", &after);
	CHECK(strcmp(byoh_buffer_text(&before), byoh_buffer_text(&after)) == 0);
}

static void a_service_that_failed_before_is_not_judged(struct world *world)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	plan_services(world);
	put(TOOLS "/flaps-ran.service", "7\n", 0644);
	CHECK(byoh_transaction_run(&world->input, &err) == 0);
}

static void a_unit_that_waits_for_its_condition_is_done(struct world *world)
{
	CHECK(byoh_step_unit(&world->step, "waits.service", true, NULL, NULL) == 0);
	put(TOOLS "/condition-waits.service", "ConditionResult=no\nConditionTimestampMonotonic=0\n", 0644);
	CHECK(count_changes(world) == 1);
	put(TOOLS "/condition-waits.service", "ConditionResult=no\nConditionTimestampMonotonic=77\n", 0644);
	CHECK(count_changes(world) == 0);
	put(TOOLS "/condition-waits.service", "ConditionResult=yes\nConditionTimestampMonotonic=77\n", 0644);
	CHECK(count_changes(world) == 1);
}

/* It may take away the unit that started it: to stop that one would be to stop itself, in the middle. */
static void a_run_does_not_stop_itself(struct world *world)
{
	CHECK(byoh_step_file(&world->step, "/etc/unit", 0644, "new", 3, NULL, NULL) == 0);
	CHECK(byoh_step_unit(&world->step, "own.service", false, NULL, NULL) == 0);
	CHECK(byoh_step_unit(&world->step, "other.service", false, NULL, NULL) == 0);
	put(TOOLS "/active-own.service", "", 0644);
	put(TOOLS "/active-other.service", "", 0644);
	world->host.own_unit = (char *)"own.service";
	CHECK(byoh_transaction_run(&world->input, NULL) == 0);
	check_log("stop other.service new\n");
}

static void modules_that_are_there_are_left_alone(struct world *world)
{
	CHECK(byoh_step_other(&world->step, BYOH_ACTION_MODULE, "proc", NULL, NULL, NULL) == 0);
	CHECK(byoh_step_other(&world->step, BYOH_ACTION_MODULE, "no-such-module", NULL, NULL, NULL) == 0);
	CHECK(count_changes(world) == 1);
	CHECK(world->step.actions[0].state == BYOH_STATE_SAME);
	CHECK(world->step.actions[1].state == BYOH_STATE_ABSENT);
}

/* The boot has read the new files, and wants to start what they enable. */
static void after_a_reboot_no_service_is_started(struct world *world)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	bool settled = false;
	pid_t pid;
	int status;

	CHECK(byoh_step_link(&world->step, "/etc/multi-user.target.wants/fresh.service", "/etc/unit", NULL) == 0);
	plan_services(world);
	put(TOOLS "/root/boot_id", "11111111-2222-3333-4444-555555555555\n", 0444);
	CHECK(mount(TOOLS "/root/boot_id", "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL) == 0);
	/* The run is killed while it restarts the first unit. */
	pid = fork();
	if (pid == 0) {
		char script[64];

		snprintf(script, sizeof(script), "#!/bin/sh\nkill -9 %ld\n", (long)getpid());
		put(TOOLS "/restart-hook", script, 0755);
		put(TOOLS "/systemctl", "#!/bin/sh\ncase $1 in restart) exec " TOOLS "/restart-hook;;\n"
					"show) echo ActiveState=active;; esac\n", 0755);
		(void)!byoh_transaction_run(&world->input, NULL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	put(TOOLS "/systemctl", systemctl, 0755);
	CHECK(umount("/proc/sys/kernel/random/boot_id") == 0);
	CHECK(byoh_transaction_recover(&world->host, NULL, &settled, &err) == 0);
	CHECK(settled);
	check_log("daemon-reload old\n--no-block stop fresh.service old\n");
	check_names("before", "(none)");
	CHECK(!byoh_exists_beneath(world->host.root_fd, "/var"));
}

static void run_in_namespaces(void (*test)(struct world *world))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct world world;

		make_world(&world);
		test(&world);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_RIGHTS) {
		printf("SKIP actions on what runs: no right to make namespaces\n");
		skip();
	}
	assert_int_equal(status, 0);
}

#define IN_NAMESPACES(name)               \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		run_in_namespaces(name);      \
	}

IN_NAMESPACES(services_are_started_and_restarted)
IN_NAMESPACES(a_failed_start_is_undone)
IN_NAMESPACES(a_service_that_does_not_stay_up_is_undone)
IN_NAMESPACES(a_service_that_failed_before_is_not_judged)
IN_NAMESPACES(a_unit_that_waits_for_its_condition_is_done)
IN_NAMESPACES(a_run_does_not_stop_itself)
IN_NAMESPACES(modules_that_are_there_are_left_alone)
IN_NAMESPACES(after_a_reboot_no_service_is_started)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_are_started_and_restarted),
		cmocka_unit_test(test_a_failed_start_is_undone),
		cmocka_unit_test(test_a_service_that_does_not_stay_up_is_undone),
		cmocka_unit_test(test_a_service_that_failed_before_is_not_judged),
		cmocka_unit_test(test_a_unit_that_waits_for_its_condition_is_done),
		cmocka_unit_test(test_a_run_does_not_stop_itself),
		cmocka_unit_test(test_modules_that_are_there_are_left_alone),
		cmocka_unit_test(test_after_a_reboot_no_service_is_started),
	};

	return cmocka_run_group_tests_name("actions", tests, NULL, NULL);
}
