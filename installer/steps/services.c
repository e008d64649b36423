/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the plan: labels, systemd, containerd, images, and what makes the host a node. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/containerd-adopt.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/node-state.h"

/* Folders whose labels follow from where they are; a file that was renamed into place keeps the
 * label of where it was made. /usr/local/bin is everybody's: of it only our files. */
static const char *const labelled[] = {
	"/etc/byoh",  "/var/lib/byoh", BYOH_UNIT_DIR,  "/etc/containerd", "/var/lib/containerd",
	BYOH_CNI_BIN, BYOH_CNI_CONFIG, "/var/lib/cni", "/etc/kubernetes", "/var/lib/kubelet",
};

static bool is_covered(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(labelled); i++) {
		size_t size = strlen(labelled[i]);

		if (!strncmp(path, labelled[i], size) && path[size] == '/')
			return true;
	}
	return false;
}

static int relabel(struct byoh_step *step, const char *path, bool optional, struct byoh_error *err)
{
	struct byoh_action *action;
	int rc = byoh_step_other(step, BYOH_ACTION_RELABEL, path, NULL, &action, err);

	if (!rc)
		action->optional = optional;
	return rc;
}

int byoh_step_selinux(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	bool node = byoh_steps_has_containerd(input) ||
		    byoh_steps_brings(input, BYOH_BIN_KUBELET);
	int rc = 0;

	if (!input->host->selinux_enabled)
		return 0;
	for (size_t i = 0; i < input->index->file_count && !rc; i++) {
		const struct byoh_file *file = &input->index->files[i];
		CLEANUP_FREE char *path = NULL;
		bool left_out;

		rc = byoh_steps_leaves_out(input, file, &left_out, err);
		if (rc)
			return rc;
		if (file->type != BYOH_FILE_REGULAR || left_out)
			continue;
		if (asprintf(&path, "/%s", file->path) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		if (!is_covered(path))
			rc = relabel(step, path, false, err);
	}
	/* The first three are there in any case; of the others some come later. */
	for (size_t i = 0; i < (node ? ARRAY_SIZE(labelled) : 3) && !rc; i++)
		rc = relabel(step, labelled[i], true, err);
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Give the files their SELinux labels");
}

int byoh_step_systemd(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	int rc;

	if (!byoh_steps_brings(input, BYOH_BIN_TOOL) && !input->config->host.dummy_route &&
	    !byoh_steps_has_containerd(input) &&
	    !byoh_steps_brings(input, BYOH_BIN_KUBELET) &&
	    !byoh_steps_brings(input, BYOH_BIN_AGENT))
		return 0;
	rc = byoh_step_other(step, BYOH_ACTION_RELOAD, "systemd", NULL, NULL, err);
	return rc ? rc : byoh_step_sentence(step, err, "Let systemd read its units again");
}

/* The operator's list of plugins; NULL, which ends a list, where there is none. */
static const char *conflist_of(const struct byoh_plan_input *input, char **ret)
{
	const char *name = input->config->cni.conflist_name;

	if (!name || asprintf(ret, BYOH_CNI_CONFIG "/%s", name) < 0)
		*ret = NULL;
	return *ret;
}

int byoh_step_runtime(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *conflist = NULL;
	const char *const restart_on[] = {
		BYOH_BIN_CONTAINERD,
		BYOH_CONTAINERD_CONFIG,
		BYOH_CONTAINERD_DROP_IN,
		BYOH_UNIT_DIR "/containerd.service",
		BYOH_UNIT_DIR "/containerd.service.d/20-byoh-slice.conf",
		/* It watches the folder, but not for what is renamed into it. */
		BYOH_CNI_CONFIG "/" BYOH_BRIDGE_CONFLIST,
		conflist_of(input, &conflist),
		NULL,
	};
	int rc;

	if (!byoh_steps_has_containerd(input))
		return 0;
	rc = byoh_step_unit(step, "containerd.service", true, restart_on, err);
	if (rc)
		return rc;
	if (byoh_steps_adopts(input))
		return byoh_step_sentence(step, err, "Start the host's containerd, or restart it");
	return byoh_step_sentence(step, err,
				  byoh_steps_replaces(input)
					  ? "Stop the containerd that is there and start the bundle's"
					  : "Start containerd");
}

int byoh_step_images(const struct byoh_plan_input *input, struct byoh_step *step,
		     struct byoh_error *err)
{
	const struct byoh_manifest *manifest = input->manifest;

	if (!byoh_steps_has_containerd(input))
		return 0;
	for (size_t i = 0; i < manifest->image_count; i++) {
		struct byoh_action *action;
		int rc = byoh_step_other(step, BYOH_ACTION_IMAGE, manifest->images[i].ref, NULL,
					 &action, err);

		if (rc)
			return rc;
		action->image = &manifest->images[i];
		action->pinned = true;
	}
	if (!step->action_count)
		return 0;
	return byoh_step_sentence(step, err, "Import %zu images", manifest->image_count);
}

static int start_agent(const struct byoh_plan_input *input, struct byoh_step *step,
		       struct byoh_error *err)
{
	/* With a kubeconfig of its own it looks at no bootstrap kubeconfig any more. */
	const char *const restart_on[] = {
		BYOH_BIN_AGENT,
		BYOH_AGENT_ENVIRONMENT,
		BYOH_UNIT_DIR "/byoh-hostagent.service",
		byoh_steps_exists(input->host, BYOH_AGENT_CONFIG) ? NULL : BYOH_AGENT_BOOTSTRAP,
		NULL,
	};

	if (!byoh_steps_brings(input, BYOH_BIN_AGENT))
		return 0;
	/* Its unit's condition: without a way to its cluster it waits, enabled. */
	if (!byoh_steps_can_join(input) && !byoh_steps_exists(input->host, BYOH_AGENT_CONFIG) &&
	    !byoh_steps_exists(input->host, BYOH_AGENT_BOOTSTRAP))
		return 0;
	return byoh_step_unit(step, "byoh-hostagent.service", true, restart_on, err);
}

/* What the agent has set up goes on with the new program, and only where it is set up. */
static int restart_agents_services(const struct byoh_plan_input *input, struct byoh_step *step,
				   struct byoh_error *err)
{
	static const char *const kubelet[] = { BYOH_BIN_KUBELET, BYOH_KUBEADM_FLAGS, NULL };
	static const char *const kube_proxy[] = { BYOH_BIN_KUBE_PROXY, NULL };
	int rc = 0;

	/* An adopted node's own kubelet is not the bundle's, until the agent has set one up. */
	if (byoh_steps_brings(input, BYOH_BIN_KUBELET) &&
	    (!byoh_steps_adopts_node(input) || byoh_steps_exists(input->host, "/etc/systemd/system/kubelet.service")) &&
	    byoh_steps_exists(input->host, BYOH_KUBELET_KUBECONFIG))
		rc = byoh_step_unit(step, "kubelet.service", true, kubelet, err);
	if (!rc && byoh_steps_brings(input, BYOH_BIN_KUBE_PROXY) &&
	    byoh_steps_exists(input->host, "/etc/systemd/system/kube-proxy.service"))
		rc = byoh_step_unit(step, "kube-proxy.service", true, kube_proxy, err);
	return rc;
}

/* A node of kubeadm's; before it is one, kubeadm starts the kubelet itself. */
static int restart_joined_kubelet(const struct byoh_plan_input *input, struct byoh_step *step,
				  struct byoh_error *err)
{
	static const char *const restart_on[] = {
		BYOH_BIN_KUBELET,
		BYOH_KUBEADM_FLAGS,
		BYOH_UNIT_DIR "/kubelet.service",
		BYOH_UNIT_DIR "/kubelet.service.d/20-byoh-slice.conf",
		NULL,
	};

	if (input->config->join_mode != BYOH_JOIN_KUBEADM ||
	    !byoh_steps_brings(input, BYOH_BIN_KUBELET) || !byoh_kubeadm_is_node(input->host->root_fd))
		return 0;
	return byoh_step_unit(step, "kubelet.service", true, restart_on, err);
}

static int start_kubelet(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	/* A kubelet that has its certificate looks at no token. */
	const char *const restart_on[] = {
		BYOH_BIN_KUBELET,
		BYOH_KUBELET_CONFIG,
		BYOH_KUBEADM_FLAGS,
		BYOH_KUBERNETES_CA,
		BYOH_UNIT_DIR "/kubelet.service",
		BYOH_UNIT_DIR "/kubelet.service.d/20-byoh-slice.conf",
		byoh_kubelet_has_certificate(input->host) ? NULL : BYOH_KUBELET_BOOTSTRAP_KUBECONFIG,
		NULL,
	};

	if (!byoh_steps_runs_kubelet(input) || !input->config->cluster.ca.size)
		return 0;
	if (!byoh_steps_can_join(input) &&
	    !byoh_steps_exists(input->host, BYOH_KUBELET_KUBECONFIG) &&
	    !byoh_steps_exists(input->host, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG))
		return 0;
	return byoh_step_unit(step, "kubelet.service", true, restart_on, err);
}

/* Where its kubeconfig comes later, a path unit starts it then. That one stands last, so that
 * whoever stops them, latest first, is not undone by it. */
static int start_kube_proxy(const struct byoh_plan_input *input, struct byoh_step *step,
			    struct byoh_error *err)
{
	static const char *const restart_on[] = {
		BYOH_BIN_KUBE_PROXY,
		BYOH_KUBE_PROXY_CONFIG,
		BYOH_KUBE_PROXY_KUBECONFIG,
		BYOH_UNIT_DIR "/kube-proxy.service",
		NULL,
	};
	bool known = byoh_steps_knows_kube_proxy(input);
	int rc = 0;

	if (!byoh_steps_runs_kube_proxy(input))
		return 0;
	if (known || byoh_steps_exists(input->host, byoh_kube_proxy_kubeconfig_path(input->config)))
		rc = byoh_step_unit(step, "kube-proxy.service", true, restart_on, err);
	return rc || known ? rc : byoh_step_unit(step, "kube-proxy.path", true, NULL, err);
}

int byoh_step_node(const struct byoh_plan_input *input, struct byoh_step *step,
		   struct byoh_error *err)
{
	int rc = 0;

	rc = byoh_steps_kubeadm_watch(input, step, err);
	if (!rc && input->config->join_mode == BYOH_JOIN_AGENT)
		rc = start_agent(input, step, err);
	if (!rc && input->config->join_mode == BYOH_JOIN_AGENT)
		rc = restart_agents_services(input, step, err);
	if (!rc)
		rc = restart_joined_kubelet(input, step, err);
	if (!rc)
		rc = start_kubelet(input, step, err);
	if (!rc)
		rc = start_kube_proxy(input, step, err);
	if (!rc)
		rc = byoh_steps_start_certificates(input, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "%s",
				  input->config->join_mode == BYOH_JOIN_AGENT	  ? "Start the agent"
				  : input->config->join_mode == BYOH_JOIN_KUBEADM ? "Start the kubelet"
										  : "Start kubelet and kube-proxy");
}
