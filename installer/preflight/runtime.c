/* SPDX-License-Identifier: Apache-2.0 */
/* Container runtimes and kubelets that are there already, and whether bundle and config fit
 * together. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/preflight/checks.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/steps-internal.h"

#define SMALL_FILE_MAX ((size_t)1 << 20)

/* Whatever else the plan would do with it: what the step says goes for the check. */
static int check_adopted(const struct byoh_plan_input *input, struct byoh_check_report *report)
{
	const struct byoh_host *host = input->host;
	struct byoh_step step = { .name = "containerd" };
	struct byoh_error cause = BYOH_ERROR_INIT;
	struct byoh_kubernetes_version kubernetes;
	unsigned int major, minor;
	int rc = byoh_step_containerd(input, &step, &cause);

	byoh_step_release(&step);
	if (rc < 0) {
		byoh_check_remedy(report, "mend what is named, or set containerd.existing: replace");
		return byoh_check_fail(report, "%.250s", cause.message);
	}
	byoh_check_remedy(report, "upgrade it, or set containerd.existing: replace");
	if (input->manifest->kubernetes &&
	    byoh_kubernetes_version_parse(input->manifest->kubernetes, &kubernetes, NULL) == 0 &&
	    byoh_steps_containerd_version(input, &major, &minor, NULL) == 0 && major < 2 &&
	    kubernetes.minor >= 36)
		return byoh_check_warn(report, "Kubernetes %s is made for containerd 2.2 or newer; %s is %s",
				       input->manifest->kubernetes, host->containerd_program,
				       host->containerd_version);
	report->remedy[0] = 0;
	return byoh_check_pass(report, "%s %s%s is adopted%s", host->containerd_program,
			       host->containerd_version,
			       host->containerd_version_is_floor ? " or newer" : "",
			       host->docker_path ? ", and docker goes on with it" : "");
}

/* A command of its own in a drop-in would run in our unit too. */
static int check_no_command(const char *path, const char *text, struct byoh_error *err)
{
	if (strncmp(text, "ExecStart=", strlen("ExecStart=")) && !strstr(text, "\nExecStart="))
		return 0;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EEXIST, "%s", path);
}

static int check_replaced(const struct byoh_plan_input *input, struct byoh_check_report *report)
{
	static const char *const enabled[] = {
		"/etc/systemd/system/multi-user.target.wants/docker.service",
		"/etc/systemd/system/sockets.target.wants/docker.socket" };
	const struct byoh_host *host = input->host;
	struct byoh_error cause = BYOH_ERROR_INIT;

	if (host->docker_active) {
		byoh_check_remedy(report, "systemctl disable --now docker.socket docker.service, or set "
					  "containerd.existing: adopt");
		return byoh_check_fail(report,
				       "docker runs, and its containers would lose the containerd that "
				       "holds them");
	}
	if (byoh_steps_containerd_unit_texts(host, NULL, check_no_command, &cause) < 0) {
		byoh_check_remedy(report, "remove it: it would start another program in our unit");
		return byoh_check_fail(report, "%.200s changes the command of containerd.service",
				       cause.message);
	}
	for (size_t i = 0; host->docker_path && i < ARRAY_SIZE(enabled); i++) {
		if (!byoh_steps_exists(host, enabled[i]))
			continue;
		byoh_check_remedy(report, "systemctl disable docker.socket docker.service");
		return byoh_check_warn(report, "docker starts at boot and will work with the bundle's "
					       "containerd");
	}
	return byoh_check_pass(report, "%.200s makes room for the bundle's containerd",
			       host->containerd_path);
}

static int check_refused(const struct byoh_plan_input *input, struct byoh_check_report *report)
{
	const struct byoh_host *host = input->host;

	byoh_check_remedy(report, "%s: apt-get purge containerd containerd.io docker.io docker-ce, or dnf "
				  "remove containerd.io docker-ce",
			  host->containerd_program
				  ? "set containerd.existing to adopt or replace, or remove its package"
				  : "set containerd.existing: replace, or remove its package");
	return byoh_check_fail(report,
			       "a containerd or docker that is not ours is installed: %.180s",
			       host->containerd_path);
}

static int check_container_runtime(const struct byoh_plan_input *input,
				   struct byoh_check_report *report, struct byoh_error *err)
{
	const char *found = input->host->containerd_path;

	(void)err;
	if (!byoh_steps_brings(input, BYOH_BIN_CONTAINERD) && !byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings neither kubelet nor containerd");
	if (byoh_steps_adopts(input))
		return check_adopted(input, report);
	if (byoh_steps_replaces(input))
		return check_replaced(input, report);
	if (found)
		return check_refused(input, report);
	if (byoh_check_has_containerd(input))
		return byoh_check_pass(report, "no other one is installed");
	byoh_check_remedy(report, "take a bundle that brings containerd");
	return byoh_check_fail(report, "the bundle brings a kubelet and no containerd");
}

/* A socket that nobody listens on is a leftover of a runtime that was removed. */
static bool answers(const char *path)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	return fd >= 0 &&
	       (!connect(fd, (const struct sockaddr *)&to, sizeof(to)) || errno == EAGAIN);
}

/* containerd's own, the first, where it is adopted or makes room; docker's, the second, where it stays. */
static bool is_expected(const struct byoh_plan_input *input, size_t socket)
{
	return (socket == 0 && byoh_steps_replaces(input)) ||
	       (socket <= 1 && byoh_steps_adopts(input));
}

static int check_runtime_socket(const struct byoh_plan_input *input,
				struct byoh_check_report *report, struct byoh_error *err)
{
	static const char *const sockets[] = { "/run/containerd/containerd.sock",
					       "/run/docker.sock", "/run/crio/crio.sock",
					       "/run/k3s/containerd/containerd.sock" };

	(void)err;
	if (!byoh_check_has_containerd(input))
		return byoh_check_skip(report, "the bundle brings no containerd");
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		if (is_expected(input, i) || !answers(sockets[i]))
			continue;
		byoh_check_remedy(report,
				  "stop and remove the runtime behind it: ss -xlp src %s names it",
				  sockets[i]);
		return byoh_check_fail(report, "a container runtime runs already: %s answers",
				       sockets[i]);
	}
	return byoh_check_pass(report, "no other one runs");
}

/* disabled_plugins = ["cri"], also on several lines; a comment is none. */
bool byoh_check_disables_cri(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *cri;

		line += *line == '\n';
		line += strspn(line, " \t");
		if (strncmp(line, "disabled_plugins", strlen("disabled_plugins")))
			continue;
		cri = strstr(line, "cri\"");
		if (!cri)
			cri = strstr(line, "cri'");
		if (cri && (size_t)(cri - line) < strcspn(line, "]"))
			return true;
	}
	return false;
}

/* Docker's package of containerd switches CRI off. */
static int check_cri_disabled(const struct byoh_plan_input *input, struct byoh_check_report *report,
			      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	(void)err;
	if (!byoh_check_has_containerd(input))
		return byoh_check_skip(report, "the bundle brings no containerd");
	if (byoh_steps_adopts(input) || byoh_steps_replaces(input))
		return byoh_check_pass(report, "whatever " BYOH_CONTAINERD_CONFIG
					       " says of it, it will be on");
	if (byoh_host_read(input->host->root_fd, BYOH_CONTAINERD_CONFIG, SMALL_FILE_MAX, &text,
			   NULL) < 0)
		return byoh_check_pass(report, "no " BYOH_CONTAINERD_CONFIG);
	if (!byoh_check_disables_cri(byoh_buffer_text(&text)))
		return byoh_check_pass(report, "CRI is not switched off");
	byoh_check_remedy(report,
			  "set containerd.existing to adopt or replace, or remove Docker's package of "
			  "containerd, then " BYOH_CONTAINERD_CONFIG);
	return byoh_check_fail(report,
			       BYOH_CONTAINERD_CONFIG " switches CRI off (disabled_plugins)");
}

static int check_kubelet_installed(const struct byoh_plan_input *input,
				   struct byoh_check_report *report, struct byoh_error *err)
{
	static const char *const places[] = { "/usr/bin/kubelet",
					      "/usr/sbin/kubelet",
					      BYOH_BIN_KUBELET,
					      "/etc/systemd/system/kubelet.service",
					      "/usr/lib/systemd/system/kubelet.service",
					      "/lib/systemd/system/kubelet.service" };

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (!byoh_host_exists(input->host->root_fd, places[i]))
			continue;
		if (byoh_steps_adopts_node(input))
			return byoh_check_pass(report, "%s stays: the node is adopted", places[i]);
		byoh_check_remedy(report, "remove it or its package: apt-get purge kubelet "
					  "kubeadm, or dnf remove kubelet "
					  "kubeadm");
		return byoh_check_fail(report, "a kubelet that is not ours is installed: %s",
				       places[i]);
	}
	return byoh_check_pass(report, "no other one is installed");
}

/* Drop-ins bend every unit of the name: 10-kubeadm.conf replaces the command of ours. */
static int check_kubelet_dropins(const struct byoh_plan_input *input,
				 struct byoh_check_report *report, struct byoh_error *err)
{
	static const char *const folders[] = { "/etc/systemd/system/kubelet.service.d",
					       "/usr/lib/systemd/system/kubelet.service.d",
					       "/lib/systemd/system/kubelet.service.d",
					       BYOH_UNIT_DIR "/kubelet.service.d" };
	static const char *const suffixes[] = { ".conf", NULL };
	char name[256];

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (!byoh_check_directory_has(input->host, folders[i], suffixes, name))
			continue;
		byoh_check_remedy(report, "remove %s, or the package that owns it", folders[i]);
		if (byoh_steps_adopts_node(input))
			return byoh_check_warn(report, "%s/%.130s stays, and would bend the unit that the agent writes when "
						       "a cluster claims this node", folders[i], name);
		return byoh_check_fail(report, "%s/%.150s would change our kubelet's unit",
				       folders[i], name);
	}
	return byoh_check_pass(report, "none");
}

static int check_iptables(const struct byoh_plan_input *input, struct byoh_check_report *report,
			  struct byoh_error *err)
{
	(void)err;
	if (!byoh_check_needs_iptables(input))
		return byoh_check_skip(report, "what the bundle brings needs none");
	if (input->host->has_iptables)
		return byoh_check_pass(report, "the host has it");
	if (byoh_steps_brings(input, "/usr/local/lib/byoh/xtables-nft-multi"))
		return byoh_check_pass(report, "the bundle brings it");
	byoh_check_remedy(
		report,
		"install the package iptables, or take a bundle that brings xtables-nft-multi");
	return byoh_check_fail(report, "neither the host nor the bundle has iptables");
}

static int check_sandbox_image(const struct byoh_plan_input *input,
			       struct byoh_check_report *report, struct byoh_error *err)
{
	struct byoh_error cause = BYOH_ERROR_INIT;
	const char *image = NULL;

	(void)err;
	if (!byoh_check_has_containerd(input))
		return byoh_check_skip(report, "the bundle brings no containerd");
	byoh_check_remedy(
		report,
		"set containerd.sandboxImage to an image of the bundle (byoh-install inspect lists "
		"them), or take a bundle with a pause image");
	if (byoh_steps_sandbox_image(input, &image, &cause) < 0)
		return byoh_check_fail(report, "%.250s", cause.message);
	if (!image)
		return byoh_check_warn(
			report, "the bundle has no pause image: pods wait for one from a registry");
	return byoh_check_pass(report, "%.250s", image);
}

static int missing_part(struct byoh_check_report *report, enum byoh_join_mode mode,
			const char *part)
{
	byoh_check_remedy(report, "take a bundle that brings it, or set another join.mode");
	return byoh_check_fail(report, "join.mode %s needs %s, which the bundle does not bring",
			       byoh_join_mode_name(mode), part);
}

static int check_join_mode(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	enum byoh_join_mode mode = config->join_mode;

	(void)err;
	if (mode == BYOH_JOIN_NONE)
		return byoh_check_pass(report, "none: the host is only prepared");
	if (mode == BYOH_JOIN_KUBEADM && !byoh_steps_brings(input, BYOH_BIN_KUBEADM))
		return missing_part(report, mode, BYOH_BIN_KUBEADM);
	if (mode == BYOH_JOIN_AGENT && !byoh_check_has_agent(input))
		return missing_part(report, mode, BYOH_BIN_AGENT);
	if (!byoh_check_has_kubelet(input))
		return missing_part(report, mode, BYOH_BIN_KUBELET);
	if (config->cluster.ca_pin && !config->cluster.ca.size)
		return byoh_check_pass(report, "%s, once the cluster's CA is found by its pin",
				       byoh_join_mode_name(mode));
	return byoh_check_pass(report, "%s", byoh_join_mode_name(mode));
}

static int check_elf_needs(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	(void)input;
	(void)err;
	return byoh_check_skip(report, "install looks at each program when it is unpacked");
}

const struct byoh_check byoh_checks_runtime[] = {
	{ .id = "join-mode", .run = check_join_mode },
	{ .id = "container-runtime", .run = check_container_runtime },
	{ .id = "runtime-socket",
	  .live_only = true,
	  .fresh_only = true,
	  .run = check_runtime_socket },
	{ .id = "cri-disabled", .fresh_only = true, .run = check_cri_disabled },
	{ .id = "kubelet-installed", .fresh_only = true, .run = check_kubelet_installed },
	{ .id = "kubelet-dropins", .fresh_only = true, .run = check_kubelet_dropins },
	{ .id = "iptables", .run = check_iptables },
	{ .id = "sandbox-image", .run = check_sandbox_image },
	{ .id = BYOH_CHECK_ELF_NEEDS, .live_only = true, .run = check_elf_needs },
	{ .id = NULL },
};
