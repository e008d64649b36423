/* SPDX-License-Identifier: Apache-2.0 */
/* How the host comes to its cluster: by kubelet and kube-proxy that this program configures, or by
 * the agent. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"
#include "installer/steps/steps-internal.h"

static int bootstrap_kubeconfig(const struct byoh_plan_input *input, struct byoh_step *step,
				const char *path, struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!byoh_steps_can_join(input))
		return 0;
	rc = byoh_kubeconfig_write_bootstrap(config->cluster.name, config->cluster.server,
					     &config->cluster.ca, config->cluster.token, &text, err);
	return rc ? rc : byoh_steps_secret(input, step, path, &text, err);
}

static int kubelet_files(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	const struct byoh_buffer *ca = &input->config->cluster.ca;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_kubelet_input values;
	int rc;

	/* Without the CA the kubelet could not tell its callers; its unit waits for its
	 * configuration. */
	if (!ca->size)
		return 0;
	rc = byoh_steps_file(input, step, BYOH_KUBERNETES_CA, 0644, ca->data, ca->size, NULL, err);
	if (!rc)
		rc = bootstrap_kubeconfig(input, step, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, err);
	if (!rc)
		rc = byoh_steps_kubelet_input(input, &values, err);
	if (!rc)
		rc = byoh_kubelet_config(&values, &text, err);
	if (rc || byoh_steps_brings(input, BYOH_KUBELET_CONFIG))
		return rc;
	return byoh_step_file(step, BYOH_KUBELET_CONFIG, 0644, text.data, text.size, NULL, err);
}

static int kube_proxy_kubeconfig(const struct byoh_plan_input *input, struct byoh_step *step,
				 struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (config->kube_proxy.kubeconfig.size)
		return byoh_steps_secret(input, step, BYOH_KUBE_PROXY_KUBECONFIG,
					 &config->kube_proxy.kubeconfig, err);
	if (!config->kube_proxy.token || !config->cluster.server || !config->cluster.ca.size)
		return 0;
	rc = byoh_kubeconfig_write_proxy(config->cluster.name, config->cluster.server,
					 &config->cluster.ca, config->kube_proxy.token, &text, err);
	return rc ? rc : byoh_steps_secret(input, step, BYOH_KUBE_PROXY_KUBECONFIG, &text, err);
}

static int kube_proxy_files(const struct byoh_plan_input *input, struct byoh_step *step,
			    struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_kubelet_input values;
	int rc;

	rc = kube_proxy_kubeconfig(input, step, err);
	if (!rc)
		rc = byoh_steps_kubelet_input(input, &values, err);
	if (!rc)
		rc = byoh_kube_proxy_config(&values.version, input->config, &text, err);
	if (rc)
		return rc;
	return byoh_steps_file(input, step, BYOH_KUBE_PROXY_CONFIG, 0644, text.data, text.size,
			       NULL, err);
}

int byoh_step_kubernetes(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	int rc = 0;

	if (byoh_steps_runs_kubelet(input))
		rc = kubelet_files(input, step, err);
	if (!rc && byoh_steps_runs_kube_proxy(input))
		rc = kube_proxy_files(input, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Configure kubelet%s for %s",
				  byoh_steps_runs_kube_proxy(input) ? " and kube-proxy" : "",
				  input->config->cluster.server ? input->config->cluster.server
								: "a cluster");
}

/* The value in double quotes, as systemd reads an EnvironmentFile= (systemd.exec(5)). */
static int add_variable(struct byoh_buffer *ret, const char *name, const char *value,
			struct byoh_error *err)
{
	int rc = byoh_steps_one_line(value, name, err);

	if (!rc)
		rc = byoh_buffer_printf(ret, err, "%s=\"", name);
	for (; *value && !rc; value++) {
		if (strchr("\"\\`$", *value))
			rc = byoh_buffer_add_string(ret, "\\", err);
		if (!rc)
			rc = byoh_buffer_add(ret, value, 1, err);
	}
	return rc ? rc : byoh_buffer_add_string(ret, "\"\n", err);
}

/* One argument a label; systemd splits the variable at white space. */
static int label_arguments(const struct byoh_pairs *labels, struct byoh_buffer *ret,
			   struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < labels->count && !rc; i++) {
		const struct byoh_pair *label = &labels->items[i];

		if (strpbrk(label->key, " \t,=\"'\\") || strpbrk(label->value, " \t,=\"'\\"))
			return byoh_fail(
				err, BYOH_ERROR_CONFIG, EINVAL,
				"agent.hostLabels: \"%s\" cannot be a label with the value \"%s\"",
				label->key, label->value);
		rc = byoh_buffer_printf(ret, err, "%s--label=%s=%s", i ? " " : "", label->key,
					label->value);
	}
	return rc;
}

static int agent_environment(const struct byoh_plan_input *input, struct byoh_step *step,
			     struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_BUFFER struct byoh_buffer labels = { 0 };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	rc = label_arguments(&config->agent.host_labels, &labels, err);
	if (!rc)
		rc = add_variable(&text, "BYOH_NAMESPACE",
				  config->agent.namespace_name ? config->agent.namespace_name
							       : "default",
				  err);
	if (!rc)
		rc = add_variable(&text, "BYOH_METRICS",
				  config->agent.metrics ? config->agent.metrics : "0", err);
	if (!rc)
		rc = add_variable(&text, "BYOH_EXTRA_ARGS", byoh_buffer_text(&labels), err);
	if (rc)
		return rc;
	return byoh_steps_file(input, step, BYOH_AGENT_ENVIRONMENT, 0644, text.data, text.size,
			       NULL, err);
}

/* The agent notes the machine that it serves in /run/cluster-api, and only if that folder is there.
 */
static int agent_folders(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	int rc = byoh_step_directory(step, BYOH_LOCAL_BUNDLES, 0755, false, err);

	/* Its key and certificate come to lie here, and made by the agent others could look in. */
	if (!rc)
		rc = byoh_step_directory(step, BYOH_AGENT_FOLDER, 0700, true, err);
	if (!rc)
		rc = byoh_steps_text(input, step, "/etc/tmpfiles.d/byoh.conf", 0644,
				     "d /run/cluster-api 0755 root root -\n", err);
	/* Below --root /run is not the host's. */
	if (!rc && input->host->live)
		rc = byoh_step_directory(step, "/run/cluster-api", 0755, false, err);
	return rc;
}

int byoh_step_agent(const struct byoh_plan_input *input, struct byoh_step *step,
		    struct byoh_error *err)
{
	int rc;

	if (input->config->join_mode != BYOH_JOIN_AGENT)
		return 0;
	if (!byoh_steps_brings(input, BYOH_BIN_AGENT)) {
		if (!byoh_steps_brings(input, BYOH_BIN_KUBELET))
			return 0;
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, ENOENT,
			"join.mode: agent, but the bundle %s %s brings no agent (" BYOH_BIN_AGENT
			"); choose another mode or another bundle",
			input->manifest->name, input->manifest->version);
	}
	rc = agent_environment(input, step, err);
	if (!rc)
		rc = agent_folders(input, step, err);
	if (!rc)
		rc = bootstrap_kubeconfig(input, step, BYOH_AGENT_BOOTSTRAP, err);
	if (rc)
		return rc;
	return byoh_step_sentence(step, err,
				  byoh_steps_can_join(input)
					  ? "Tell the agent its cluster"
					  : "Prepare the agent, which waits for `join`");
}
