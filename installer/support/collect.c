/* SPDX-License-Identifier: Apache-2.0 */
/* What a support bundle holds. Whoever adds a row asks first what secret may stand there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/doctor/report-doctor.h"
#include "installer/integrity.h"
#include "installer/log.h"
#include "installer/net/outside.h"
#include "installer/report.h"
#include "installer/run.h"
#include "installer/support/support-bundle.h"

#define FILE_MAX ((size_t)8 << 20)

/* Files below the root, as they are but for secrets. No kubeconfig, no key, nothing of /var/lib/byoh but what is ours
 * to tell: before-images may be anything. */
static const struct {
	const char *name, *path;
} texts[] = {
	{ "config/byoh.yaml", "/var/lib/byoh/config/byoh.yaml" },
	{ "config/byoh.yaml.etc", "/etc/byoh/byoh.yaml" },
	{ "config/agent.env", "/etc/byoh/agent.env" },
	{ "config/agent-sysctl.conf", "/etc/byoh/sysctl.conf" },
	{ "config/containerd.toml", "/etc/containerd/config.toml" },
	{ "config/containerd-byoh.toml", "/etc/containerd/byoh.toml" },
	{ "config/kubelet.yaml", "/var/lib/kubelet/config.yaml" },
	{ "config/kubelet-instance.yaml", "/var/lib/kubelet/instance-config.yaml" },
	{ "config/kubeadm-flags.env", "/var/lib/kubelet/kubeadm-flags.env" },
	{ "config/kube-proxy.yaml", "/var/lib/kube-proxy/kube-proxy-config.yaml" },
	{ "config/cluster-ca.crt", "/etc/kubernetes/pki/ca.crt" },
	{ "state/state.json", "/var/lib/byoh/state.json" },
	{ "state/ledger", "/var/lib/byoh/ledger" },
	{ "host/os-release", "/etc/os-release" },
	{ "host/hosts", "/etc/hosts" },
	{ "host/resolv.conf", "/etc/resolv.conf" },
	{ "host/fstab", "/etc/fstab" },
	{ "host/cmdline", "/proc/cmdline" },
	{ "host/version", "/proc/version" },
	{ "host/meminfo", "/proc/meminfo" },
	{ "host/swaps", "/proc/swaps" },
	{ "host/modules", "/proc/modules" },
	{ "host/filesystems", "/proc/filesystems" },
	{ "host/mounts", "/proc/self/mountinfo" },
	{ "host/uptime", "/proc/uptime" },
	{ "host/cgroup-controllers", "/sys/fs/cgroup/cgroup.controllers" },
	{ "host/machine-id", "/etc/machine-id" },
};

/* Only on a running host. */
static const struct {
	const char *name;
	const char *argv[12];
} commands[] = {
	{ "services/failed", { "systemctl", "--no-pager", "list-units", "--all", "--state=failed,activating" } },
	{ "services/show",
	  { "systemctl", "show", "--no-pager", "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,ConditionResult,"
					       "ExecMainStatus,FragmentPath,DropInPaths,UnitFileState,ActiveEnterTimestamp",
	    "containerd.service", "kubelet.service", "kube-proxy.service", "byoh-hostagent.service",
	    "byoh-settle.service" } },
	{ "services/units",
	  { "systemctl", "cat", "--no-pager", "containerd.service", "kubelet.service", "kube-proxy.service",
	    "byoh-hostagent.service" } },
	{ "journal/containerd", { "journalctl", "-q", "-a", "--no-pager", "-b", "-n", "2000", "-u", "containerd" } },
	{ "journal/kubelet", { "journalctl", "-q", "-a", "--no-pager", "-b", "-n", "2000", "-u", "kubelet" } },
	{ "journal/kube-proxy", { "journalctl", "-q", "-a", "--no-pager", "-b", "-n", "2000", "-u", "kube-proxy" } },
	{ "journal/agent", { "journalctl", "-q", "-a", "--no-pager", "-b", "-n", "2000", "-u", "byoh-hostagent" } },
	{ "journal/settle", { "journalctl", "-q", "--no-pager", "-n", "500", "-u", "byoh-settle", "-u",
			      "byoh-settle-images" } },
	{ "journal/kernel", { "journalctl", "-q", "-a", "--no-pager", "-b", "-k", "-n", "1000" } },
	{ "journal/warnings", { "journalctl", "-q", "-a", "--no-pager", "-b", "-p", "warning", "-n", "500" } },
	{ "versions/systemd", { "systemctl", "--version" } },
	{ "versions/containerd", { "ctr", "--connect-timeout", "10s", "version" } },
	{ "versions/runc", { "runc", "--version" } },
	{ "versions/kubelet", { "kubelet", "--version" } },
	{ "versions/kube-proxy", { "kube-proxy", "--version" } },
	{ "versions/iptables", { "iptables", "--version" } },
	{ "containerd/plugins", { "ctr", "--connect-timeout", "10s", "plugins", "ls" } },
	{ "containerd/images", { "ctr", "--connect-timeout", "10s", "-n", "k8s.io", "images", "ls" } },
	{ "containerd/containers", { "ctr", "--connect-timeout", "10s", "-n", "k8s.io", "containers", "ls" } },
	{ "containerd/tasks", { "ctr", "--connect-timeout", "10s", "-n", "k8s.io", "tasks", "ls" } },
	{ "host/disks", { "df", "-k" } },
	{ "host/inodes", { "df", "-i" } },
	{ "host/time", { "timedatectl", "status", "--no-pager" } },
};

/* Of the host's network namespace, not the empty one that this runs in. */
static const char *const tables[] = { "route", "ipv6_route", "fib_trie", "if_inet6", "dev", "tcp", "tcp6", "arp",
				      "ip_tables_names", "ip6_tables_names" };

struct collecting {
	struct byoh_session *session;
	const struct byoh_consultation *consultation;
	struct byoh_support_archive *archive;
};

static int add_text(struct collecting *collecting, const char *name, const struct byoh_buffer *text,
		    struct byoh_error *err)
{
	return byoh_support_archive_add(collecting->archive, name, byoh_buffer_text(text), text->size, err);
}

/* A note in the place of what cannot be had: that it is not there may be what matters. */
static int add_absence(struct collecting *collecting, const char *name, const struct byoh_error *cause,
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char note[160];
	int rc = byoh_buffer_printf(&text, err, "not collected: %s\n", cause->message);

	snprintf(note, sizeof(note), "%s.missing", name);
	return rc < 0 ? rc : add_text(collecting, note, &text, err);
}

static int collect_texts(struct collecting *collecting, struct byoh_error *err)
{
	const struct byoh_host *host = collecting->session->host;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts) && rc == 0; i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		struct byoh_error cause = BYOH_ERROR_INIT;

		if (!host->live && strncmp(texts[i].path, "/proc/", 6) == 0)
			continue;
		if (byoh_host_read(host->root_fd, texts[i].path, FILE_MAX, &text, &cause) < 0)
			rc = add_absence(collecting, texts[i].name, &cause, err);
		else
			rc = add_text(collecting, texts[i].name, &text, err);
	}
	return rc;
}

static int collect_commands(struct collecting *collecting, struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands) && rc == 0 && collecting->session->host->live; i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		struct byoh_error cause = BYOH_ERROR_INIT;
		const struct byoh_run run = { .argv = commands[i].argv, .output = &text, .timeout_seconds = 60,
					      .cancel = collecting->session->cancel };
		int status = 0, ran = byoh_run(&run, &status, &cause);

		if (cause.kind == BYOH_ERROR_INTERRUPTED) {
			if (err)
				*err = cause;
			return ran;
		}
		if (ran < 0)
			rc = add_absence(collecting, commands[i].name, &cause, err);
		else if (status)
			rc = byoh_buffer_printf(&text, err, "\n(exit status %d)\n", status);
		if (rc == 0 && ran == 0)
			rc = add_text(collecting, commands[i].name, &text, err);
	}
	return rc;
}

static int collect_network(struct collecting *collecting, struct byoh_error *err)
{
	struct byoh_outside *outside = collecting->session->host->outside;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && rc == 0 && outside; i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		char name[64];

		snprintf(name, sizeof(name), "network/%s", tables[i]);
		if (byoh_outside_proc_net(outside, tables[i], &text, NULL) == 0)
			rc = add_text(collecting, name, &text, err);
	}
	return rc;
}

static int collect_log(void *context, const char *name, struct byoh_error *err)
{
	struct collecting *collecting = context;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[BYOH_PATH_MAX], entry[300];

	snprintf(path, sizeof(path), BYOH_LOG_FOLDER "/%.200s", name);
	snprintf(entry, sizeof(entry), "log/%.200s", name);
	if (byoh_host_read(collecting->session->host->root_fd, path, FILE_MAX, &text, NULL) < 0)
		return 0;
	return add_text(collecting, entry, &text, err);
}

static int collect_cni(void *context, const char *name, struct byoh_error *err)
{
	struct collecting *collecting = context;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[BYOH_PATH_MAX], entry[300];

	snprintf(path, sizeof(path), "/etc/cni/net.d/%.200s", name);
	snprintf(entry, sizeof(entry), "config/cni/%.200s", name);
	/* Folders beside hold the pod network's own kubeconfig. */
	if (strstr(name, "kubeconfig") || byoh_host_read(collecting->session->host->root_fd, path, FILE_MAX, &text, NULL) < 0)
		return 0;
	return add_text(collecting, entry, &text, err);
}

static int each_name(struct collecting *collecting, const char *folder,
		     int (*visit)(void *context, const char *name, struct byoh_error *err), struct byoh_error *err)
{
	struct byoh_error cause = BYOH_ERROR_INIT;
	int rc = byoh_each_name(collecting->session->host->root_fd, folder, visit, collecting, &cause);

	/* A folder that cannot be read is none; an archive that cannot be written is the end. */
	if (rc == 0 || rc == -ENOTDIR || rc == -ELOOP || rc == -ENOENT)
		return 0;
	if (err)
		*err = cause;
	return rc;
}

/*
 * What we say ourselves
 */

static int add_sum(const struct byoh_host *host, const struct byoh_action *action, struct byoh_buffer *ret,
		   struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE] = "-";
	struct byoh_digest digest;
	struct stat st;
	int rc;

	if (byoh_host_stat(host->root_fd, action->subject, &st, NULL) < 0)
		return byoh_buffer_printf(ret, err, "missing %s\n", action->subject);
	/* Digests of short secrets can be guessed. Those of programs take long, and `status` tells of them. */
	if (!action->secret && st.st_size < (off_t)FILE_MAX &&
	    byoh_host_read(host->root_fd, action->subject, FILE_MAX, &text, NULL) == 0) {
		rc = byoh_digest_of(byoh_buffer_text(&text), text.size, &digest, err);
		if (rc < 0)
			return rc;
		byoh_digest_hex(&digest, hex);
	}
	return byoh_buffer_printf(ret, err, "%s %04o %u:%u %" PRIu64 " %s\n", hex, (unsigned int)st.st_mode & 07777,
				  (unsigned int)st.st_uid, (unsigned int)st.st_gid, (uint64_t)st.st_size, action->subject);
}

static int collect_sums(struct collecting *collecting, struct byoh_error *err)
{
	const struct byoh_plan *plan = collecting->session->plan;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_buffer_add_string(&text, "# SHA-256 (- not read), mode, owner, size, path\n", err);

	for (size_t i = 0; plan && i < plan->step_count; i++)
		for (size_t k = 0; k < plan->steps[i].action_count && rc == 0; k++)
			if (plan->steps[i].actions[k].kind == BYOH_ACTION_FILE)
				rc = add_sum(collecting->session->host, &plan->steps[i].actions[k], &text, err);
	return rc < 0 ? rc : add_text(collecting, "state/files", &text, err);
}

static int collect_status(struct collecting *collecting, struct byoh_error *err)
{
	const struct byoh_session *session = collecting->session;
	CLEANUP_STATE struct byoh_state *previous = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_report_node node = { .state = &collecting->consultation->node };
	struct byoh_error cause = BYOH_ERROR_INIT;
	struct byoh_plan_verdict verdict;
	int rc;

	if (!session->plan || collecting->consultation->release_fault)
		return 0;
	rc = byoh_integrity_find_previous(session->host, session->state, &previous, &node.previous_id, &cause);
	node.previous = previous;
	if (rc == 0)
		rc = byoh_report_status_json(session, &node, &text, &verdict, &cause);
	if (rc < 0)
		return add_absence(collecting, "status.json", &cause, err);
	rc = add_text(collecting, "status.json", &text, err);
	text.size = 0;
	if (rc == 0)
		rc = byoh_plan_json(session->plan, &session->plan_input, &text, err);
	return rc < 0 ? rc : add_text(collecting, "plan.json", &text, err);
}

static int collect_diagnosis(struct collecting *collecting, struct byoh_error *err)
{
	const struct byoh_consultation *consultation = collecting->consultation;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_report_doctor_json(&consultation->evidence, consultation->diagnosis, &text, err);

	return rc < 0 ? rc : add_text(collecting, "doctor.json", &text, err);
}

static const char read_me_format[] =
	"A support bundle of byoh-install %s.\n"
	"\n"
	"host      %s\n"
	"os        %s\n"
	"kernel    %s\n"
	"release   %s %s (Kubernetes %s), join mode %s\n"
	"\n"
	"doctor.json   what is wrong, by `byoh-install doctor --json`\n"
	"status.json   what is installed and what differs, by `status --json`; plan.json each file with its digest\n"
	"state/        what is recorded of the installation, and the files as they are now\n"
	"config/       what containerd, kubelet and the others are told\n"
	"services/ journal/ versions/ containerd/ network/ host/   as they are\n"
	"log/          what earlier runs of byoh-install said\n"
	"*.missing     what was not to be had, and why\n"
	"\n"
	"Secrets were taken out: in their place stands <redacted>. No kubeconfig, no private key and no file that an\n"
	"installation replaced is in here. Names and addresses of the site are: look before you hand it on.\n"
	"\n";

/* The first page: a person reads this, and often no more. */
static int collect_read_me(struct collecting *collecting, struct byoh_error *err)
{
	const struct byoh_session *session = collecting->session;
	const struct byoh_state *state = session->state;
	const struct byoh_host *host = session->host;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FREE char *diagnosis = NULL;
	CLEANUP_FILE FILE *out = NULL;
	size_t size = 0;
	int rc;

	out = open_memstream(&diagnosis, &size);
	if (!out)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_report_doctor(&collecting->consultation->evidence, collecting->consultation->diagnosis, out);
	if (fflush(out) != 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_buffer_printf(&text, err, read_me_format, BYOH_VERSION, host->hostname, host->os_pretty_name,
				host->kernel_release ? host->kernel_release : "-", state && state->name ? state->name : "none",
				state && state->version ? state->version : "", state && state->kubernetes ? state->kubernetes : "-",
				state && state->join_mode ? state->join_mode : "-");
	if (rc == 0)
		rc = byoh_buffer_add(&text, diagnosis, size, err);
	return rc < 0 ? rc : add_text(collecting, "README.txt", &text, err);
}

int byoh_support_collect(struct byoh_session *session, const struct byoh_consultation *consultation,
			 struct byoh_support_archive *archive, struct byoh_error *err)
{
	static int (*const parts[])(struct collecting *collecting, struct byoh_error *err) = {
		collect_read_me, collect_diagnosis, collect_status,   collect_sums,
		collect_texts,	 collect_network,   collect_commands,
	};
	struct collecting collecting = { session, consultation, archive };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++)
		rc = parts[i](&collecting, err);
	if (rc == 0)
		rc = each_name(&collecting, "/etc/cni/net.d", collect_cni, err);
	return rc < 0 ? rc : each_name(&collecting, BYOH_LOG_FOLDER, collect_log, err);
}
