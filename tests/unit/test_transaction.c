/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions on a temporary root: what a run leaves, and that a failed, interrupted or killed one leaves
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/pack.h"
#include "installer/lock.h"
#include "installer/state.h"
#include "installer/transaction.h"
#include "tests/unit/tree-snapshot.h"

#define KILLED 77 /* exit status of a child that "SIGKILL" met */

struct fixture {
	char folder[64]; /* holds the root and what is not of the host */
	char root[80];
	struct byoh_host host;
	struct byoh_plan_input plan_input;
	struct byoh_plan plan;
	struct byoh_transaction_input input;
	struct byoh_observer observer;
	atomic_bool cancel;
	size_t notes;	   /* actions seen */
	size_t fail_at;	   /* lose the staged file of that one, counted from 1 */
	size_t cancel_at, die_at;
	bool lose_first;   /* lose the staged file of action 0 */
	size_t warnings;
};

static void write_text(const struct fixture *fixture, const char *path, const char *text, mode_t mode)
{
	char full[256];
	CLEANUP_FD int fd = -1;

	snprintf(full, sizeof(full), "%s%s", fixture->root, path);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(byoh_write_all(fd, text, strlen(text), NULL), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void assert_text(const struct fixture *fixture, const char *path, const char *text)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };

	assert_int_equal(byoh_read_file(fixture->host.root_fd, path, 1 << 20, &bytes, NULL), 0);
	assert_string_equal(byoh_buffer_text(&bytes), text);
}

static void on_note(void *context, const char *message)
{
	struct fixture *fixture = context;
	char path[256];

	(void)message;
	fixture->notes++;
	if (fixture->notes == fixture->cancel_at)
		atomic_store(&fixture->cancel, true);
	if (fixture->notes == fixture->die_at)
		_exit(KILLED);
	if (fixture->lose_first)
		(void)!byoh_remove_file(fixture->host.root_fd, BYOH_HOME "/staging/0", NULL);
	if (fixture->notes != fixture->fail_at)
		return;
	snprintf(path, sizeof(path), "%s" BYOH_HOME "/staging", fixture->root);
	tree_remove(path);
}

static struct byoh_step *add_step(struct fixture *fixture, const char *name)
{
	struct byoh_plan *plan = &fixture->plan;

	plan->steps = reallocarray(plan->steps, plan->step_count + 1, sizeof(*plan->steps));
	assert_non_null(plan->steps);
	plan->steps[plan->step_count] = (struct byoh_step){ .name = name };
	return &plan->steps[plan->step_count++];
}

static void add_file(struct byoh_step *step, const char *path, const char *text)
{
	assert_int_equal(byoh_step_file(step, path, 0640, text, strlen(text), NULL, NULL), 0);
}

/* Every kind that works below a root, on things that are there and things that are not. */
static void make_plan(struct fixture *fixture)
{
	struct byoh_step *step = add_step(fixture, "first");

	assert_int_equal(byoh_step_directory(step, "/opt/cni/bin", 0755, false, NULL), 0);
	add_file(step, "/opt/cni/bin/bridge", "new bridge");
	add_file(step, "/etc/old.conf", "new conf");
	assert_int_equal(byoh_step_directory(step, "/etc/strict", 0700, true, NULL), 0);
	step = add_step(fixture, "second");
	assert_int_equal(byoh_step_link(step, "/etc/systemd/system/x.target.wants/y.service",
					"/usr/local/lib/systemd/system/y.service", NULL), 0);
	assert_int_equal(byoh_step_link(step, "/etc/link", "new-target", NULL), 0);
	assert_int_equal(byoh_step_remove(step, "/etc/gone", NULL), 0);
	assert_int_equal(byoh_step_other(step, BYOH_ACTION_SYSCTL, "net.ipv4.ip_forward", "1", NULL, NULL), 0);
	add_file(step, "/etc/byoh/byoh.yaml", "config");
	assert_int_equal(byoh_step_unit(step, "kubelet.service", true, NULL, NULL), 0);
}

/* What a host has before. */
static void make_host(struct fixture *fixture)
{
	char path[256];

	assert_int_equal(byoh_make_directories(fixture->host.root_fd, "/etc/strict", 0755, NULL), 0);
	write_text(fixture, "/etc/old.conf", "old conf", 0604);
	write_text(fixture, "/etc/gone", "going", 0600);
	write_text(fixture, "/etc/strict/kept", "kept", 0644);
	snprintf(path, sizeof(path), "%s/etc/link", fixture->root);
	assert_int_equal(symlink("old-target", path), 0);
	snprintf(path, sizeof(path), "%s/etc/old.conf", fixture->root);
	(void)!setxattr(path, "user.note", "kept", 4, 0); /* not every /tmp knows them */
	if (geteuid() == 0)
		assert_int_equal(chown(path, 12, 34), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/byoh-transaction-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->root, sizeof(fixture->root), "%s/root", fixture->folder);
	assert_int_equal(mkdir(fixture->root, 0755), 0);
	fixture->host.root = fixture->root;
	fixture->host.root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fixture->plan_input.host = &fixture->host;
	fixture->observer.note = on_note;
	fixture->observer.context = fixture;
	fixture->input = (struct byoh_transaction_input){
		.plan_input = &fixture->plan_input,
		.plan = &fixture->plan,
		.verb = "install",
		.observer = &fixture->observer,
		.cancel = &fixture->cancel,
	};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < fixture->plan.step_count; i++)
		byoh_step_release(&fixture->plan.steps[i]);
	free(fixture->plan.steps);
	close(fixture->host.root_fd);
	tree_remove(fixture->folder);
	free(fixture);
	return 0;
}

static size_t count_changes(struct fixture *fixture)
{
	size_t changes = 0;

	assert_int_equal(byoh_plan_check(&fixture->plan, &fixture->plan_input, &changes, NULL), 0);
	return changes;
}

static void assert_unchanged(const struct fixture *fixture, const struct byoh_buffer *before)
{
	CLEANUP_BUFFER struct byoh_buffer after = { 0 };

	tree_snapshot(fixture->root, &after);
	assert_string_equal(byoh_buffer_text(before), byoh_buffer_text(&after));
}

static void test_a_plan_is_carried_out(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_STATE struct byoh_state *installed = NULL;
	CLEANUP_BUFFER struct byoh_buffer target = { 0 };
	struct stat st;

	make_host(fixture);
	make_plan(fixture);
	assert_int_equal(count_changes(fixture), 8);
	assert_int_equal(fixture->plan.steps[1].actions[3].state, BYOH_STATE_LATER);
	assert_int_equal(byoh_transaction_run(&fixture->input, &err), 0);
	assert_text(fixture, "/opt/cni/bin/bridge", "new bridge");
	assert_text(fixture, "/etc/old.conf", "new conf");
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/etc/old.conf", &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/etc/strict", &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(byoh_read_link(fixture->host.root_fd, "/etc/link", &target, NULL), 0);
	assert_string_equal(byoh_buffer_text(&target), "new-target");
	assert_false(byoh_exists_beneath(fixture->host.root_fd, "/etc/gone"));
	assert_false(byoh_exists_beneath(fixture->host.root_fd, BYOH_HOME "/staging"));
	assert_false(byoh_exists_beneath(fixture->host.root_fd, BYOH_HOME "/lock"));
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, BYOH_HOME, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_text(fixture, BYOH_HOME "/before/00000001/2", "old conf");
	assert_int_equal(byoh_state_read(&fixture->host, &installed, &err), 0);
	assert_non_null(installed);
	assert_false(installed->settled);
}

static void test_a_second_run_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };

	make_host(fixture);
	make_plan(fixture);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	tree_snapshot(fixture->root, &before);
	assert_int_equal(count_changes(fixture), 0);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_unchanged(fixture, &before);
}

static void test_a_failure_at_each_action_is_undone(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	size_t failed = 0;

	make_host(fixture);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	for (fixture->fail_at = 1;; fixture->fail_at++) {
		struct byoh_error err = BYOH_ERROR_INIT;

		fixture->notes = 0;
		if (byoh_transaction_run(&fixture->input, &err) == 0)
			break;
		failed++;
		assert_int_equal(err.kind, BYOH_ERROR_SYSTEM);
		assert_non_null(strstr(err.message, "the host is as before"));
		assert_unchanged(fixture, &before);
	}
	/* Eight of the plan, state.json, the mark and the ledger. */
	assert_int_equal(failed, 11);
}

static void test_an_interrupt_at_each_action_is_undone(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };

	make_host(fixture);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	for (fixture->cancel_at = 1; fixture->cancel_at <= 9; fixture->cancel_at++) {
		struct byoh_error err = BYOH_ERROR_INIT;

		fixture->notes = 0;
		atomic_store(&fixture->cancel, false);
		assert_int_equal(byoh_transaction_run(&fixture->input, &err), -EINTR);
		assert_int_equal(err.kind, BYOH_ERROR_INTERRUPTED);
		assert_unchanged(fixture, &before);
	}
	assert_int_equal(fixture->notes, 9);
}

/* Runs in a child, which dies where the fixture says. */
static int run_in_child(struct fixture *fixture)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(byoh_transaction_run(&fixture->input, NULL) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_killed_run_is_undone_by_the_next(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	size_t killed = 0;

	make_host(fixture);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	for (fixture->die_at = 1; run_in_child(fixture) == KILLED; fixture->die_at++) {
		bool settled = false;

		killed++;
		assert_int_equal(byoh_transaction_recover(&fixture->host, NULL, &settled, NULL), 0);
		assert_true(settled);
		assert_unchanged(fixture, &before);
	}
	assert_int_equal(killed, 11);
	assert_text(fixture, "/etc/old.conf", "new conf");
}

static void test_a_run_goes_on_after_a_killed_one(void **state)
{
	struct fixture *fixture = *state;

	make_host(fixture);
	make_plan(fixture);
	fixture->die_at = 5;
	assert_int_equal(run_in_child(fixture), KILLED);
	fixture->die_at = 0;
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_text(fixture, BYOH_HOME "/before/00000001/2", "old conf");
	assert_int_equal(count_changes(fixture), 0);
}

static void test_an_empty_root_is_empty_again(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };

	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	fixture->fail_at = 4;
	assert_int_not_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_unchanged(fixture, &before);
	fixture->fail_at = 0;
	fixture->notes = 0;
	fixture->die_at = 4;
	assert_int_equal(run_in_child(fixture), KILLED);
	assert_int_equal(byoh_transaction_recover(&fixture->host, NULL, &(bool){ false }, NULL), 0);
	assert_unchanged(fixture, &before);
}

/* What somebody put into a folder of ours meanwhile is theirs. */
static void test_an_undo_leaves_what_others_made(void **state)
{
	struct fixture *fixture = *state;

	make_plan(fixture);
	fixture->die_at = 8; /* all of the plan done: there is no /etc/gone to remove */
	assert_int_equal(run_in_child(fixture), KILLED);
	write_text(fixture, "/opt/cni/bin/theirs", "theirs", 0644);
	assert_int_equal(byoh_transaction_recover(&fixture->host, NULL, &(bool){ false }, NULL), 0);
	assert_text(fixture, "/opt/cni/bin/theirs", "theirs");
	assert_false(byoh_exists_beneath(fixture->host.root_fd, "/opt/cni/bin/bridge"));
	assert_false(byoh_exists_beneath(fixture->host.root_fd, "/etc/byoh"));
}

static void test_a_damaged_journal_is_not_guessed_at(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	bool settled = false;

	make_host(fixture);
	make_plan(fixture);
	fixture->die_at = 9;
	assert_int_equal(run_in_child(fixture), KILLED);
	assert_int_equal(byoh_read_file(fixture->host.root_fd, BYOH_HOME "/journal/00000001.log", 1 << 20,
					&bytes, NULL), 0);
	bytes.data[40] ^= 1;
	write_text(fixture, BYOH_HOME "/journal/00000001.log", byoh_buffer_text(&bytes), 0600);
	assert_int_equal(byoh_transaction_recover(&fixture->host, NULL, &settled, &err), -EBADMSG);
	assert_false(settled);
	assert_text(fixture, "/etc/old.conf", "new conf");
}

static void test_a_lost_before_image_is_said(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_error err = BYOH_ERROR_INIT;
	bool settled = false;

	make_host(fixture);
	make_plan(fixture);
	fixture->die_at = 9;
	assert_int_equal(run_in_child(fixture), KILLED);
	assert_int_equal(byoh_remove_file(fixture->host.root_fd, BYOH_HOME "/before/00000001/2", NULL), 0);
	assert_int_not_equal(byoh_transaction_recover(&fixture->host, NULL, &settled, &err), 0);
	assert_int_equal(err.kind, BYOH_ERROR_UNRESTORED);
	assert_int_equal(byoh_error_exit_code(&err), 6);
	assert_non_null(strstr(err.message, "/etc/old.conf"));
	assert_text(fixture, "/etc/gone", "going"); /* the rest is back */
}

static void test_a_directory_in_the_way_is_named(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_make_directories(fixture->host.root_fd, "/etc/byoh/byoh.yaml", 0755, NULL), 0);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	assert_int_equal(byoh_transaction_run(&fixture->input, &err), -EISDIR);
	assert_non_null(strstr(err.message, "/etc/byoh/byoh.yaml is a directory"));
	assert_unchanged(fixture, &before);
}

static void test_links_in_the_way_are_not_followed(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/opt", fixture->root);
	assert_int_equal(symlink("/tmp", path), 0);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), -ELOOP);
	assert_unchanged(fixture, &before);
}

static void count_warning(void *context, const char *message)
{
	struct fixture *fixture = context;

	assert_non_null(strstr(message, "/lost"));
	fixture->warnings++;
}

static void test_an_optional_failure_is_a_warning(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_step *step = add_step(fixture, "only");
	struct byoh_action *action;

	assert_int_equal(byoh_step_file(step, "/lost", 0644, "a", 1, &action, NULL), 0);
	action->optional = true;
	add_file(step, "/other", "b");
	fixture->lose_first = true;
	fixture->observer.warning = count_warning;
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_int_equal(fixture->warnings, 1);
	assert_text(fixture, "/other", "b");
	assert_false(byoh_exists_beneath(fixture->host.root_fd, "/lost"));
}

static void test_an_existing_file_that_others_own_stays(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_step *step = add_step(fixture, "only");
	struct byoh_action *action;

	make_host(fixture);
	assert_int_equal(byoh_step_file(step, "/etc/old.conf", 0644, "a", 1, &action, NULL), 0);
	action->create_only = true;
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_text(fixture, "/etc/old.conf", "old conf");
}

/* The folder reaches the disk before what the lock says of it. */
static void test_a_cut_before_the_journal_leaves_nothing(void **state)
{
	static const char *const left[] = { NULL, "" }; /* of the lock */
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };

	make_host(fixture);
	assert_int_equal(byoh_make_directories(fixture->host.root_fd, "/var/lib", 0755, NULL), 0);
	tree_snapshot(fixture->root, &before);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		struct byoh_host_lock *lock;

		assert_int_equal(byoh_make_directories(fixture->host.root_fd, BYOH_HOME, 0700, NULL), 0);
		if (left[i])
			write_text(fixture, BYOH_HOME "/lock", left[i], 0600);
		assert_int_equal(byoh_host_lock_take(&fixture->host, &lock, NULL), 0);
		byoh_host_lock_free(lock);
		assert_unchanged(fixture, &before);
	}
}

static void test_a_second_run_at_the_same_time_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_HOST_LOCK struct byoh_host_lock *lock = NULL;
	char pid[32];
	int status;
	pid_t child;

	assert_int_equal(byoh_host_lock_take(&fixture->host, &lock, NULL), 0);
	child = fork();
	if (child == 0) {
		struct byoh_host_lock *second = NULL;
		int r = byoh_host_lock_take(&fixture->host, &second, &err);

		snprintf(pid, sizeof(pid), "process %ld)", (long)getppid());
		_exit(r == -EBUSY && strstr(err.message, pid) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A tmpfs at /opt: other staging folder, before-images copied, and nothing left in either case. */
static int on_two_file_systems(struct fixture *fixture)
{
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/opt", fixture->root);
	assert_int_equal(mkdir(path, 0755), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", path, "tmpfs", 0, NULL) < 0)
		return 2;
	/* The old descriptor sees the mounts of the old namespace. */
	fixture->host.root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(byoh_make_directories(fixture->host.root_fd, "/opt/cni/bin", 0755, NULL), 0);
	write_text(fixture, "/opt/cni/bin/bridge", "old bridge", 0711);
	make_host(fixture);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	fixture->cancel_at = 8; /* the last: /opt/cni/bin is there already */
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), -EINTR);
	assert_unchanged(fixture, &before);
	fixture->cancel_at = fixture->notes = 0;
	atomic_store(&fixture->cancel, false);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_text(fixture, "/opt/cni/bin/bridge", "new bridge");
	assert_false(byoh_exists_beneath(fixture->host.root_fd, "/opt/.byoh-staging"));
	return 0;
}

static void test_two_file_systems(void **state)
{
	struct fixture *fixture = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* A failed assertion would otherwise go on with the other tests in the child. */
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		_exit(on_two_file_systems(fixture));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
		printf("SKIP two file systems: no right to mount\n");
		skip();
	}
	assert_int_equal(status, 0);
}


/* A root with room for so many inodes and no more: 0 if the run failed and left nothing, 1 if it worked. */
static int on_small_disk(struct fixture *fixture, unsigned int inodes, unsigned int blocks)
{
	CLEANUP_BUFFER struct byoh_buffer before = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	char options[64];
	int r;

	snprintf(options, sizeof(options), "nr_inodes=%u,nr_blocks=%u", inodes, blocks);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", fixture->root, "tmpfs", 0, options) < 0)
		return 2;
	fixture->host.root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	make_host(fixture);
	make_plan(fixture);
	tree_snapshot(fixture->root, &before);
	r = byoh_transaction_run(&fixture->input, &err);
	if (r == 0)
		return 1;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(err.kind, BYOH_ERROR_SYSTEM);
	assert_unchanged(fixture, &before);
	return 0;
}

static int in_child(struct fixture *fixture, unsigned int inodes, unsigned int blocks)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		_exit(on_small_disk(fixture, inodes, blocks));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_full_disk_leaves_the_host_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	unsigned int failed = 0;
	int worked = 0;

	for (unsigned int inodes = 9; !worked; inodes++, failed += !worked)
		worked = in_child(fixture, inodes, 0);
	if (worked == 2) {
		printf("SKIP full disk: no right to mount\n");
		skip();
	}
	assert_int_equal(worked, 1);
	assert_true(failed > 15);
	worked = 0;
	for (unsigned int blocks = 6; !worked; blocks++, failed += !worked)
		worked = in_child(fixture, 0, blocks);
	assert_int_equal(worked, 1);
	assert_true(failed > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_plan_is_carried_out),
		TEST(test_a_second_run_changes_nothing),
		TEST(test_a_failure_at_each_action_is_undone),
		TEST(test_an_interrupt_at_each_action_is_undone),
		TEST(test_a_killed_run_is_undone_by_the_next),
		TEST(test_a_run_goes_on_after_a_killed_one),
		TEST(test_an_empty_root_is_empty_again),
		TEST(test_an_undo_leaves_what_others_made),
		TEST(test_a_damaged_journal_is_not_guessed_at),
		TEST(test_a_lost_before_image_is_said),
		TEST(test_a_directory_in_the_way_is_named),
		TEST(test_links_in_the_way_are_not_followed),
		TEST(test_an_optional_failure_is_a_warning),
		TEST(test_an_existing_file_that_others_own_stays),
		TEST(test_a_cut_before_the_journal_leaves_nothing),
		TEST(test_a_second_run_at_the_same_time_is_refused),
		TEST(test_two_file_systems),
		TEST(test_a_full_disk_leaves_the_host_as_it_was),
	};

	return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
