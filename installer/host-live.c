/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a running host: kernel, memory, cgroups, swap, systemd, the machine's identity. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/host-internal.h"
#include "installer/net/outside.h"
#include "installer/run.h"

#define CGROUP2_MAGIC 0x63677270
#define SMALL_FILE_MAX ((size_t)64 << 10)

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* The kernel writes white space and backslashes in names as \040. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
		    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 +
					(text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = 0;
}

static int add_swap(struct byoh_host *host, char *device, const char *type, const char *priority,
		    struct byoh_error *err)
{
	struct byoh_swap *grown = realloc(host->swaps, (host->swap_count + 1) * sizeof(*grown));
	struct byoh_swap *swap;
	const char *base;

	if (!grown)
		return out_of_memory(err);
	host->swaps = grown;
	swap = &grown[host->swap_count];
	unescape(device);
	base = strrchr(device, '/') ? strrchr(device, '/') + 1 : device;
	*swap = (struct byoh_swap){
		.device = strdup(device),
		.type = strdup(type),
		.zram = !strncmp(base, "zram", 4),
		.priority = (int)strtol(priority, NULL, 10),
	};
	host->swap_count++;
	return swap->device && swap->type ? 0 : out_of_memory(err);
}

int byoh_host_parse_swaps(char *text, struct byoh_host *host, struct byoh_error *err)
{
	char *rest = NULL, *line = strtok_r(text, "\n", &rest); /* the heading */

	while (line && (line = strtok_r(NULL, "\n", &rest))) {
		char *words = NULL, *device = strtok_r(line, " \t", &words);
		char *type = strtok_r(NULL, " \t", &words), *word, *last = NULL;
		int rc;

		while ((word = strtok_r(NULL, " \t", &words)))
			last = word;
		if (!device || !type || !last)
			continue;
		rc = add_swap(host, device, type, last, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int byoh_host_parse_interfaces(char *text, struct byoh_machine_identity *identity,
			       struct byoh_error *err)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *mac = strchr(line, ' '), **grown;

		/* six bytes that are not all zero: neither loopback nor InfiniBand nor a tunnel */
		if (!mac++ || strlen(mac) != 17 || !strcmp(mac, "00:00:00:00:00:00"))
			continue;
		for (char *p = mac; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		grown = realloc(identity->macs.items, (identity->macs.count + 1) * sizeof(*grown));
		if (!grown)
			return out_of_memory(err);
		identity->macs.items = grown;
		grown[identity->macs.count] = strdup(mac);
		if (!grown[identity->macs.count])
			return out_of_memory(err);
		identity->macs.count++;
	}
	return 0;
}

static int gather_identity(struct byoh_host *host, struct byoh_error *err)
{
	static const char *const places[] = { "/sys/class/dmi/id/product_serial",
					      "/sys/class/dmi/id/product_uuid" };
	CLEANUP_BUFFER struct byoh_buffer interfaces = { 0 };
	const char **const words[] = { &host->identity.serial, &host->identity.uuid };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *word = byoh_host_word(host->root_fd, places[i]);

		if (!word)
			return out_of_memory(err);
		if (word[0])
			*words[i] = word;
		else
			free(word);
	}
	/* Without the helper we would see our own, empty namespace's. */
	if (!host->outside || byoh_outside_interfaces(host->outside, &interfaces, NULL) < 0 ||
	    !interfaces.size)
		return 0;
	return byoh_host_parse_interfaces(interfaces.data, &host->identity, err);
}

static uint64_t memory_bytes(int root_fd)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *line;

	if (byoh_host_read(root_fd, "/proc/meminfo", SMALL_FILE_MAX, &text, NULL) < 0)
		return 0;
	line = strstr(byoh_buffer_text(&text), "MemTotal:");
	return line ? strtoull(line + strlen("MemTotal:"), NULL, 10) * 1024 : 0;
}

/* "systemd 252 (252.38-1~deb12u1)" */
static unsigned int systemd_version(void)
{
	static const char *const argv[] = { "systemctl", "--version", NULL };
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const struct byoh_run run = { .argv = argv, .output = &output, .timeout_seconds = 30 };
	int status;

	if (byoh_run(&run, &status, NULL) < 0 || status ||
	    strncmp(byoh_buffer_text(&output), "systemd ", 8))
		return 0;
	return (unsigned int)strtoul(byoh_buffer_text(&output) + 8, NULL, 10);
}

static int gather_swaps(struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (byoh_host_read(host->root_fd, "/proc/swaps", SMALL_FILE_MAX, &text, NULL) < 0 ||
	    !text.size)
		return 0; /* a kernel without swap has no such file */
	return byoh_host_parse_swaps(text.data, host, err);
}

/* Only systemd's own hierarchy is named after units. */
static bool is_of_systemd(const char *line)
{
	const char *names = strchr(line, ':');

	return names && (strncmp(names, "::/", 3) == 0 || strncmp(names, ":name=systemd:/", 15) == 0);
}

char *byoh_host_unit_of(const char *cgroup)
{
	static const char suffix[] = ".service";
	const char *start = NULL;
	size_t length = 0;

	for (const char *line = cgroup; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (!is_of_systemd(line))
			continue;
		for (const char *at = line + strcspn(line, "/\n"); *at == '/';) {
			size_t name = strcspn(++at, "/\n");

			if (name >= sizeof(suffix) && strncmp(at + name - strlen(suffix), suffix, strlen(suffix)) == 0) {
				start = at;
				length = name;
			}
			at += name;
		}
	}
	return start ? strndup(start, length) : NULL;
}

static int gather_own_unit(struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_FREE char *text = NULL;
	char path[64];

	/* Not /proc/self: links are not followed there. */
	snprintf(path, sizeof(path), "/proc/%ld/cgroup", (long)getpid());
	text = byoh_host_word(host->root_fd, path);
	if (!text)
		return out_of_memory(err);
	host->own_unit = byoh_host_unit_of(text);
	return 0;
}

int byoh_host_gather_live(struct byoh_host *host, struct byoh_error *err)
{
	struct utsname name;
	struct statfs cgroup;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int rc;

	if (uname(&name))
		return byoh_fail_errno(err, "cannot ask the kernel for its name");
	free(host->hostname);
	host->hostname = strdup(name.nodename);
	host->kernel_release = strdup(name.release);
	host->cgroup_controllers = byoh_host_word(host->root_fd,
						  "/sys/fs/cgroup/cgroup.controllers");
	if (!host->hostname || !host->kernel_release || !host->cgroup_controllers)
		return out_of_memory(err);
	host->memory_bytes = memory_bytes(host->root_fd);
	host->cores = cores > 0 ? (unsigned int)cores : 1;
	host->systemd_running = byoh_host_exists(host->root_fd, "/run/systemd/system");
	host->systemd_version = systemd_version();
	host->cgroup_v2 = !statfs("/sys/fs/cgroup", &cgroup) && cgroup.f_type == CGROUP2_MAGIC;
	rc = gather_own_unit(host, err);
	if (rc == 0)
		rc = gather_swaps(host, err);
	return rc < 0 ? rc : gather_identity(host, err);
}
