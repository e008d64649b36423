/* SPDX-License-Identifier: Apache-2.0 */
/* Container runtimes that are there and that we did not bring: where they lie, and which version. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/host-internal.h"
#include "installer/run.h"
#include "installer/state.h"

#define ADOPTED_MAX ((size_t)64 << 10)
#define DPKG_STATUS_MAX ((size_t)64 << 20)
#define DPKG_LIST_MAX ((size_t)1 << 20)
#define SCAN_WINDOW ((size_t)1 << 20)

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int keep(char **field, const char *text, struct byoh_error *err)
{
	*field = strdup(text);
	return *field ? 0 : out_of_memory(err);
}

/* A line of the list that an adoption left. */
static bool is_adopted(const struct byoh_host *host, const char *path)
{
	size_t length = strlen(path);

	for (const char *line = host->adopted; line && *line;) {
		size_t end = strcspn(line, "\n");

		if (end == length && !strncmp(line, path, length))
			return true;
		line += end + (line[end] == '\n');
	}
	return false;
}

bool byoh_host_is_ours(const struct byoh_host *host, const char *path)
{
	return host->carries_release && !strncmp(path, "/usr/local/", strlen("/usr/local/")) &&
	       !is_adopted(host, path);
}

/* A masked unit (a link to /dev/null) is nobody's. */
static bool is_there(const struct byoh_host *host, const char *path)
{
	CLEANUP_BUFFER struct byoh_buffer real = { 0 };

	return byoh_host_resolve(host->root_fd, path, &real, NULL) == 0 &&
	       strcmp(byoh_buffer_text(&real), "/dev/null");
}

/* The first of the paths (ended by NULL) that is there; may_be_ours: unless it is ours. */
static int find_foreign(const struct byoh_host *host, const char *const *paths, bool may_be_ours,
			char **ret, struct byoh_error *err)
{
	for (; *paths; paths++)
		if (!(may_be_ours && byoh_host_is_ours(host, *paths)) && is_there(host, *paths))
			return keep(ret, *paths, err);
	return 0;
}

int byoh_host_foreign_program(const struct byoh_host *host, const char *name, char **ret,
			      struct byoh_error *err)
{
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					       "/usr/bin",	  "/sbin",	    "/bin" };

	*ret = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[BYOH_PATH_MAX];
		struct stat st;

		if (snprintf(path, sizeof(path), "%s/%s", folders[i], name) >= (int)sizeof(path) ||
		    byoh_host_is_ours(host, path) || byoh_host_stat(host->root_fd, path, &st, NULL) < 0 ||
		    !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
			continue;
		return keep(ret, path, err);
	}
	return 0;
}

/* "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1": the third word. */
static char *third_word(const char *text)
{
	for (int word = 0; word < 2; word++) {
		text += strcspn(text, " \n");
		text += strspn(text, " ");
	}
	return strndup(text, strcspn(text, " \n"));
}

static char *version_by_itself(const struct byoh_host *host)
{
	const char *const argv[] = { host->containerd_program, "--version", NULL };
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const struct byoh_run run = { .argv = argv, .output = &output, .timeout_seconds = 30 };
	int status;

	if (!host->live || byoh_run(&run, &status, NULL) < 0 || status)
		return NULL;
	return third_word(byoh_buffer_text(&output));
}

static bool package_holds(const struct byoh_host *host, const char *package)
{
	CLEANUP_BUFFER struct byoh_buffer list = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "/var/lib/dpkg/info/%s.list", package);
	if (byoh_host_read(host->root_fd, path, DPKG_LIST_MAX, &list, NULL) < 0)
		return false;
	for (const char *line = byoh_buffer_text(&list); *line;) {
		size_t end = strcspn(line, "\n");

		if (end == strlen(host->containerd_program) &&
		    !strncmp(line, host->containerd_program, end))
			return true;
		line += end + (line[end] == '\n');
	}
	return false;
}

/* The value of a field in a paragraph, which ends at an empty line. */
static const char *field_of(const char *paragraph, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = paragraph; *line && *line != '\n';) {
		if (!strncmp(line, name, length))
			return line + length;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return NULL;
}

static bool line_is(const char *text, const char *line)
{
	return text && !strncmp(text, line, strlen(line)) && text[strlen(line)] == '\n';
}

char *byoh_host_dpkg_version(const char *status, const char *package)
{
	for (const char *at = status; at && *at; at = strstr(at, "\n\n"), at += at ? 2 : 0) {
		const char *version, *epoch;
		size_t length;

		if (!line_is(field_of(at, "Package: "), package) ||
		    !line_is(field_of(at, "Status: "), "install ok installed"))
			continue;
		version = field_of(at, "Version: ");
		if (!version)
			return NULL;
		length = strcspn(version, "\n");
		epoch = memchr(version, ':', length);
		return epoch ? strndup(epoch + 1, length - (size_t)(epoch + 1 - version))
			     : strndup(version, length);
	}
	return NULL;
}

static char *version_by_dpkg(const struct byoh_host *host)
{
	static const char *const packages[] = { "containerd", "containerd.io", "containerd-stable",
						"moby-containerd" };
	CLEANUP_BUFFER struct byoh_buffer status = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
		if (!package_holds(host, packages[i]))
			continue;
		if (byoh_host_read(host->root_fd, "/var/lib/dpkg/status", DPKG_STATUS_MAX, &status,
				   NULL) < 0)
			return NULL;
		return byoh_host_dpkg_version(byoh_buffer_text(&status), packages[i]);
	}
	return NULL;
}

/* What a program written in Go says of itself without being run: names of packages, of fields and
 * of services stand in it as text. */
static const struct mark {
	const char *text, *version; /* it is that one or newer */
} marks[] = {
	{ "toml:\"bin_dirs\"", "2.1" },
	{ "github.com/containerd/containerd/v2/", "2.0" },
	{ "/runtime.v1.RuntimeService/", "1.6" },
	{ "github.com/containerd/containerd/services/", "1.0" },
};

static void look_for_marks(const char *window, size_t size, bool found[ARRAY_SIZE(marks)])
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!found[i])
			found[i] = memmem(window, size, marks[i].text, strlen(marks[i].text));
}

/* Windows overlap, so that none of the marks is cut in two. */
static char *version_by_marks(const struct byoh_host *host)
{
	CLEANUP_FD int fd = byoh_host_open(host->root_fd, host->containerd_program,
					   O_RDONLY | O_NONBLOCK | O_NOCTTY, NULL);
	CLEANUP_FREE char *window = malloc(SCAN_WINDOW);
	bool found[ARRAY_SIZE(marks)] = { false };
	size_t kept = 0;

	while (fd >= 0 && window) {
		ssize_t got = read(fd, window + kept, SCAN_WINDOW - kept);
		size_t size = kept + (got > 0 ? (size_t)got : 0);

		if (got <= 0)
			break;
		look_for_marks(window, size, found);
		kept = size < 64 ? size : 64;
		memmove(window, window + size - kept, kept);
	}
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (found[i])
			return strdup(marks[i].version);
	return NULL;
}

/* Below a root nothing of it is run. */
static int gather_version(struct byoh_host *host, struct byoh_error *err)
{
	if (host->containerd_program)
		host->containerd_version = version_by_itself(host);
	if (host->containerd_program && !host->containerd_version)
		host->containerd_version = version_by_dpkg(host);
	if (host->containerd_program && !host->containerd_version) {
		host->containerd_version = version_by_marks(host);
		host->containerd_version_is_floor = host->containerd_version;
	}
	return host->containerd_version ? 0 : keep(&host->containerd_version, "", err);
}

static bool docker_is_active(const struct byoh_host *host)
{
	const char *const argv[] = { "systemctl", "is-active", "--quiet", "docker.service", NULL };
	const struct byoh_run run = { .argv = argv, .timeout_seconds = 30 };
	int status;

	return host->docker_path && host->live &&
	       byoh_host_exists(host->root_fd, "/run/systemd/system") &&
	       byoh_run(&run, &status, NULL) == 0 && !status;
}

/* Ours are the program in /usr/local of a host that carries a release of ours, and a unit there,
 * unless they were adopted. */
int byoh_host_gather_runtime(struct byoh_host *host, struct byoh_error *err)
{
	static const char *const units[] = { "/etc/systemd/system/containerd.service",
					     "/usr/local/lib/systemd/system/containerd.service",
					     "/usr/lib/systemd/system/containerd.service",
					     "/lib/systemd/system/containerd.service", NULL };
	static const char *const docker[] = { "/usr/bin/dockerd",
					      "/usr/local/bin/dockerd",
					      "/usr/lib/systemd/system/docker.service",
					      "/lib/systemd/system/docker.service",
					      "/etc/systemd/system/docker.service",
					      NULL };
	CLEANUP_BUFFER struct byoh_buffer adopted = { 0 };
	const char *found;
	int rc;

	host->carries_release = byoh_exists_beneath(host->root_fd, BYOH_STATE_PATH);
	if (byoh_host_read(host->root_fd, BYOH_ADOPTED_PATH, ADOPTED_MAX, &adopted, NULL) == 0)
		rc = keep(&host->adopted, byoh_buffer_text(&adopted), err);
	else
		rc = keep(&host->adopted, "", err);
	if (rc == 0)
		rc = byoh_host_foreign_program(host, "containerd", &host->containerd_program, err);
	if (rc == 0)
		rc = find_foreign(host, units, true, &host->containerd_unit, err);
	if (rc == 0)
		rc = find_foreign(host, docker, false, &host->docker_path, err);
	if (rc == 0)
		rc = gather_version(host, err);
	if (rc < 0)
		return rc;
	found = host->containerd_program ? host->containerd_program :
		host->containerd_unit	 ? host->containerd_unit :
					   host->docker_path;
	host->docker_active = docker_is_active(host);
	return found ? keep(&host->containerd_path, found, err) : 0;
}
