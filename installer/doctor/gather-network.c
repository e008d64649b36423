/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, listeners, packet filters: as the host sees them, not the empty namespace that this runs
 * in. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "installer/net/outside.h"
#include "installer/preflight/checks.h"

#define KUBELET_PORT 10250
#define TCP_LISTEN 0x0a

unsigned long byoh_listener_inode(const char *text, unsigned int port)
{
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned int local, state;
		unsigned long inode;

		if (sscanf(line + 1,
			   " %*u: %*[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*4x %2x %*s %*s %*s %*u %*u %lu",
			   &local, &state, &inode) == 3 &&
		    local == port && state == TCP_LISTEN)
			return inode;
	}
	return 0;
}

static bool holds_socket(const char *pid, unsigned long inode)
{
	char path[300], wanted[64], target[64];
	CLEANUP_DIR DIR *folder = NULL;
	const struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strcmp(target, wanted) == 0)
			return true;
	}
	return false;
}

/* "nc (pid 812)", NULL for the kubelet itself. */
static int describe_process(const char *pid, char **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer name = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	if (byoh_read_named_file(path, 64, &name, NULL) < 0 || !name.size)
		return 0;
	name.data[strcspn(name.data, "\n")] = '\0';
	if (strcmp(name.data, "kubelet") == 0)
		return 0;
	if (asprintf(ret, "%s (pid %.20s)", name.data, pid) >= 0)
		return 0;
	*ret = NULL;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int find_owner(unsigned long inode, char **ret, struct byoh_error *err)
{
	CLEANUP_DIR DIR *folder = opendir("/proc");
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]) && holds_socket(entry->d_name, inode))
			return describe_process(entry->d_name, ret, err);
	return 0;
}

static bool read_net(const struct byoh_evidence *evidence, const char *name,
		     struct byoh_buffer *ret)
{
	return byoh_outside_proc_net(evidence->host->outside, name, ret, NULL) == 0;
}

static int gather_port(struct byoh_evidence *evidence, struct byoh_error *err)
{
	static const char *const tables[] = { "tcp", "tcp6" };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		unsigned long inode;

		if (!read_net(evidence, tables[i], &text))
			continue;
		inode = byoh_listener_inode(byoh_buffer_text(&text), KUBELET_PORT);
		if (inode)
			return find_owner(inode, &evidence->net.port_owner, err);
	}
	return 0;
}

static void gather_routes(struct byoh_evidence *evidence)
{
	CLEANUP_BUFFER struct byoh_buffer ipv4 = { 0 }, ipv6 = { 0 };

	evidence->net.known = read_net(evidence, "route", &ipv4);
	(void)read_net(evidence, "ipv6_route", &ipv6);
	evidence->net.default_route =
		byoh_check_default_route(byoh_buffer_text(&ipv4), byoh_buffer_text(&ipv6));
}

/* Whoever only looks with iptables-legacy leaves an empty table behind, so its rules count. A unit of
 * systemd's reads them: here is neither the host's network nor a socket to ask about it. It looks
 * at tables that there are, and makes none. */
static int gather_legacy(struct byoh_evidence *evidence, struct byoh_error *err)
{
	static const char *const argv[] = { "systemd-run", "--quiet", "--collect", "--wait",
					    "--pipe", "--property=RuntimeMaxSec=20", "--",
					    "iptables-legacy-save", NULL };
	CLEANUP_BUFFER struct byoh_buffer names = { 0 }, rules = { 0 };
	bool good;
	int rc;

	if (!read_net(evidence, "ip_tables_names", &names) || !names.size)
		return 0;
	rc = byoh_gather_output(argv, 30, &rules, &good, err);
	if (rc == 0 && good)
		evidence->net.legacy_rules = byoh_count_rules(byoh_buffer_text(&rules));
	return rc;
}

static int gather_rules(struct byoh_evidence *evidence, struct byoh_error *err)
{
	static const char *const argv[] = { "iptables", "--version", NULL };
	CLEANUP_BUFFER struct byoh_buffer version = { 0 };
	bool good;
	int rc = byoh_gather_output(argv, 30, &version, &good, err);

	if (rc < 0 || !good || !version.size)
		return rc;
	version.data[strcspn(version.data, "\n")] = '\0';
	evidence->net.iptables = TAKE_PTR(version.data);
	return strstr(evidence->net.iptables, "nf_tables") ? gather_legacy(evidence, err) : 0;
}

/* Whether a file of ufw's is there and lets the kubelet's port in. */
static bool ufw_file_lets_in(int root, const char *path)
{
	CLEANUP_BUFFER struct byoh_buffer rules = { 0 };

	return byoh_host_read(root, path, 1 << 20, &rules, NULL) == 0 &&
	       byoh_ufw_lets_in(byoh_buffer_text(&rules), KUBELET_PORT);
}

static bool says_line(int root, const char *path, const char *line)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	return byoh_host_read(root, path, 1 << 20, &text, NULL) == 0 &&
	       strstr(byoh_buffer_text(&text), line);
}

/* ufw's files say what it lets in; firewalld is asked. */
bool byoh_ufw_is_closed(int root)
{
	static const char *const files[] = { "user.rules", "user6.rules", "before.rules",
					     "before6.rules" };
	char path[64];

	if (!says_line(root, "/etc/ufw/ufw.conf", "\nENABLED=yes") ||
	    !byoh_host_exists(root, "/etc/ufw/user.rules") ||
	    says_line(root, "/etc/default/ufw", "\nDEFAULT_INPUT_POLICY=\"ACCEPT\""))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/etc/ufw/%s", files[i]);
		if (ufw_file_lets_in(root, path))
			return false;
	}
	return true;
}

/* Rules that were added past its zones are not understood here: where one accepts, nothing is
 * said. */
static int firewalld_is_closed(bool *ret, struct byoh_error *err)
{
	static const char *const questions[][4] = {
		{ "firewall-cmd", "--state", NULL },
		{ "firewall-cmd", "--get-default-zone", NULL },
		{ "firewall-cmd", "--list-all-zones", NULL },
		{ "firewall-cmd", "--direct", "--get-all-rules", NULL },
	};
	struct byoh_buffer answers[ARRAY_SIZE(questions)] = { 0 };
	bool good = true;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(questions) && rc == 0 && good; i++)
		rc = byoh_gather_output(questions[i], 30, &answers[i], &good, err);
	if (answers[1].size)
		answers[1].data[strcspn(answers[1].data, "\n")] = '\0';
	*ret = rc == 0 && good && !strstr(byoh_buffer_text(&answers[3]), "ACCEPT") &&
	       !byoh_firewalld_lets_in(byoh_buffer_text(&answers[2]), byoh_buffer_text(&answers[1]),
				       KUBELET_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		byoh_buffer_release(&answers[i]);
	return rc;
}

static int gather_firewall(struct byoh_evidence *evidence, struct byoh_error *err)
{
	bool closed = false;
	int rc = firewalld_is_closed(&closed, err);
	const char *name = closed ? "firewalld"
			   : byoh_ufw_is_closed(evidence->host->root_fd) ? "ufw" : NULL;

	if (rc < 0 || !name)
		return rc;
	evidence->net.firewall = strdup(name);
	return evidence->net.firewall ? 0
				      : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

int byoh_gather_network(struct byoh_evidence *evidence, struct byoh_error *err)
{
	int rc;

	if (!evidence->host->live || !evidence->host->outside ||
	    !evidence->units[BYOH_DOCTOR_KUBELET].state)
		return 0;
	gather_routes(evidence);
	rc = gather_port(evidence, err);
	if (rc == 0)
		rc = gather_rules(evidence, err);
	return rc < 0 ? rc : gather_firewall(evidence, err);
}
