/* SPDX-License-Identifier: Apache-2.0 */
/* The host itself: installed or not, clock, name, swap, control groups, disks, modules. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/preflight/checks.h"

#define HOUR 3600
#define DAY 86400

static bool judge_not_installed(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (evidence->installed)
		return false;
	byoh_finding_says(finding, "no release is installed on this host");
	byoh_finding_saw(finding, "/var/lib/byoh/state.json", "is not there");
	return byoh_finding_mend(finding, "./byoh-install.run");
}

static bool judge_transaction(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->transaction)
		return false;
	byoh_finding_says(finding, "an earlier run was cut off and could not be undone, so that "
				   "services are held back");
	byoh_finding_saw(finding, "/var/lib/byoh/journal", "%s", evidence->transaction);
	return byoh_finding_mend(finding, "byoh-install status");
}

/*
 * The clock
 */

/* Time zones move a hardware clock by half a day; this is more. */
static bool hardware_differs(const struct byoh_evidence *evidence)
{
	uint64_t now = evidence->time.now, rtc = evidence->time.rtc;

	return rtc && (now > rtc ? now - rtc : rtc - now) > DAY;
}

static bool is_after(uint64_t known, uint64_t now)
{
	return known && now + HOUR < known;
}

static bool saw_clock(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_kubeconfig_evidence *kubelet =
		&evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG];
	uint64_t now = evidence->time.now;
	char other[32];

	if (is_after(evidence->time.installed_at, now))
		byoh_finding_saw(finding, "/var/lib/byoh/state.json",
				 "this host was installed at %s",
				 byoh_doctor_date(evidence->time.installed_at, other));
	if (is_after(evidence->time.ca_not_before, now))
		byoh_finding_saw(finding, "the cluster's CA", "was made at %s",
				 byoh_doctor_date(evidence->time.ca_not_before, other));
	if (is_after(kubelet->not_before, now))
		byoh_finding_saw(finding, "the kubelet's certificate", "was made at %s",
				 byoh_doctor_date(kubelet->not_before, other));
	if (hardware_differs(evidence))
		byoh_finding_saw(finding, "/sys/class/rtc/rtc0", "the hardware clock says %s",
				 byoh_doctor_date(evidence->time.rtc, other));
	if (!finding->evidence_count && evidence->api.asked && evidence->api.failure == EKEYEXPIRED)
		byoh_finding_saw(finding, "the API server", "%s",
				 evidence->api.message ? evidence->api.message : "");
	return finding->evidence_count > 0;
}

static bool judge_clock(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	char now[32];

	if (!evidence->time.now || !saw_clock(evidence, finding))
		return false;
	byoh_finding_says(
		finding,
		"the clock of this host is wrong: it says %s, and certificates do not hold by it",
		byoh_doctor_date(evidence->time.now, now));
	byoh_finding_mend(finding, "date -u -s 'YYYY-MM-DD HH:MM:SS' && hwclock --systohc");
	return byoh_finding_mend(finding, "systemctl restart kubelet");
}

/*
 * The name
 */

/* What a certificate calls the host behind that prefix; NULL: it is no such certificate. */
static const char *named_by(const struct byoh_kubeconfig_evidence *kubeconfig, const char *prefix)
{
	if (!kubeconfig->identity || strncmp(kubeconfig->identity, prefix, strlen(prefix)))
		return NULL;
	return kubeconfig->identity + strlen(prefix);
}

static const char *known_name(const struct byoh_evidence *evidence)
{
	const char *name =
		named_by(&evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG], "system:node:");

	return name ? name
		    : named_by(&evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG], "byoh:host:");
}

static bool judge_hostname(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *name = evidence->host->hostname, *known = known_name(evidence);
	const char *fault = name[0] ? byoh_check_hostname_fault(name) : NULL;

	if (!fault)
		return false;
	byoh_finding_says(finding, "the host's name cannot be a Node's: \"%.64s\" %s", name, fault);
	byoh_finding_saw(finding, "hostname", "%.64s", name);
	byoh_finding_claims(finding, "*hostname");
	byoh_finding_claims(finding, "/etc/hostname");
	byoh_finding_mend(finding, "hostnamectl set-hostname %s", known ? known : "NAME");
	return byoh_finding_restarts(finding, evidence);
}

/* The kubelet, unlike the agent, makes capital letters small. */
static bool judge_hostname_changed(const struct byoh_evidence *evidence,
				   struct byoh_finding *finding)
{
	const char *name = evidence->host->hostname, *known = known_name(evidence);

	if (!known || !name[0] || byoh_check_hostname_fault(name) || strcmp(known, name) == 0)
		return false;
	byoh_finding_says(finding,
			  "the host was renamed: its certificate is for %s, and its name is %s",
			  known, name);
	byoh_finding_saw(finding, "certificate", "the API server knows this host as %s", known);
	byoh_finding_saw(finding, "hostname", "%s", name);
	byoh_finding_claims(finding, "*hostname");
	byoh_finding_claims(finding, "/etc/hostname");
	byoh_finding_mend(finding, "hostnamectl set-hostname %s", known);
	return byoh_finding_restarts(finding, evidence);
}

/*
 * Kernel and memory
 */

static bool judge_cgroup(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->host->live || evidence->host->cgroup_v2)
		return false;
	byoh_finding_says(
		finding,
		"the host uses control groups of version 1, which kubelets from 1.35 on refuse");
	byoh_finding_saw(finding, "/sys/fs/cgroup", "is not of the type cgroup2");
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "cgroup v1");
	return byoh_finding_mend(finding,
				 "add systemd.unified_cgroup_hierarchy=1 to GRUB_CMDLINE_LINUX in "
				 "/etc/default/grub, then: update-grub && reboot");
}

static bool judge_swap(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_host *host = evidence->host;

	if (!host->swap_count || evidence->kubelet.swap_allowed ||
	    (evidence->config && evidence->config->host.swap))
		return false;
	byoh_finding_says(finding, "swap is on, and the kubelet does not start with it");
	for (size_t i = 0; i < host->swap_count; i++) {
		byoh_finding_saw(finding, "/proc/swaps", "%s (%s)", host->swaps[i].device,
				 host->swaps[i].type);
		byoh_finding_claims(finding, host->swaps[i].device);
	}
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
			    "running with swap on is not supported");
	byoh_finding_claims(finding, "/etc/fstab");
	/* systemd makes a unit of it by itself, which is to be masked. */
	byoh_finding_claims(finding, "*.swap");
	byoh_finding_mend(finding, "swapoff -a");
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool is_full(const struct byoh_disk_evidence *disk)
{
	return disk->total && (disk->available < disk->least ||
			       (disk->inodes && disk->free_inodes < disk->least_inodes));
}

static const char *place_of(const struct byoh_disk_evidence *disk)
{
	return disk->mount ? disk->mount : disk->path;
}

/* Of two on one file system, one command. Where only the Node's condition tells, either may be
 * it. */
static bool mend_disks(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_disk_evidence *node = &evidence->disks[0], *images = &evidence->disks[1];
	bool unknown = !is_full(node) && !is_full(images);
	bool both = unknown || (is_full(node) && is_full(images));

	if (node->path && (both || is_full(node)))
		byoh_finding_mend(finding, "du -x -d 2 -h %s | sort -h | tail", place_of(node));
	if (images->path && (is_full(images) || unknown) &&
	    !(both && node->path && strcmp(place_of(node), place_of(images)) == 0))
		byoh_finding_mend(finding, "du -x -d 2 -h %s | sort -h | tail", place_of(images));
	if (images->path && !both && is_full(images))
		return true; /* a disk for images alone has no journals on it */
	return byoh_finding_mend(finding, "journalctl --vacuum-size=200M");
}

static bool judge_disk(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	char free_text[32], least[32];

	for (size_t i = 0; i < ARRAY_SIZE(evidence->disks); i++) {
		const struct byoh_disk_evidence *disk = &evidence->disks[i];

		if (!is_full(disk))
			continue;
		if (disk->available < disk->least)
			byoh_finding_saw(finding, disk->path,
					 "%s free, and the kubelet wants %s (%s.available)",
					 byoh_format_size(disk->available, free_text),
					 byoh_format_size(disk->least, least), disk->what);
		else
			byoh_finding_saw(
				finding, disk->path,
				"%llu inodes free, and the kubelet wants %llu (%s.inodesFree)",
				(unsigned long long)disk->free_inodes,
				(unsigned long long)disk->least_inodes, disk->what);
	}
	if (evidence->api.disk_pressure)
		byoh_finding_saw(finding, "the API server",
				 "the Node's condition DiskPressure is True");
	if (!finding->evidence_count)
		return false;
	byoh_finding_says(
		finding,
		"the disk is nearly full: the kubelet ends pods, takes no more and deletes images");
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "eviction manager");
	return mend_disks(evidence, finding);
}

static bool judge_module(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_drift_evidence *module = byoh_evidence_drift(evidence, "module", NULL);

	if (!module)
		return false;
	byoh_finding_says(finding, "the kernel module %s is not loaded", module->subject);
	byoh_finding_saw(finding, "/sys/module", "%s is not there", module->subject);
	byoh_finding_claims(finding, "*module");
	if (strcmp(module->subject, "br_netfilter") == 0) {
		byoh_finding_claims(finding, "net.bridge.bridge-nf-call-iptables");
		byoh_finding_claims(finding, "net.bridge.bridge-nf-call-ip6tables");
	}
	byoh_finding_mend(finding, "modprobe %s", module->subject);
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool judge_parameter(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	bool bridge = byoh_evidence_drift(evidence, "module", "br_netfilter") != NULL;

	for (size_t i = 0; i < evidence->drift_count; i++) {
		const struct byoh_drift_evidence *drift = &evidence->drifts[i];

		if (strcmp(drift->kind, "sysctl") ||
		    (bridge && strncmp(drift->subject, "net.bridge.", 11) == 0))
			continue;
		byoh_finding_saw(finding, "/proc/sys", "%s is not as it was set", drift->subject);
		byoh_finding_claims(finding, drift->subject);
	}
	if (!finding->evidence_count)
		return false;
	byoh_finding_says(finding, "a kernel parameter that containers need was changed");
	return byoh_finding_mend(finding, "byoh-install repair");
}

const struct byoh_cause byoh_causes_host[] = {
	{ "not-installed", 0, BYOH_AREA_RELEASE, judge_not_installed },
	{ "transaction-open", 0, BYOH_AREA_RELEASE, judge_transaction },
	{ "clock-wrong", 0, BYOH_AREA_SERVER, judge_clock },
	{ "cgroup-v1", 0, BYOH_AREA_KUBELET, judge_cgroup },
	{ "swap-on", 0, BYOH_AREA_KUBELET, judge_swap },
	{ "hostname-invalid", 0, BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_hostname },
	{ "hostname-changed", 0, BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_hostname_changed },
	{ "kernel-module-missing", 0, BYOH_AREA_PROXY | BYOH_AREA_PODS, judge_module },
	{ "kernel-parameter-changed", 0, BYOH_AREA_PROXY | BYOH_AREA_PODS, judge_parameter },
	{ "disk-pressure", 0, BYOH_AREA_PODS, judge_disk },
	{ 0 },
};
