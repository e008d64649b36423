/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts to join below a folder, with programs in kubeadm's place; and what the agent leaves to others. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/kubeadm-config.h"
#include "installer/steps/kubeadm-join.h"

#define FATAL "error execution phase preflight: [preflight] Some fatal errors occurred:\\n"
#define REQUEST \
	"apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n" \
	"nodeRegistration: {kubeletExtraArgs: {provider-id: \"byoh://node10\"}}\n"

static char root[64], program[96], proc[96];
static struct byoh_kubeadm_join join;
static struct byoh_kubeadm_verdict verdict;
static struct byoh_join_record record;
static struct byoh_error error;

static void write_text(const char *path, const char *text, mode_t mode)
{
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	assert_int_equal(byoh_make_directories(join.root_fd, folder, 0755, NULL), 0);
	assert_int_equal(byoh_write_file(join.root_fd, path, text, strlen(text), mode, NULL), 0);
}

static bool exists(const char *path)
{
	return byoh_exists_beneath(join.root_fd, path);
}

static void has_text(const char *path, const char *words)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	assert_int_equal(byoh_read_file(join.root_fd, path, 1 << 20, &text, NULL), 0);
	if (!strstr(byoh_buffer_text(&text), words))
		fail_msg("%s says nothing of \"%s\":\n%s", path, words, byoh_buffer_text(&text));
}

/* A program that finds the root as $root. */
static void kubeadm_is(const char *script)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	assert_int_equal(byoh_buffer_printf(&text, NULL, "#!/bin/sh\nroot=%s\n"
							"admit() { mkdir -p $root/var/lib/kubelet/pki; touch "
							"$root/etc/kubernetes/kubelet.conf "
							"$root" BYOH_KUBELET_CLIENT "; }\n%s", root, script), 0);
	write_text("/kubeadm", text.data, 0755);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/byoh-kubeadm-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(program, sizeof(program), "%s/kubeadm", root);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	join = (struct byoh_kubeadm_join){ .program = program, .config = "/c.yaml", .proc = proc, .host_name = "node10" };
	join.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(join.root_fd >= 0);
	assert_int_equal(byoh_make_directories(join.root_fd, "/var/lib/byoh", 0700, NULL), 0);
	assert_int_equal(byoh_make_directories(join.root_fd, "/var/log/byoh", 0700, NULL), 0);
	assert_int_equal(byoh_make_directories(join.root_fd, "/etc/kubernetes", 0755, NULL), 0);
	assert_int_equal(byoh_make_directories(join.root_fd, "/proc", 0755, NULL), 0);
	error = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

static int tear_down(void **state)
{
	int parent = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	close(join.root_fd);
	assert_int_equal(byoh_remove_tree(parent, strrchr(root, '/') + 1, NULL), 0);
	close(parent);
	return 0;
}

static void attempt(enum byoh_kubeadm_outcome outcome, const char *state)
{
	if (byoh_kubeadm_attempt(&join, &verdict, &error) < 0)
		fail_msg("no attempt: %s", error.message);
	assert_int_equal(verdict.outcome, outcome);
	byoh_join_record_read(join.root_fd, &record);
	assert_string_equal(record.state, state);
}

static void a_join_ends_with_a_node(void **state)
{
	struct stat st;

	(void)state;
	kubeadm_is("printf '%s\\n' \"$*\"\n"
		   "admit; touch $root/etc/kubernetes/bootstrap-kubelet.conf\n");
	attempt(BYOH_KUBEADM_JOINED, "joined");
	assert_false(exists("/etc/kubernetes/bootstrap-kubelet.conf"));
	assert_false(exists("/var/lib/byoh/kubeadm-attempt"));
	has_text("/var/log/byoh/kubeadm-join.log", "join --v=1 --config /c.yaml --ignore-preflight-errors=FileExisting-");
	assert_int_equal(byoh_stat_beneath(join.root_fd, "/var/log/byoh/kubeadm-join.log", &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(byoh_stat_beneath(join.root_fd, BYOH_JOIN_RECORD_PATH, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	kubeadm_is("exit 1\n");
	attempt(BYOH_KUBEADM_JOINED, "joined"); /* and is not made again */
}

static void a_failure_is_on_record(void **state)
{
	(void)state;
	kubeadm_is("echo 'failed to get config map: Unauthorized'; exit 1\n");
	attempt(BYOH_KUBEADM_FAILED, "failed");
	assert_non_null(strstr(record.cause, "token"));
	assert_non_null(strstr(record.remedy, "byoh-install join"));
	kubeadm_is("echo 'connect: connection refused'; exit 1\n");
	attempt(BYOH_KUBEADM_LATER, "later");
}

/* A kubelet that has its certificate makes a node of the host, whatever kubeadm missed afterwards. */
static void a_late_failure_is_a_node_all_the_same(void **state)
{
	(void)state;
	kubeadm_is("admit\n"
		   "echo 'error execution phase kubelet-start: error uploading crisocket: timed out'; exit 1\n");
	attempt(BYOH_KUBEADM_JOINED, "joined");
	assert_non_null(strstr(record.cause, "did not appear"));
}

static void a_kernel_too_new_for_it_is_let_pass(void **state)
{
	(void)state;
	kubeadm_is("case $* in *SystemVerification*) admit; exit 0 ;; esac\n"
		   "printf '" FATAL "\\t[ERROR SystemVerification]: unsupported kernel release: 6.1.0\\n'; exit 1\n");
	attempt(BYOH_KUBEADM_JOINED, "joined");
	assert_int_equal(byoh_remove_file(join.root_fd, "/etc/kubernetes/kubelet.conf", NULL), 0);
	kubeadm_is("printf '" FATAL "\\t[ERROR SystemVerification]: unsupported kernel release: 6.1.0\\n'; exit 1\n");
	attempt(BYOH_KUBEADM_FAILED, "failed");
}

static void what_it_left_half_way_goes_before_the_next(void **state)
{
	(void)state;
	kubeadm_is("mkdir -p $root/etc/kubernetes/pki $root/var/lib/kubelet\n"
		   "touch $root/etc/kubernetes/pki/ca.crt $root/var/lib/kubelet/config.yaml\n"
		   "echo 'phase kubelet-start: timed out'; exit 1\n");
	attempt(BYOH_KUBEADM_LATER, "later");
	assert_true(exists("/etc/kubernetes/pki/ca.crt"));
	kubeadm_is("[ ! -e $root/etc/kubernetes/pki/ca.crt ] && [ ! -e $root/var/lib/kubelet/config.yaml ] &&\n"
		   "admit\n");
	attempt(BYOH_KUBEADM_JOINED, "joined");
}

/* The kubelet has written its kubeconfig and asks for the certificate that it names. */
static void a_kubelet_that_asks_is_no_node(void **state)
{
	(void)state;
	kubeadm_is("touch $root/etc/kubernetes/kubelet.conf\n"
		   "echo 'error execution phase kubelet-start: error uploading crisocket: timed out'; exit 1\n");
	attempt(BYOH_KUBEADM_LATER, "later");
	assert_non_null(strstr(record.remedy, "kubectl certificate approve"));
	kubeadm_is("[ ! -e $root/etc/kubernetes/kubelet.conf ] && admit\n");
	attempt(BYOH_KUBEADM_JOINED, "joined");
}

static void what_somebody_else_put_there_stays(void **state)
{
	(void)state;
	write_text("/etc/kubernetes/pki/ca.crt", "theirs", 0644);
	kubeadm_is("printf '" FATAL "\\t[ERROR FileAvailable--etc-kubernetes-pki-ca.crt]: exists\\n'; exit 1\n");
	attempt(BYOH_KUBEADM_FAILED, "failed");
	attempt(BYOH_KUBEADM_FAILED, "failed");
	has_text("/etc/kubernetes/pki/ca.crt", "theirs");
}

static void without_kubeadm_it_says_so(void **state)
{
	(void)state;
	assert_true(byoh_kubeadm_attempt(&join, &verdict, &error) < 0);
	byoh_join_record_read(join.root_fd, &record);
	assert_string_equal(record.state, "later");
	assert_true(record.cause[0] && record.remedy[0]);
}

static void a_damaged_record_is_none(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{\"format\": \"byoh-kubeadm-join/v1\"}",
					     "{\"format\": \"byoh-kubeadm-join/v1\", \"state\": \"great\"}",
					     "{\"format\": \"other\", \"state\": \"joined\"}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_false(byoh_join_record_parse(texts[i], strlen(texts[i]), &record));
}

/*
 * For the agent
 */

static void process(const char *pid, const char *name, const char *parent)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	snprintf(text, sizeof(text), "%s (%s) S %s 1 1 0\n", pid, name, parent);
	write_text(path, text, 0444);
}

static void others_at_work_are_seen(void **state)
{
	(void)state;
	process("10", "systemd", "1");
	process("20", "byoh-hostagent", "1");
	process("30", "odd) S 20 (x", "10");
	write_text("/proc/cpuinfo", "", 0444);
	assert_int_equal(byoh_kubeadm_find_other(proc), 0);
	process("40", "bash", "20");
	assert_int_equal(byoh_kubeadm_find_other(proc), 40);
	assert_int_equal(byoh_remove_file(join.root_fd, "/proc/40/stat", NULL), 0);
	process("50", "kubeadm", "10");
	assert_int_equal(byoh_kubeadm_find_other(proc), 50);
	assert_int_equal(byoh_kubeadm_find_other("/nowhere"), 0);
}

static int for_agent(void)
{
	error = (struct byoh_error)BYOH_ERROR_INIT;
	return byoh_kubeadm_for_agent(&join, &verdict, &error);
}

static void joins_in_the_agents_stead(void **state)
{
	(void)state;
	write_text(BYOH_KUBEADM_REQUEST, REQUEST, 0600);
	kubeadm_is("grep -q -- '- \"name\": \"provider-id\"' $root/run/byoh/kubeadm-join.yaml &&\n"
		   "[ -f $root/usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf ] &&\n"
		   "admit\n");
	assert_int_equal(for_agent(), 0);
	assert_int_equal(verdict.outcome, BYOH_KUBEADM_JOINED);
	assert_true(exists("/etc/kubernetes/kubelet.conf"));
	has_text(BYOH_KUBEADM_SENTINEL, "success\n");
	assert_false(exists("/run/byoh/kubeadm-join.yaml"));
	has_text(BYOH_KUBEADM_DROP_IN, "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf");

	/* The agent resets the host, and its old request is none any more. */
	assert_int_equal(byoh_remove_tree(join.root_fd, "/etc/kubernetes", NULL), 0);
	assert_int_equal(byoh_remove_tree(join.root_fd, "/var/lib/kubelet", NULL), 0);
	kubeadm_is("touch $root/again\n");
	assert_int_equal(for_agent(), 0);
	assert_false(exists(BYOH_KUBEADM_DROP_IN));
	assert_false(exists(BYOH_JOIN_RECORD_PATH));
	assert_false(exists("/again"));

	/* A new one is. */
	assert_int_equal(byoh_remove_file(join.root_fd, BYOH_KUBEADM_REQUEST, NULL), 0);
	write_text(BYOH_KUBEADM_REQUEST, REQUEST, 0600);
	assert_int_equal(for_agent(), 0);
	assert_true(exists("/again"));
}

static void a_failure_is_tried_again_only_where_that_can_help(void **state)
{
	(void)state;
	write_text(BYOH_KUBEADM_REQUEST, REQUEST, 0600);
	kubeadm_is("echo x >>$root/count; echo 'connect: connection refused'; exit 1\n");
	assert_int_equal(for_agent(), 0);
	assert_int_equal(verdict.outcome, BYOH_KUBEADM_LATER);
	assert_int_equal(for_agent(), 0);
	has_text("/count", "x\nx\n");
	kubeadm_is("echo y >>$root/count; echo 'Unauthorized'; exit 1\n");
	assert_int_equal(for_agent(), 0);
	assert_int_equal(verdict.outcome, BYOH_KUBEADM_FAILED);
	assert_false(exists(BYOH_KUBEADM_DROP_IN));
	assert_false(exists(BYOH_KUBEADM_SENTINEL));
	byoh_join_record_read(join.root_fd, &record);
	assert_string_equal(record.state, "failed"); /* for status */
	kubeadm_is("echo z >>$root/count\n");
	assert_int_equal(for_agent(), 0);
	has_text("/count", "x\nx\ny\n");
}

static void whom_the_agent_let_go_does_not_join(void **state)
{
	(void)state;
	write_text(BYOH_KUBEADM_REQUEST, REQUEST, 0600);
	kubeadm_is("echo 'connect: connection refused'; exit 1\n");
	assert_int_equal(for_agent(), 0);
	assert_int_equal(byoh_remove_tree(join.root_fd, "/etc/kubernetes", NULL), 0);
	assert_int_equal(byoh_remove_tree(join.root_fd, "/var/lib/kubelet", NULL), 0);
	kubeadm_is("touch $root/again\n");
	assert_int_equal(for_agent(), 0);
	assert_false(exists("/again"));
	assert_false(exists(BYOH_KUBEADM_DROP_IN));
}

static void an_agent_that_joins_itself_is_left_alone(void **state)
{
	(void)state;
	write_text(BYOH_KUBEADM_REQUEST, REQUEST, 0600);
	write_text("/etc/kubernetes/kubelet.conf", "", 0600);
	write_text(BYOH_KUBELET_CLIENT, "", 0600);
	kubeadm_is("touch $root/again\n");
	assert_int_equal(for_agent(), 0);
	assert_false(exists("/again"));
	assert_false(exists(BYOH_KUBEADM_DROP_IN));
	assert_false(exists(BYOH_KUBEADM_SENTINEL));
}

static void a_request_that_is_none_is_refused_once(void **state)
{
	(void)state;
	write_text(BYOH_KUBEADM_REQUEST, "kind: Secret\n", 0600);
	kubeadm_is("touch $root/again\n");
	assert_true(for_agent() < 0);
	assert_int_equal(error.kind, BYOH_ERROR_CONFIG);
	assert_int_equal(for_agent(), 0);
	assert_false(exists("/again"));
	assert_false(exists(BYOH_KUBEADM_DROP_IN));
	byoh_join_record_read(join.root_fd, &record);
	assert_string_equal(record.state, "failed");
	assert_non_null(strstr(record.cause, BYOH_KUBEADM_REQUEST));
	/* The agent takes it away again. */
	assert_int_equal(byoh_remove_file(join.root_fd, BYOH_KUBEADM_REQUEST, NULL), 0);
	assert_int_equal(for_agent(), 0);
	assert_false(exists(BYOH_JOIN_RECORD_PATH));
}

static void without_a_request_there_is_nothing_to_do(void **state)
{
	(void)state;
	assert_int_equal(for_agent(), 0);
	assert_false(exists("/run/byoh"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_join_ends_with_a_node),
		TEST(a_failure_is_on_record),
		TEST(a_late_failure_is_a_node_all_the_same),
		TEST(a_kernel_too_new_for_it_is_let_pass),
		TEST(what_it_left_half_way_goes_before_the_next),
		TEST(a_kubelet_that_asks_is_no_node),
		TEST(what_somebody_else_put_there_stays),
		TEST(without_kubeadm_it_says_so),
		TEST(a_damaged_record_is_none),
		TEST(others_at_work_are_seen),
		TEST(joins_in_the_agents_stead),
		TEST(a_failure_is_tried_again_only_where_that_can_help),
		TEST(whom_the_agent_let_go_does_not_join),
		TEST(an_agent_that_joins_itself_is_left_alone),
		TEST(a_request_that_is_none_is_refused_once),
		TEST(without_a_request_there_is_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
