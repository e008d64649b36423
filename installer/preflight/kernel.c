/* SPDX-License-Identifier: Apache-2.0 */
/* The running kernel: version, configuration, cgroups, modules. */
#include <archive.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/net/outside.h"
#include "installer/preflight/checks.h"

#define CONFIG_MAX ((size_t)4 << 20)
#define MODULES_MAX ((size_t)16 << 20)

struct release {
	unsigned int major, minor;
};

static bool parse_release(const char *text, struct release *ret)
{
	return sscanf(text, "%u.%u", &ret->major, &ret->minor) == 2;
}

static bool at_least(const struct release *release, unsigned int major, unsigned int minor)
{
	return release->major > major || (release->major == major && release->minor >= minor);
}

static int check_kernel_version(const struct byoh_plan_input *input,
				struct byoh_check_report *report, struct byoh_error *err)
{
	const char *text = input->host->kernel_release;
	struct release release;

	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no part of a node");
	byoh_check_remedy(report, "use a kernel of 5.10 or newer");
	if (!parse_release(text, &release))
		return byoh_check_warn(report, "\"%.64s\" is no known form of a version", text);
	/* 4.18 is what RHEL 8 calls a kernel with much of 5.x in it */
	if (!at_least(&release, 4, 18))
		return byoh_check_fail(report, "%.64s is too old for containers on cgroup v2",
				       text);
	if (byoh_check_has_kube_proxy(input) &&
	    input->config->kube_proxy.mode == BYOH_PROXY_NFTABLES && !at_least(&release, 5, 13))
		return byoh_check_fail(
			report, "%.64s is too old for kube-proxy's mode nftables (5.13)", text);
	if (!at_least(&release, 5, 8))
		return byoh_check_warn(
			report, "%.64s: Kubernetes asks for 5.8 where cgroup v2 is used", text);
	return byoh_check_pass(report, "%.64s", text);
}

/* /proc/config.gz, by the library that reads the publisher's archives too. */
static int read_gzip(int root_fd, const char *path, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer packed = { 0 };
	struct archive_entry *entry;
	struct archive *archive;
	ssize_t got = -1;
	int rc;

	rc = byoh_host_read(root_fd, path, CONFIG_MAX, &packed, err);
	if (rc < 0)
		return rc;
	archive = archive_read_new();
	if (!archive)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	    archive_read_support_format_raw(archive) == ARCHIVE_OK &&
	    archive_read_open_memory(archive, packed.data, packed.size) == ARCHIVE_OK &&
	    archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
		rc = byoh_buffer_reserve(ret, CONFIG_MAX, err);
		if (rc == 0)
			got = archive_read_data(archive, ret->data + ret->size, CONFIG_MAX);
	}
	archive_read_free(archive);
	if (rc < 0)
		return rc;
	if (got < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG, "%s cannot be read", path);
	ret->size += (size_t)got;
	ret->data[ret->size] = 0;
	return 0;
}

static bool read_kernel_config(const struct byoh_host *host, struct byoh_buffer *ret)
{
	static const char *const places[] = { "/boot/config-%s",
					      "/usr/lib/modules/%s/config",
					      "/lib/modules/%s/config",
					      "/usr/lib/ostree-boot/config-%s",
					      "/usr/src/linux-headers-%s/.config",
					      "/lib/modules/%s/build/.config" };

	if (read_gzip(host->root_fd, "/proc/config.gz", ret, NULL) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *percent = strchr(places[i], '%');
		char path[512];

		snprintf(path, sizeof(path), "%.*s%.255s%s", (int)(percent - places[i]), places[i],
			 host->kernel_release, percent + 2);
		if (byoh_host_read(host->root_fd, path, CONFIG_MAX, ret, NULL) == 0)
			return true;
	}
	return false;
}

bool byoh_check_kernel_option(const char *text, const char *option)
{
	size_t length = strlen(option);

	for (const char *at = text; (at = strstr(at, option)); at += length)
		if (at - text >= 7 && !strncmp(at - 7, "CONFIG_", 7) &&
		    (at - text == 7 || at[-8] == '\n') && at[length] == '=' &&
		    (at[length + 1] == 'y' || at[length + 1] == 'm'))
			return true;
	return false;
}

/* What kubeadm's own check of the system asks for (system-validators 1.12), and what containers
 * need. */
static const char *const kernel_options[][2] = {
	{ "NAMESPACES", NULL },
	{ "NET_NS", NULL },
	{ "PID_NS", NULL },
	{ "IPC_NS", NULL },
	{ "UTS_NS", NULL },
	{ "CGROUPS", NULL },
	{ "CGROUP_BPF", NULL },
	{ "CGROUP_PIDS", NULL },
	{ "CGROUP_SCHED", NULL },
	{ "CPUSETS", NULL },
	{ "MEMCG", NULL },
	{ "FAIR_GROUP_SCHED", NULL },
	{ "INET", NULL },
	{ "PROC_FS", NULL },
	{ "OVERLAY_FS", "OVERLAYFS_FS" },
	{ "NETFILTER_XT_TARGET_REDIRECT", "IP_NF_TARGET_REDIRECT" },
	{ "NETFILTER_XT_MATCH_COMMENT", NULL },
};

static int check_kernel_config(const struct byoh_plan_input *input,
			       struct byoh_check_report *report, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char missing[200] = "";
	size_t length = 0;

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (!read_kernel_config(input->host, &text))
		return byoh_check_skip(report, "the kernel's configuration is nowhere to be read");
	for (size_t i = 0; i < ARRAY_SIZE(kernel_options); i++) {
		const char *other = kernel_options[i][1];

		if (byoh_check_kernel_option(byoh_buffer_text(&text), kernel_options[i][0]) ||
		    (other && byoh_check_kernel_option(byoh_buffer_text(&text), other)))
			continue;
		if (length < sizeof(missing))
			length += (size_t)snprintf(missing + length, sizeof(missing) - length,
						   " %s", kernel_options[i][0]);
	}
	if (!length)
		return byoh_check_pass(report, "%zu options are set", ARRAY_SIZE(kernel_options));
	byoh_check_remedy(report, "use a distribution's standard kernel");
	return byoh_check_fail(report, "not set:%s", missing);
}

static int check_cgroup_v2(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	(void)err;
	if (!byoh_check_has_kubelet(input) && !byoh_check_has_containerd(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor containerd");
	if (input->host->cgroup_v2)
		return byoh_check_pass(report, "/sys/fs/cgroup is cgroup2");
	byoh_check_remedy(
		report,
		"boot with the kernel argument systemd.unified_cgroup_hierarchy=1 and without "
		"systemd.legacy_systemd_cgroup_controller (GRUB_CMDLINE_LINUX, or grubby "
		"--update-kernel=ALL)");
	return byoh_check_fail(report, "/sys/fs/cgroup is cgroup v1 or a mixture");
}

static bool has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += length)
		if ((at == text || isspace((unsigned char)at[-1])) &&
		    (!at[length] || isspace((unsigned char)at[length])))
			return true;
	return false;
}

static int check_cgroup_controllers(const struct byoh_plan_input *input,
				    struct byoh_check_report *report, struct byoh_error *err)
{
	static const char *const needed[] = { "cpu", "cpuset", "memory", "pids" };
	char missing[64] = "";

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (!input->host->cgroup_v2)
		return byoh_check_skip(report, "not cgroup v2");
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!has_word(input->host->cgroup_controllers, needed[i]))
			strcat(strcat(missing, " "), needed[i]); /* four short words */
	if (!missing[0])
		return byoh_check_pass(report, "%.200s", input->host->cgroup_controllers);
	byoh_check_remedy(report, "boot with cgroup_enable=memory, or without cgroup_disable=");
	return byoh_check_fail(report, "controllers missing:%s", missing);
}

static bool same_name(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')))
			return false;
	return true;
}

/* Lines "kernel/fs/overlayfs/overlay.ko.xz: ..." */
bool byoh_check_module_listed(const char *text, const char *module)
{
	size_t length = strlen(module);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *name, *end;

		line += *line == '\n';
		end = line + strcspn(line, ":\n");
		for (name = end; name > line && name[-1] != '/'; name--)
			;
		if ((size_t)(end - name) > length + 2 && same_name(name, module, length) &&
		    !strncmp(name + length, ".ko", 3))
			return true;
	}
	return false;
}

static bool is_listed(const struct byoh_host *host, const char *list, const char *module)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[400];

	snprintf(path, sizeof(path), "/lib/modules/%.255s/%s", host->kernel_release, list);
	return byoh_host_read(host->root_fd, path, MODULES_MAX, &text, NULL) == 0 &&
	       byoh_check_module_listed(byoh_buffer_text(&text), module);
}

/* Loaded, built in, loadable, or its effect is there (kernels without module lists). */
static bool has_module(const struct byoh_host *host, const char *module)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%.64s", module);
	if (byoh_host_exists(host->root_fd, path) || is_listed(host, "modules.builtin", module) ||
	    is_listed(host, "modules.dep", module))
		return true;
	if (!strcmp(module, "overlay"))
		return byoh_host_read(host->root_fd, "/proc/filesystems", CONFIG_MAX, &text,
				      NULL) == 0 &&
		       has_word(byoh_buffer_text(&text), "overlay");
	if (!strcmp(module, "br_netfilter") && host->outside)
		return byoh_outside_sysctl_read(host->outside, "net.bridge.bridge-nf-call-iptables",
						&text, NULL) == 0;
	return false;
}

static int check_modules(const struct byoh_plan_input *input, struct byoh_check_report *report,
			 struct byoh_error *err)
{
	bool proxy = byoh_check_has_kube_proxy(input);
	const struct {
		const char *name;
		bool needed;
	} modules[] = {
		{ "overlay", byoh_check_has_containerd(input) },
		{ "br_netfilter", byoh_check_has_kubelet(input) },
		{ "ip_vs", proxy && input->config->kube_proxy.mode == BYOH_PROXY_IPVS },
		{ "nf_tables", proxy && input->config->kube_proxy.mode == BYOH_PROXY_NFTABLES },
	};
	char missing[64] = "";
	size_t needed = 0;

	(void)err;
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		needed += modules[i].needed;
		if (modules[i].needed && !has_module(input->host, modules[i].name))
			strcat(strcat(missing, " "), modules[i].name); /* four short words */
	}
	if (!needed)
		return byoh_check_skip(report, "what the bundle brings needs none");
	if (!missing[0])
		return byoh_check_pass(report, "%zu modules are there", needed);
	byoh_check_remedy(
		report,
		"install the whole set of modules of kernel %.64s (cloud images have packages of "
		"\"extra\" modules)",
		input->host->kernel_release);
	return byoh_check_fail(report, "neither loaded, built in nor in /lib/modules:%s", missing);
}

const struct byoh_check byoh_checks_kernel[] = {
	{ .id = "kernel-version", .live_only = true, .run = check_kernel_version },
	{ .id = "kernel-config", .live_only = true, .run = check_kernel_config },
	{ .id = "cgroup-v2", .live_only = true, .run = check_cgroup_v2 },
	{ .id = "cgroup-controllers", .live_only = true, .run = check_cgroup_controllers },
	{ .id = "modules", .live_only = true, .run = check_modules },
	{ .id = NULL },
};
