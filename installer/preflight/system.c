/* SPDX-License-Identifier: Apache-2.0 */
/* The machine and its base system: privilege, architecture, size, clock, systemd, programs,
 * policies. */
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"

#define MEMORY_MIN ((uint64_t)700 << 20)  /* below it kubelet, containerd and one pod do not fit */
#define MEMORY_FAIR ((uint64_t)1700 << 20) /* what kubeadm asks of a control plane */
#define CORES_FAIR 2
#define SYSTEMD_MIN 228	 /* first with cgroup v2 delegation that the kubelet can use */
#define SYSTEMD_FAIR 244 /* first to delegate cpuset */
#define CLOCK_SLACK \
	((uint64_t)24 * 3600) /* the builder's clock may be in another zone, or a little off */

static int check_root(const struct byoh_plan_input *input, struct byoh_check_report *report,
		      struct byoh_error *err)
{
	(void)input, (void)err;
	if (geteuid() == 0)
		return byoh_check_pass(report, "running as root");
	byoh_check_remedy(report, "run it with sudo or as root");
	return byoh_check_fail(report, "running as user %u", (unsigned int)geteuid());
}

static const char *bundle_word_for(const char *machine)
{
	return !strcmp(machine, "x86_64")    ? "amd64"
	       : !strcmp(machine, "aarch64") ? "arm64"
					     : machine;
}

static int check_architecture(const struct byoh_plan_input *input, struct byoh_check_report *report,
			      struct byoh_error *err)
{
	struct utsname name;

	if (uname(&name))
		return byoh_fail_errno(err, "cannot ask the kernel for its architecture");
	if (!strcmp(input->manifest->arch, bundle_word_for(name.machine)))
		return byoh_check_pass(report, "%s", input->manifest->arch);
	byoh_check_remedy(report, "take the bundle that was built for %s",
			  bundle_word_for(name.machine));
	return byoh_check_fail(report, "the bundle is for %s, this host is %s",
			       input->manifest->arch, name.machine);
}

static int check_systemd(const struct byoh_plan_input *input, struct byoh_check_report *report,
			 struct byoh_error *err)
{
	const struct byoh_host *host = input->host;

	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no service");
	if (host->live ? host->systemd_running : host->has_systemd)
		return byoh_check_pass(report, host->live ? "systemd runs this host" : "installed");
	byoh_check_remedy(report,
			  "the services of a node are systemd units: use a host that systemd runs");
	if (host->live)
		return byoh_check_fail(report,
				       "systemd does not run this host (no /run/systemd/system)");
	return byoh_check_warn(report, "there is no systemd below %.180s", host->root);
}

static int check_systemd_version(const struct byoh_plan_input *input,
				 struct byoh_check_report *report, struct byoh_error *err)
{
	unsigned int version = input->host->systemd_version;

	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no service");
	byoh_check_remedy(report, "use a distribution with systemd %u or newer", SYSTEMD_FAIR);
	if (!version)
		return byoh_check_warn(report, "systemctl does not tell the version of systemd");
	if (version < SYSTEMD_MIN)
		return byoh_check_fail(
			report, "systemd %u is too old for the systemd cgroup driver", version);
	if (version < SYSTEMD_FAIR)
		return byoh_check_warn(report, "systemd %u does not delegate cpuset", version);
	return byoh_check_pass(report, "systemd %u", version);
}

static int check_unit_directory(const struct byoh_plan_input *input,
				struct byoh_check_report *report, struct byoh_error *err)
{
	(void)err;
	if (!byoh_check_has_node_parts(input))
		return byoh_check_skip(report, "the bundle brings no service");
	if (input->host->usr_local_unit_dir_ok)
		return byoh_check_pass(report, BYOH_UNIT_DIR);
	byoh_check_remedy(report, "use a host where /usr/local/lib is a plain folder");
	return byoh_check_fail(report, "a link or file is in the way of " BYOH_UNIT_DIR);
}

static int check_memory(const struct byoh_plan_input *input, struct byoh_check_report *report,
			struct byoh_error *err)
{
	char size[32];

	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	byoh_check_remedy(report, "give the machine 2 GB of memory or more");
	byoh_format_size(input->host->memory_bytes, size);
	if (input->host->memory_bytes < MEMORY_MIN)
		return byoh_check_fail(report, "%s of memory", size);
	if (input->host->memory_bytes < MEMORY_FAIR)
		return byoh_check_warn(report, "%s of memory leave little for pods", size);
	return byoh_check_pass(report, "%s of memory", size);
}

static int check_cores(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	(void)err;
	if (!byoh_check_has_kubelet(input))
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (input->host->cores >= CORES_FAIR)
		return byoh_check_pass(report, "%u cores", input->host->cores);
	byoh_check_remedy(report, "give the machine %u cores or more", CORES_FAIR);
	return byoh_check_warn(report, "%u core", input->host->cores);
}

/* Dates decide nothing about trust; but no certificate of a cluster is valid on a host that lives
 * in the past, and the failure that follows is hard to read. */
static int check_clock(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	uint64_t now = (uint64_t)time(NULL), built = input->manifest->built;
	char today[32] = "", then[32] = "";
	time_t seconds;
	struct tm parts;

	(void)err;
	seconds = (time_t)now;
	if (gmtime_r(&seconds, &parts))
		strftime(today, sizeof(today), "%Y-%m-%d %H:%M", &parts);
	if (now + CLOCK_SLACK >= built)
		return byoh_check_pass(report, "%s UTC", today);
	seconds = (time_t)built;
	if (gmtime_r(&seconds, &parts))
		strftime(then, sizeof(then), "%Y-%m-%d %H:%M", &parts);
	byoh_check_remedy(
		report,
		"set it: date -u -s \"YYYY-MM-DD HH:MM\" && hwclock --systohc; name time servers "
		"of the site in host.ntp");
	if (!input->config->cluster.server)
		return byoh_check_warn(report, "the clock says %s UTC, the bundle was built %s",
				       today, then);
	return byoh_check_fail(
		report,
		"the clock says %s UTC, the bundle was built %s: certificates of the cluster "
		"would not be valid yet",
		today, then);
}

static int check_tools(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	const struct {
		const char *name;
		bool needed;
	} tools[] = {
		{ "mount", byoh_check_has_kubelet(input) },
		{ "umount", byoh_check_has_kubelet(input) },
		{ "losetup", byoh_check_has_kubelet(input) },
		{ "cp", byoh_check_has_kubelet(input) },
		{ "modprobe", byoh_check_has_node_parts(input) },
		{ "systemctl", byoh_check_has_node_parts(input) },
		{ "bash", byoh_check_has_agent(input) }, /* it runs its commands by /bin/bash -c */
		{ "ip", input->config->host.dummy_route },
		{ "nft", byoh_check_has_kube_proxy(input) &&
				 input->config->kube_proxy.mode == BYOH_PROXY_NFTABLES },
		{ "ipset", byoh_check_has_kube_proxy(input) &&
				   input->config->kube_proxy.mode == BYOH_PROXY_IPVS },
	};
	char missing[160] = "";
	size_t length = 0, needed = 0;

	(void)err;
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		needed += tools[i].needed;
		if (tools[i].needed && !byoh_host_has_program(input->host, tools[i].name))
			length += (size_t)snprintf(missing + length, sizeof(missing) - length,
						   "%s%s", length ? ", " : "", tools[i].name);
	}
	if (!needed)
		return byoh_check_skip(report, "what the bundle brings needs none");
	if (!length)
		return byoh_check_pass(report, "%zu programs are there", needed);
	byoh_check_remedy(
		report,
		"install the packages that hold them (mount, util-linux, kmod, coreutils, bash, "
		"iproute2, nftables, ipset)");
	if (input->host->live)
		return byoh_check_fail(report, "missing: %s", missing);
	return byoh_check_warn(report, "missing below %.60s: %s", input->host->root, missing);
}

/* kube-proxy before 1.32 calls the program; later ones ask the kernel. Nodes work without it. */
static int check_conntrack(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	struct byoh_kubernetes_version version;

	if (!byoh_check_has_kube_proxy(input) || !input->manifest->kubernetes)
		return byoh_check_skip(report, "the bundle brings no kube-proxy");
	if (byoh_kubernetes_version_parse(input->manifest->kubernetes, &version, err) < 0)
		return byoh_check_skip(report, "Kubernetes %.64s", input->manifest->kubernetes);
	if (byoh_kubernetes_at_least(&version, 32, 0) ||
	    byoh_host_has_program(input->host, "conntrack"))
		return byoh_check_pass(report, "there, or not needed");
	byoh_check_remedy(report, "install the package conntrack if pods serve UDP");
	return byoh_check_warn(
		report, "conntrack is missing: kube-proxy %.32s cannot drop stale UDP connections",
		input->manifest->kubernetes);
}

static int check_selinux(const struct byoh_plan_input *input, struct byoh_check_report *report,
			 struct byoh_error *err)
{
	const struct byoh_host *host = input->host;

	(void)err;
	if (!host->selinux_enabled)
		return byoh_check_pass(report, "off");
	if (!byoh_host_has_program(host, "restorecon")) {
		byoh_check_remedy(report,
				  "install policycoreutils, so that what is placed gets its label");
		return byoh_check_warn(report, "SELinux is on and restorecon is missing");
	}
	if (!host->selinux_enforcing)
		return byoh_check_pass(report, "permissive");
	if (byoh_host_exists(host->root_fd, "/usr/share/selinux/packages/container.pp.bz2") ||
	    byoh_host_exists(host->root_fd,
			     "/etc/selinux/targeted/contexts/files/file_contexts.local") ||
	    byoh_host_exists(host->root_fd, "/usr/share/containers/selinux/contexts"))
		return byoh_check_pass(report, "enforcing, with the policy for containers");
	byoh_check_remedy(report, "install container-selinux from the distribution's medium");
	return byoh_check_warn(report, "SELinux enforces and no policy for containers was found");
}

/* It refuses to start programs that no package owns. */
static int check_fapolicyd(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	const struct byoh_host *host = input->host;
	bool enabled = byoh_exists_beneath(
		host->root_fd, "/etc/systemd/system/multi-user.target.wants/fapolicyd.service");

	(void)err;
	if (!enabled &&
	    !(host->live && byoh_host_exists(host->root_fd, "/run/fapolicyd/fapolicyd.fifo")))
		return byoh_check_pass(report, "not in use");
	byoh_check_remedy(report, "after the install: fapolicyd-cli --file add /usr/local/bin/ && "
				  "fapolicyd-cli --file "
				  "add /opt/cni/bin/ && fapolicyd-cli --update");
	return byoh_check_warn(report, "fapolicyd decides here which programs may run");
}

const struct byoh_check byoh_checks_system[] = {
	{ .id = "root", .live_only = true, .run = check_root },
	{ .id = "architecture", .live_only = true, .run = check_architecture },
	{ .id = "systemd", .run = check_systemd },
	{ .id = "systemd-version", .live_only = true, .run = check_systemd_version },
	{ .id = "unit-directory", .run = check_unit_directory },
	{ .id = "memory", .live_only = true, .run = check_memory },
	{ .id = "cores", .live_only = true, .run = check_cores },
	{ .id = "clock", .live_only = true, .run = check_clock },
	{ .id = "tools", .run = check_tools },
	{ .id = "conntrack", .run = check_conntrack },
	{ .id = "selinux", .run = check_selinux },
	{ .id = "fapolicyd", .run = check_fapolicyd },
	{ .id = NULL },
};
