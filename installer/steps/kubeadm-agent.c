/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents since 0.5.6 skip every command with "&" in it and say that it went well; `kubeadm join ... && echo success` is
 * one. This does it where the agent did not: with the configuration that it left, mended, and with what a kubelet of
 * kubeadm's wants around it, which goes again when the agent resets the host.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/kubeadm-config.h"
#include "installer/run.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/steps-internal.h"

#define OWN_FOLDER "/run/byoh"
#define MENDED OWN_FOLDER "/kubeadm-join.yaml"
/* Which request was seen, and how far it got; gone with the boot, as the request is. */
#define SEEN OWN_FOLDER "/kubeadm-request"
#define AGENT "byoh-hostagent"
#define WRITING_MILLISECONDS 30000
#define QUIET_MILLISECONDS 2000

static const char drop_in[] =
	"[Service]\n"
	"Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf "
	"--kubeconfig=" BYOH_KUBELET_KUBECONFIG "\"\n"
	"Environment=\"KUBELET_CONFIG_ARGS=--config=" BYOH_KUBELET_CONFIG "\"\n"
	"EnvironmentFile=-" BYOH_KUBEADM_FLAGS "\n"
	"EnvironmentFile=-/etc/default/kubelet\n"
	"ExecStart=\n"
	"ExecStart=" BYOH_BIN_KUBELET
	" $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n";

/*
 * Others at work
 */

/* "12 (kubeadm) S 1 ...": name and parent. A name may hold anything, so the last ")" ends it. */
static bool read_process(int proc, const char *pid, char ret_name[32], pid_t *ret_parent)
{
	char path[64], text[512];
	CLEANUP_FD int fd = -1;
	const char *begin, *end;
	ssize_t size;

	snprintf(path, sizeof(path), "%.20s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size <= 0)
		return false;
	text[size] = '\0';
	begin = strchr(text, '(');
	end = strrchr(text, ')');
	if (!begin || !end || end < begin || strlen(end) < 5)
		return false;
	snprintf(ret_name, 32, "%.*s", (int)(end - begin - 1), begin + 1);
	*ret_parent = (pid_t)strtol(end + 4, NULL, 10);
	return true;
}

static bool is_agent(int proc, pid_t pid)
{
	char number[16], name[32];
	pid_t parent;

	snprintf(number, sizeof(number), "%d", (int)pid);
	return read_process(proc, number, name, &parent) && strcmp(name, AGENT) == 0;
}

pid_t byoh_kubeadm_find_other(const char *proc)
{
	CLEANUP_DIR DIR *folder = opendir(proc);
	const struct dirent *entry;
	char name[32];
	pid_t parent;

	while (folder && (entry = readdir(folder))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !read_process(dirfd(folder), entry->d_name, name, &parent))
			continue;
		if (strcmp(name, "kubeadm") == 0 || is_agent(dirfd(folder), parent))
			return (pid_t)atoi(entry->d_name);
	}
	return 0;
}

static bool is_cancelled(const struct byoh_kubeadm_join *join)
{
	return join->cancel && atomic_load(join->cancel);
}

/* Until the process has ended; kernels before 5.3 cannot be asked for that, there a second passes. */
static void await_end(const struct byoh_kubeadm_join *join, pid_t pid)
{
	CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	do {
		if (poll(&wait, fd >= 0, 1000))
			break;
	} while (fd >= 0 && !is_cancelled(join));
}

/* The agent goes from one command to the next without a break, so a break in which nothing runs is its end. */
static int await_others(const struct byoh_kubeadm_join *join, int watch, struct byoh_error *err)
{
	bool quiet = false;

	while (!quiet && !is_cancelled(join)) {
		struct pollfd wait = { .fd = watch, .events = POLLIN };
		pid_t other = byoh_kubeadm_find_other(join->proc);

		if (other)
			await_end(join, other);
		else
			quiet = poll(&wait, 1, QUIET_MILLISECONDS) == 0 && !byoh_kubeadm_find_other(join->proc);
		if (!quiet && !other) {
			char events[4096];

			(void)!read(watch, events, sizeof(events));
		}
	}
	return is_cancelled(join) ? byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted") : 0;
}

/*
 * The request
 */

/* A lease is refused while somebody has it open for writing: what is read after it is whole. */
static int await_written(int fd, int watch, struct byoh_error *err)
{
	struct pollfd wait = { .fd = watch, .events = POLLIN };
	char events[4096];

	while (fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN) {
		if (poll(&wait, 1, WRITING_MILLISECONDS) <= 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ETIMEDOUT, "%s is being written and written",
					 BYOH_KUBEADM_REQUEST);
		(void)!read(watch, events, sizeof(events));
	}
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return 0;
}

/* Which writing of the file it is. */
static int identify(const struct byoh_kubeadm_join *join, char ret[96])
{
	struct stat st;
	int r = byoh_stat_beneath(join->root_fd, BYOH_KUBEADM_REQUEST, &st, NULL);

	if (r == 0)
		snprintf(ret, 96, "%llu %llu %lld.%09ld", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino, (long long)st.st_ctim.tv_sec, (long)st.st_ctim.tv_nsec);
	return r;
}

static bool was_seen(const struct byoh_kubeadm_join *join, const char *how, const char *id)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "%s %s", how, id);
	return byoh_read_file(join->root_fd, SEEN, 4096, &text, NULL) == 0 &&
	       strcmp(byoh_buffer_text(&text), wanted) == 0;
}

static int note_seen(const struct byoh_kubeadm_join *join, const char *how, const char *id, struct byoh_error *err)
{
	char text[128];
	int length = snprintf(text, sizeof(text), "%s %s", how, id);
	int r = byoh_make_directories(join->root_fd, OWN_FOLDER, 0700, err);

	return r < 0 ? r : byoh_write_file(join->root_fd, SEEN, text, (size_t)length, 0600, err);
}

static int tell_systemd(const struct byoh_kubeadm_join *join, const char *verb, struct byoh_error *err)
{
	if (!join->live)
		return 0;
	TRY(byoh_run_simple(err, "systemctl", "daemon-reload", NULL));
	return verb ? byoh_run_simple(err, "systemctl", verb, "kubelet.service", NULL) : 0;
}

/* Only a drop-in of ours means that we enabled the unit: otherwise the agent may have. */
static int clear_up(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	if (!byoh_exists_beneath(join->root_fd, BYOH_KUBEADM_DROP_IN))
		return 0;
	TRY(byoh_remove_file(join->root_fd, BYOH_KUBEADM_DROP_IN, err));
	return tell_systemd(join, "disable", err);
}

/* The agent has let go of the host, or has reset it: how its last claim ended is history. */
static int forget(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	if (!byoh_exists_beneath(join->root_fd, BYOH_KUBEADM_REQUEST) ||
	    byoh_exists_beneath(join->root_fd, BYOH_KUBEADM_DROP_IN))
		TRY(byoh_remove_file(join->root_fd, BYOH_JOIN_RECORD_PATH, err));
	return clear_up(join, err);
}

static int mend(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer given = { 0 }, mended = { 0 };
	bool mangled = false;

	TRY(byoh_read_file(join->root_fd, BYOH_KUBEADM_REQUEST, BYOH_KUBEADM_CONFIG_MAX, &given, err));
	TRY(byoh_kubeadm_normalise(byoh_buffer_text(&given), given.size, BYOH_KUBEADM_REQUEST, join->host_name, &mended,
				   &mangled, err));
	if (mangled)
		fprintf(stderr, "the agent rewrote kubeletExtraArgs: what the cluster asked for beyond provider-id, "
				"labels and taints is lost\n");
	TRY(byoh_make_directories(join->root_fd, OWN_FOLDER, 0700, err));
	return byoh_write_file(join->root_fd, MENDED, mended.data, mended.size, 0600, err);
}

static int prepare(const struct byoh_kubeadm_join *join, const char *id, struct byoh_error *err)
{
	TRY(mend(join, err));
	TRY(note_seen(join, "tried", id, err));
	/* A later attempt sees by it that the agent has not reset the host in between. */
	TRY(byoh_make_directories(join->root_fd, "/etc/kubernetes", 0755, err));
	TRY(byoh_make_directories(join->root_fd, "/usr/local/lib/systemd/system/kubelet.service.d", 0755, err));
	TRY(byoh_write_file(join->root_fd, BYOH_KUBEADM_DROP_IN, drop_in, strlen(drop_in), 0644, err));
	return tell_systemd(join, "enable", err);
}

static int write_sentinel(const struct byoh_kubeadm_join *join, struct byoh_error *err)
{
	static const char text[] = "success\n";

	TRY(byoh_make_directories(join->root_fd, "/run/cluster-api", 0755, err));
	return byoh_write_file(join->root_fd, BYOH_KUBEADM_SENTINEL, text, strlen(text), 0644, err);
}

static int join_host(struct byoh_kubeadm_join *join, const char *id, struct byoh_kubeadm_verdict *ret,
		     struct byoh_error *err)
{
	int r;

	TRY(prepare(join, id, err));
	join->config = MENDED;
	r = byoh_kubeadm_attempt(join, ret, err);
	(void)!byoh_remove_file(join->root_fd, MENDED, NULL);
	if (r < 0 || ret->outcome == BYOH_KUBEADM_LATER)
		return r;
	TRY(note_seen(join, "done", id, err));
	return ret->outcome == BYOH_KUBEADM_JOINED ? write_sentinel(join, err) : clear_up(join, err);
}

static void refuse(const struct byoh_kubeadm_join *join, const char *id, const struct byoh_error *err)
{
	struct byoh_kubeadm_verdict verdict = { .outcome = BYOH_KUBEADM_FAILED };

	snprintf(verdict.cause, sizeof(verdict.cause), "%.390s", err->message);
	snprintf(verdict.remedy, sizeof(verdict.remedy),
		 "mend the cluster's bootstrap configuration and claim the host anew");
	(void)!byoh_kubeadm_put_on_record(join, "failed", &verdict, NULL);
	(void)!note_seen(join, "done", id, NULL);
}

/* An unreadable request is one that failed, until it is written again. */
static int answer(struct byoh_kubeadm_join *join, int watch, const char *id, struct byoh_kubeadm_verdict *ret,
		  struct byoh_error *err)
{
	char now[96] = "";
	int r;

	TRY(await_others(join, watch, err));
	if (byoh_kubeadm_is_node(join->root_fd))
		return note_seen(join, "done", id, err);
	if (identify(join, now) < 0 || strcmp(now, id) != 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EAGAIN, "%s has changed", BYOH_KUBEADM_REQUEST);
	r = join_host(join, id, ret, err);
	if (r < 0 && err && err->kind == BYOH_ERROR_CONFIG)
		refuse(join, id, err);
	return r;
}

int byoh_kubeadm_for_agent(struct byoh_kubeadm_join *join, struct byoh_kubeadm_verdict *ret, struct byoh_error *err)
{
	CLEANUP_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), fd = -1;
	bool node = byoh_kubeadm_is_node(join->root_fd);
	char id[96] = "";

	*ret = (struct byoh_kubeadm_verdict){ .outcome = BYOH_KUBEADM_JOINED };
	fd = byoh_open_beneath(join->root_fd, BYOH_KUBEADM_REQUEST, O_RDONLY | O_NONBLOCK, 0, NULL);
	if (watch < 0)
		return byoh_fail_errno(err, "cannot watch %s", BYOH_KUBEADM_REQUEST);
	if (fd >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		(void)!inotify_add_watch(watch, path, IN_CLOSE_WRITE | IN_MODIFY);
		TRY(await_written(fd, watch, err));
	}
	if (fd < 0 || identify(join, id) < 0 || was_seen(join, "done", id))
		return node ? 0 : forget(join, err);
	if (node)
		return note_seen(join, "done", id, err);
	/* Reset between two attempts: whom the agent has let go does not join. */
	if (was_seen(join, "tried", id) && !byoh_exists_beneath(join->root_fd, "/etc/kubernetes")) {
		TRY(note_seen(join, "done", id, err));
		return forget(join, err);
	}
	return answer(join, watch, id, ret, err);
}
