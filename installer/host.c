/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/host-internal.h"

#define SMALL_FILE_MAX ((size_t)64 << 10)
#define OWN_PROGRAMS "/usr/local/lib/byoh/"

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

char *byoh_host_word(int root_fd, const char *path)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *start;
	size_t length;

	if (byoh_host_read(root_fd, path, SMALL_FILE_MAX, &text, NULL) < 0)
		return strdup("");
	start = byoh_buffer_text(&text);
	start += strspn(start, " \t\r\n");
	for (length = strlen(start); length && isspace((unsigned char)start[length - 1]); length--)
		;
	return strndup(start, length);
}

/* os-release(5): KEY=value, with or without quotes, backslashes before special characters. */
static char *os_release_value(const char *text, const char *key)
{
	CLEANUP_FREE char *value = calloc(1, strlen(text) + 1);
	size_t key_length = strlen(key), out = 0;

	if (!value)
		return NULL;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *at = line + (*line == '\n');
		char quote = 0;

		line = at;
		if (strncmp(at, key, key_length) || at[key_length] != '=')
			continue;
		at += key_length + 1;
		if (*at == '"' || *at == '\'')
			quote = *at++;
		for (out = 0; *at && *at != '\n' && *at != quote; at++) {
			if (*at == '\\' && quote != '\'' && at[1] && at[1] != '\n')
				at++;
			value[out++] = *at;
		}
		value[out] = 0;
	}
	return TAKE_PTR(value);
}

static int gather_os_release(struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *release;

	if (byoh_host_read(host->root_fd, "/etc/os-release", SMALL_FILE_MAX, &text, NULL) < 0 &&
	    byoh_host_read(host->root_fd, "/usr/lib/os-release", SMALL_FILE_MAX, &text, NULL) < 0)
		text.size = 0;
	release = text.size ? text.data : "";
	host->os_id = os_release_value(release, "ID");
	host->os_version_id = os_release_value(release, "VERSION_ID");
	host->os_pretty_name = os_release_value(release, "PRETTY_NAME");
	return host->os_id && host->os_version_id && host->os_pretty_name ? 0 : out_of_memory(err);
}

static int gather_names(struct byoh_host *host, struct byoh_error *err)
{
	host->hostname = byoh_host_word(host->root_fd, "/etc/hostname");
	host->machine_id = byoh_host_word(host->root_fd, "/etc/machine-id");
	if (!host->hostname || !host->machine_id)
		return out_of_memory(err);
	if (!strcmp(host->machine_id, "uninitialized"))
		host->machine_id[0] = 0;
	return 0;
}

/* Our units go there; a link in the way (some read-only systems keep /usr/local elsewhere) is
 * nothing that files are written through. */
static bool unit_directory_is_plain(int root_fd)
{
	static const char *const parts[] = { "/usr", "/usr/local", "/usr/local/lib",
					     "/usr/local/lib/systemd",
					     "/usr/local/lib/systemd/system" };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct stat st;

		if (byoh_stat_beneath(root_fd, parts[i], &st, NULL) < 0)
			return true; /* it will be made */
		if (!S_ISDIR(st.st_mode))
			return false;
	}
	return true;
}

static bool has_foreign_iptables(int root_fd)
{
	static const char *const places[] = { "/usr/local/sbin/iptables", "/usr/local/bin/iptables",
					      "/usr/sbin/iptables",	  "/usr/bin/iptables",
					      "/sbin/iptables",		  "/bin/iptables" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP_BUFFER struct byoh_buffer real = { 0 };

		if (byoh_host_resolve(root_fd, places[i], &real, NULL) == 0 &&
		    strncmp(byoh_buffer_text(&real), OWN_PROGRAMS, strlen(OWN_PROGRAMS)))
			return true;
	}
	return false;
}

static bool has_resolved(const struct byoh_host *host)
{
	if (host->live)
		return byoh_host_exists(host->root_fd, "/run/systemd/resolve/resolv.conf");
	return byoh_exists_beneath(
		       host->root_fd,
		       "/etc/systemd/system/multi-user.target.wants/systemd-resolved.service") ||
	       byoh_exists_beneath(
		       host->root_fd,
		       "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service");
}

static int gather_selinux(struct byoh_host *host, struct byoh_error *err)
{
	const char *place = host->live ? "/sys/fs/selinux/enforce" : "/etc/selinux/config";
	CLEANUP_FREE char *text = byoh_host_word(host->root_fd, place);

	if (!text)
		return out_of_memory(err);
	if (host->live) {
		host->selinux_enabled = text[0] != 0;
		host->selinux_enforcing = text[0] == '1';
		return 0;
	}
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "SELINUX=enforcing", 17))
			host->selinux_enforcing = true;
		if (!strncmp(line, "SELINUX=permissive", 18) || host->selinux_enforcing)
			host->selinux_enabled = true;
	}
	return 0;
}

static int open_root(struct byoh_host *host, const char *root, struct byoh_error *err)
{
	host->root = realpath(root ? root : "/", NULL);
	if (!host->root)
		return byoh_fail(err, BYOH_ERROR_USAGE, errno, "--root %s: %s", root ? root : "/",
				 strerror(errno));
	host->root_fd = open(host->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host->root_fd < 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, errno, "--root %s: %s", host->root,
				 strerror(errno));
	host->live = !strcmp(host->root, "/");
	return 0;
}

/* "serial X", "uuid X", "mac X": what a root is made for says who made it, while it is being made. */
static int take_machine_line(struct byoh_host *host, char *line, struct byoh_error *err)
{
	char *value = strchr(line, ' ');
	char *copy = value ? strdup(value + 1) : NULL, **macs;

	if (!value)
		return 0;
	*value = 0;
	if (!copy)
		return out_of_memory(err);
	if (!strcmp(line, "serial") && !host->identity.serial) {
		host->identity.serial = copy;
	} else if (!strcmp(line, "uuid") && !host->identity.uuid) {
		host->identity.uuid = copy;
	} else if (!strcmp(line, "mac")) {
		macs = realloc(host->identity.macs.items, (host->identity.macs.count + 1) * sizeof(*macs));
		if (!macs) {
			free(copy);
			return out_of_memory(err);
		}
		host->identity.macs.items = macs;
		macs[host->identity.macs.count++] = copy;
	} else {
		free(copy);
	}
	return 0;
}

static int gather_machine(struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char *rest, *line;
	int rc = 0;

	if (byoh_host_read(host->root_fd, BYOH_MACHINE_FILE, SMALL_FILE_MAX, &text, NULL) < 0)
		return 0;
	rest = text.data;
	while (!rc && rest && (line = strsep(&rest, "\n")))
		rc = take_machine_line(host, line, err);
	return rc;
}

static int gather(struct byoh_host *host, struct byoh_error *err)
{
	int rc;

	rc = gather_os_release(host, err);
	if (rc == 0)
		rc = gather_names(host, err);
	if (rc == 0)
		rc = byoh_host_gather_runtime(host, err);
	if (rc == 0)
		rc = gather_selinux(host, err);
	if (rc < 0)
		return rc;
	host->has_systemd = byoh_host_exists(host->root_fd, "/usr/lib/systemd/systemd") ||
			    byoh_host_exists(host->root_fd, "/lib/systemd/systemd");
	host->usr_local_unit_dir_ok = unit_directory_is_plain(host->root_fd);
	host->has_iptables = has_foreign_iptables(host->root_fd);
	host->has_resolved = has_resolved(host);
	if (host->live)
		return byoh_host_gather_live(host, err);
	host->kernel_release = strdup("");
	host->cgroup_controllers = strdup("");
	return host->kernel_release && host->cgroup_controllers ? gather_machine(host, err) : out_of_memory(err);
}

int byoh_host_gather(const char *root, struct byoh_outside *outside, struct byoh_host **ret,
		     struct byoh_error *err)
{
	CLEANUP_HOST struct byoh_host *host = calloc(1, sizeof(*host));
	int rc;

	if (!host)
		return out_of_memory(err);
	host->root_fd = -1;
	host->outside = outside;
	rc = open_root(host, root, err);
	if (rc == 0)
		rc = gather(host, err);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(host);
	return 0;
}

void byoh_host_free(struct byoh_host *host)
{
	if (!host)
		return;
	byoh_cleanup_fd(&host->root_fd);
	for (size_t i = 0; i < host->swap_count; i++) {
		free(host->swaps[i].device);
		free(host->swaps[i].type);
	}
	for (size_t i = 0; i < host->identity.macs.count; i++)
		free(host->identity.macs.items[i]);
	free(host->swaps);
	free(host->identity.macs.items);
	free((char *)host->identity.serial);
	free((char *)host->identity.uuid);
	free(host->root);
	free(host->os_id);
	free(host->os_version_id);
	free(host->os_pretty_name);
	free(host->hostname);
	free(host->machine_id);
	free(host->containerd_path);
	free(host->containerd_program);
	free(host->containerd_unit);
	free(host->containerd_version);
	free(host->docker_path);
	free(host->adopted);
	free(host->kernel_release);
	free(host->cgroup_controllers);
	free(host->own_unit);
	free(host);
}

void byoh_host_freep(struct byoh_host **host)
{
	byoh_host_free(*host);
}
