/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of services that the bundle brings, in /usr/local/lib/systemd/system: the agent writes its
 * own kubelet and kube-proxy units to /etc/systemd/system, deletes them there, and ours must
 * neither hide them nor go with them. All are free of the proxies that PID 1's environment may
 * hold: with them the API server is not reached.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/state.h"
#include "installer/steps/steps-internal.h"

#define NO_PROXIES BYOH_STEPS_NO_PROXIES

static const char containerd_unit[] =
	"[Unit]\n"
	"Description=containerd container runtime\n"
	"Documentation=https://containerd.io\n"
	"After=network.target dbus.service local-fs.target\n"
	"\n"
	"[Service]\n"
	"ExecStartPre=-/sbin/modprobe overlay\n"
	"ExecStart=" BYOH_BIN_CONTAINERD "\n"
	"Type=notify\n"
	"Delegate=yes\n"
	"KillMode=process\n"
	"Restart=always\n"
	"RestartSec=5\n"
	NO_PROXIES
	"LimitNPROC=infinity\n"
	"LimitCORE=infinity\n"
	"TasksMax=infinity\n"
	"OOMScoreAdjust=-999\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static const char settle_unit[] =
	"[Unit]\n"
	"Description=Settle an installation that was interrupted\n"
	"Documentation=man:byoh-install(8)\n"
	"After=local-fs.target\n"
	"Before=containerd.service kubelet.service kube-proxy.service byoh-hostagent.service\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"RemainAfterExit=yes\n"
	"ExecStart=" BYOH_BIN_TOOL " settle --recover\n"
	NO_PROXIES
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static const char settle_images_unit[] =
	"[Unit]\n"
	"Description=Import the images that an installation left for the first boot\n"
	"Documentation=man:byoh-install(8)\n"
	"Wants=containerd.service\n"
	"After=byoh-settle.service containerd.service\n"
	"Before=kubelet.service kube-proxy.service byoh-hostagent.service\n"
	"ConditionPathExists=" BYOH_UNSETTLED_PATH "\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"ExecStart=" BYOH_BIN_TOOL " settle\n"
	NO_PROXIES
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static const char kubelet_head[] =
	"[Unit]\n"
	"Description=kubelet, the Kubernetes node agent\n"
	"Documentation=https://kubernetes.io/docs/\n"
	"Wants=network-online.target containerd.service\n"
	"After=network-online.target containerd.service\n"
	"ConditionPathExists=" BYOH_KUBELET_CONFIG "\n";

static const char kubelet_tail[] =
	"Restart=always\n"
	"RestartSec=10\n"
	NO_PROXIES
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

/* Who waits for a token waits without failing. */
static const char kubelet_bootstrap_conditions[] =
	"ConditionPathExists=|" BYOH_KUBELET_KUBECONFIG "\n"
	"ConditionPathExists=|" BYOH_KUBELET_BOOTSTRAP_KUBECONFIG "\n";

/* As kubeadm sets a kubelet up, but whole in one file: a drop-in would reach into the agent's unit
 * too. */
static const char kubelet_kubeadm_service[] =
	"StartLimitIntervalSec=0\n"
	"\n"
	"[Service]\n"
	"EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n"
	"EnvironmentFile=-/etc/default/kubelet\n"
	"ExecStart=" BYOH_BIN_KUBELET " \\\n"
	"\t--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \\\n"
	"\t--kubeconfig=" BYOH_KUBELET_KUBECONFIG " \\\n"
	"\t--config=" BYOH_KUBELET_CONFIG " \\\n"
	"\t$KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n";

/* For the unit that the agent writes: it has neither. */
static const char agent_drop_in[] =
	"[Service]\n"
	NO_PROXIES;

static const char agent_kubelet_drop_in[] =
	"[Unit]\n"
	"ConditionPathExists=" BYOH_KUBELET_CONFIG "\n"
	"\n"
	"[Service]\n"
	NO_PROXIES;

static const char kube_proxy_format[] =
	"[Unit]\n"
	"Description=kube-proxy, the Kubernetes service proxy\n"
	"Documentation=https://kubernetes.io/docs/\n"
	"Wants=network-online.target\n"
	"After=network-online.target\n"
	"ConditionPathExists=" BYOH_KUBE_PROXY_CONFIG "\n"
	"ConditionPathExists=%s\n"
	"StartLimitIntervalSec=0\n"
	"\n"
	"[Service]\n"
	"ExecStart=" BYOH_BIN_KUBE_PROXY " --config=" BYOH_KUBE_PROXY_CONFIG "\n"
	"Restart=always\n"
	"RestartSec=10\n"
	"LimitNOFILE=65536\n"
	NO_PROXIES
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

/* The kubelet's certificate, which kube-proxy may be told to use, comes when the node has been
 * admitted. */
static const char kube_proxy_path_format[] =
	"[Unit]\n"
	"Description=Start kube-proxy when it can identify itself\n"
	"\n"
	"[Path]\n"
	"PathExists=%s\n"
	"Unit=kube-proxy.service\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

/* No private mounts, no closed /proc/sys, no closed cgroups: what the agent runs has to unmount,
 * load and set on the host. It ends with 0 on errors too. It writes a key into its working
 * directory. */
static const char agent_unit_format[] =
	"[Unit]\n"
	"Description=BYOH host agent\n"
	"Wants=network-online.target\n"
	"After=network-online.target containerd.service time-sync.target\n"
	"ConditionPathExists=|" BYOH_AGENT_CONFIG "\n"
	"ConditionPathExists=|" BYOH_AGENT_BOOTSTRAP "\n"
	"StartLimitIntervalSec=0\n"
	"\n"
	"[Service]\n"
	"User=root\n"
	"Environment=HOME=/root\n"
	"WorkingDirectory=/var/lib/byoh\n"
	"EnvironmentFile=" BYOH_AGENT_ENVIRONMENT "\n"
	"ExecStart=" BYOH_BIN_AGENT " \\\n"
	"\t--bootstrap-kubeconfig=" BYOH_AGENT_BOOTSTRAP " \\\n"
	"\t--namespace=${BYOH_NAMESPACE} \\\n"
	"\t--downloadpath=/var/lib/byoh/bundles \\\n"
	"\t--metricsbindaddress=${BYOH_METRICS} \\\n"
	"\t%s$BYOH_EXTRA_ARGS\n"
	"Restart=always\n"
	"RestartSec=10\n"
	"KillMode=mixed\n"
	"TimeoutStopSec=60\n"
	NO_PROXIES
	"UMask=0022\n"
	"OOMScoreAdjust=-500\n"
	"LimitNOFILE=65536\n"
	"NoNewPrivileges=yes\n"
	"LockPersonality=yes\n"
	"RestrictRealtime=yes\n"
	"RestrictSUIDSGID=yes\n"
	"SystemCallArchitectures=native\n"
	"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static int place(const struct byoh_plan_input *input, struct byoh_step *step, const char *unit,
		 const char *text, bool enabled, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	int rc;

	if (asprintf(&path, BYOH_UNIT_DIR "/%s", unit) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_steps_text(input, step, path, 0644, text, err);
	return rc || !enabled ? rc : byoh_steps_enable(step, unit, err);
}

/* Where an interrupted run could not be undone, no service gets to see the mixture. Drop-ins reach the units of
 * the distribution and those that the agent writes as well. */
static int place_settle_guards(const struct byoh_plan_input *input, struct byoh_step *step,
			       struct byoh_error *err)
{
	static const struct {
		const char *binary, *unit;
	} guarded[] = {
		{ BYOH_BIN_CONTAINERD, "containerd.service" },
		{ BYOH_BIN_KUBELET, "kubelet.service" },
		{ BYOH_BIN_KUBE_PROXY, "kube-proxy.service" },
		{ BYOH_BIN_AGENT, "byoh-hostagent.service" },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(guarded) && !rc; i++) {
		char unit[64];

		/* An adopted containerd holds others' containers, which do not wait for us; nor does an
		 * adopted node's kubelet. */
		if (!byoh_steps_brings(input, guarded[i].binary) ||
		    (i == 0 && byoh_steps_adopts(input)) ||
		    ((i == 1 || i == 2) && byoh_steps_adopts_node(input)))
			continue;
		snprintf(unit, sizeof(unit), "%s.d/05-byoh-settle.conf", guarded[i].unit);
		rc = place(input, step, unit,
			   "[Unit]\nRequires=byoh-settle.service\nAfter=byoh-settle.service\n", false,
			   err);
	}
	return rc;
}

int byoh_steps_settle_unit(const struct byoh_plan_input *input, struct byoh_step *step,
			   struct byoh_error *err)
{
	return place(input, step, "byoh-settle.service", settle_unit, true, err);
}

static int place_settle(const struct byoh_plan_input *input, struct byoh_step *step,
			struct byoh_error *err)
{
	int rc;

	if (!byoh_steps_brings(input, BYOH_BIN_TOOL))
		return 0;
	rc = place_settle_guards(input, step, err);
	if (rc || !byoh_steps_has_containerd(input))
		return rc;
	return place(input, step, "byoh-settle-images.service", settle_images_unit, true, err);
}

static int place_bootstrap_kubelet(const struct byoh_plan_input *input, struct byoh_step *step,
				   struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer flags = { 0 };
	CLEANUP_BUFFER struct byoh_buffer unit = { 0 };
	struct byoh_kubelet_input values;
	int rc;

	rc = byoh_steps_kubelet_input(input, &values, err);
	if (!rc)
		rc = byoh_kubelet_flags(&values, &flags, err);
	if (!rc)
		rc = byoh_buffer_printf(
			&unit, err,
			"%s%sStartLimitIntervalSec=0\n\n[Service]\nExecStart=" BYOH_BIN_KUBELET
			" \\\n\t%s\n%s",
			kubelet_head, kubelet_bootstrap_conditions, byoh_buffer_text(&flags),
			kubelet_tail);
	return rc ? rc : place(input, step, "kubelet.service", unit.data, true, err);
}

/* In agent mode whoever joins the host enables the unit: kubeadm's way finds it here, the other way
 * writes a unit of its own, which hides this one and takes the drop-ins. */
static int place_waiting_kubelet(const struct byoh_plan_input *input, struct byoh_step *step,
				 struct byoh_error *err)
{
	bool agent = input->config->join_mode == BYOH_JOIN_AGENT;
	CLEANUP_BUFFER struct byoh_buffer unit = { 0 };
	int rc;

	rc = byoh_buffer_printf(&unit, err, "%s%s%s", kubelet_head, kubelet_kubeadm_service,
				kubelet_tail);
	if (!rc)
		rc = place(input, step, "kubelet.service", unit.data,
			   input->config->join_mode == BYOH_JOIN_KUBEADM, err);
	if (rc || !agent)
		return rc;
	rc = place(input, step, "kubelet.service.d/10-byoh.conf", agent_kubelet_drop_in, false,
		   err);
	if (rc || !byoh_steps_brings(input, BYOH_BIN_KUBE_PROXY))
		return rc;
	return place(input, step, "kube-proxy.service.d/10-byoh.conf", agent_drop_in, false, err);
}

static int place_kube_proxy(const struct byoh_plan_input *input, struct byoh_step *step,
			    struct byoh_error *err)
{
	const char *kubeconfig = byoh_kube_proxy_kubeconfig_path(input->config);
	CLEANUP_BUFFER struct byoh_buffer service = { 0 };
	CLEANUP_BUFFER struct byoh_buffer path = { 0 };
	int rc;

	rc = byoh_buffer_printf(&service, err, kube_proxy_format, kubeconfig);
	if (!rc)
		rc = place(input, step, "kube-proxy.service", service.data, true, err);
	if (rc || byoh_steps_knows_kube_proxy(input))
		return rc;
	rc = byoh_buffer_printf(&path, err, kube_proxy_path_format, kubeconfig);
	return rc ? rc : place(input, step, "kube-proxy.path", path.data, true, err);
}

/* Its own unit starts it; where that is enabled already, the link stays as it is. */
static int enable_adopted(const struct byoh_plan_input *input, struct byoh_step *step,
			  struct byoh_error *err)
{
	static const char link[] = "/etc/systemd/system/multi-user.target.wants/containerd.service";
	CLEANUP_BUFFER struct byoh_buffer target = { 0 };

	if (byoh_read_link(input->host->root_fd, link, &target, NULL) == 0)
		return byoh_step_link(step, link, byoh_buffer_text(&target), err);
	return byoh_step_link(step, link, input->host->containerd_unit, err);
}

/* A unit in /etc hides ours: it goes, and comes back with an undo. */
static int place_containerd(const struct byoh_plan_input *input, struct byoh_step *step,
			    struct byoh_error *err)
{
	int rc = 0;

	if (byoh_steps_adopts(input))
		return enable_adopted(input, step, err);
	if (byoh_steps_replaces(input))
		rc = byoh_step_remove(step, "/etc/systemd/system/containerd.service", err);
	return rc ? rc : place(input, step, "containerd.service", containerd_unit, true, err);
}

static int place_agent(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer unit = { 0 };
	int rc = byoh_buffer_printf(&unit, err, agent_unit_format,
				    byoh_steps_has_local_bundle(input) ? "" : "--skip-installation ");

	return rc ? rc : place(input, step, "byoh-hostagent.service", unit.data, true, err);
}

int byoh_step_units(const struct byoh_plan_input *input, struct byoh_step *step,
		    struct byoh_error *err)
{
	int rc = place_settle(input, step, err);

	if (!rc && byoh_steps_has_containerd(input))
		rc = place_containerd(input, step, err);
	if (!rc && byoh_steps_runs_kubelet(input))
		rc = place_bootstrap_kubelet(input, step, err);
	else if (!rc && byoh_steps_brings(input, BYOH_BIN_KUBELET) && !byoh_steps_adopts_node(input))
		rc = place_waiting_kubelet(input, step, err);
	if (!rc && byoh_steps_runs_kube_proxy(input))
		rc = place_kube_proxy(input, step, err);
	if (!rc)
		rc = byoh_steps_kubeadm_units(input, step, err);
	if (!rc)
		rc = byoh_steps_place_certificates(input, step, err);
	if (!rc && input->config->join_mode == BYOH_JOIN_AGENT &&
	    byoh_steps_brings(input, BYOH_BIN_AGENT))
		rc = place_agent(input, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Add the units of the services");
}

/* One slice for what runs containers: the units' place in it is a drop-in, which also reaches the
 * unit that the agent writes. */
int byoh_step_slices(const struct byoh_plan_input *input, struct byoh_step *step,
		     struct byoh_error *err)
{
	static const char *const services[] = { "containerd", "kubelet" };
	static const char *const binaries[] = { BYOH_BIN_CONTAINERD, BYOH_BIN_KUBELET };
	int rc = 0;

	if (!input->config->host.slices)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(services) && !rc; i++) {
		char unit[64];

		if (i == 0 ? !byoh_steps_has_containerd(input)
			   : !byoh_steps_brings(input, binaries[i]) || byoh_steps_adopts_node(input))
			continue;
		snprintf(unit, sizeof(unit), "%s.service.d/20-byoh-slice.conf", services[i]);
		rc = place(input, step, unit, "[Service]\nSlice=runtime.slice\n", false, err);
	}
	if (rc || !step->action_count)
		return rc;
	rc = place(input, step, "runtime.slice",
		   "[Unit]\n"
		   "Description=Container runtime and kubelet\n"
		   "Before=slices.target\n"
		   "\n"
		   "[Slice]\n"
		   "CPUAccounting=yes\n"
		   "MemoryAccounting=yes\n",
		   false, err);
	return rc ? rc
		  : byoh_step_sentence(step, err,
				       "Give containerd and the kubelet a slice of their own");
}
