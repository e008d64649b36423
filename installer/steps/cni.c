/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of plugins in /etc/cni/net.d, of which containerd takes the first: one of the operator's, or one of
 * ours for a single node. HeadCNI gives every other file of that folder another name when it puts its own there;
 * ours is then neither missing nor put back.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/leave.h"
#include "installer/steps/steps-internal.h"

#define BRIDGE_CONFLIST BYOH_CNI_CONFIG "/" BYOH_BRIDGE_CONFLIST

static int add_ranges(const char *cidrs, struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t first = strcspn(cidrs, ",");
	int rc = byoh_buffer_printf(ret, err, "[[{\"subnet\": \"%.*s\"}]", (int)first, cidrs);

	if (!rc && cidrs[first])
		rc = byoh_buffer_printf(ret, err, ", [{\"subnet\": \"%s\"}]", cidrs + first + 1);
	return rc ? rc : byoh_buffer_add_string(ret, "]", err);
}

static int add_routes(const char *cidrs, struct byoh_buffer *ret, struct byoh_error *err)
{
	bool ipv4 = strchr(cidrs, '.'), ipv6 = strchr(cidrs, ':');

	return byoh_buffer_printf(ret, err, "[%s%s%s]", ipv4 ? "{\"dst\": \"0.0.0.0/0\"}" : "",
				  ipv4 && ipv6 ? ", " : "", ipv6 ? "{\"dst\": \"::/0\"}" : "");
}

int byoh_bridge_conflist(const char *cidrs, struct byoh_buffer *ret, struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret,
					"{\n"
					"  \"cniVersion\": \"0.4.0\",\n"
					"  \"name\": \"byoh\",\n"
					"  \"plugins\": [\n"
					"    {\n"
					"      \"type\": \"bridge\",\n"
					"      \"bridge\": \"cni0\",\n"
					"      \"isGateway\": true,\n"
					"      \"ipMasq\": true,\n"
					"      \"hairpinMode\": true,\n"
					"      \"ipam\": {\n"
					"        \"type\": \"host-local\",\n"
					"        \"ranges\": ", err);

	if (!rc)
		rc = add_ranges(cidrs, ret, err);
	if (!rc)
		rc = byoh_buffer_add_string(ret, ",\n        \"routes\": ", err);
	if (!rc)
		rc = add_routes(cidrs, ret, err);
	return rc ? rc : byoh_buffer_add_string(ret,
						"\n      }\n"
						"    },\n"
						"    {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}\n"
						"  ]\n"
						"}\n", err);
}

static int place(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		 const struct byoh_buffer *text, struct byoh_error *err)
{
	struct byoh_action *action = NULL;
	int rc = byoh_steps_file(input, step, path, 0644, text->data, text->size, &action, err);

	if (!rc && action)
		action->withheld = byoh_cni_is_headcni(input->host);
	return rc;
}

static int tell(const struct byoh_plan_input *input, struct byoh_step *step, const char *path,
		struct byoh_error *err)
{
	if (!step->action_count)
		return 0;
	if (byoh_cni_is_headcni(input->host))
		return byoh_step_sentence(step, err, "Leave the network to HeadCNI, whose configuration stands in place of %s",
					  path + strlen(BYOH_CNI_CONFIG "/"));
	return byoh_step_sentence(step, err, "Place the network configuration %s",
				  path + strlen(BYOH_CNI_CONFIG "/"));
}

static int check_plugins(const struct byoh_plan_input *input, struct byoh_error *err)
{
	static const char *const plugins[] = { "bridge", "host-local", "portmap", "loopback" };

	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++) {
		char path[64];

		snprintf(path, sizeof(path), BYOH_CNI_BIN "/%s", plugins[i]);
		if (!byoh_steps_brings(input, path) && !byoh_steps_exists(input->host, path))
			return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
					 "cni.install: bridge needs the plugin %s, and neither the bundle nor this host "
					 "has it; take a bundle with the CNI plugins", path);
	}
	return 0;
}

/* Until the cluster has given this node a network there is nothing to write; a later run does it. */
static int bridge(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, note = { 0 };
	int rc = check_plugins(input, err);

	if (rc || !input->pod_cidr || !*input->pod_cidr)
		return rc;
	rc = byoh_bridge_conflist(input->pod_cidr, &text, err);
	if (!rc)
		rc = place(input, step, BRIDGE_CONFLIST, &text, err);
	if (!rc)
		rc = byoh_buffer_printf(&note, err, "%s\n", input->pod_cidr);
	if (!rc)
		rc = byoh_steps_text(input, step, BYOH_POD_CIDR_NOTE, 0644, byoh_buffer_text(&note), err);
	return rc ? rc : tell(input, step, BRIDGE_CONFLIST, err);
}

int byoh_step_cni(const struct byoh_plan_input *input, struct byoh_step *step,
		  struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_FREE char *path = NULL;
	int rc;

	if (config->cni.bridge)
		return bridge(input, step, err);
	if (!config->cni.conflist_name || !config->cni.conflist.size)
		return 0;
	if (strchr(config->cni.conflist_name, '/') || config->cni.conflist_name[0] == '.')
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EINVAL,
			"cni.install: \"%s\" cannot be the name of a file in " BYOH_CNI_CONFIG,
			config->cni.conflist_name);
	if (asprintf(&path, BYOH_CNI_CONFIG "/%s", config->cni.conflist_name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = place(input, step, path, &config->cni.conflist, err);
	return rc ? rc : tell(input, step, path, err);
}

bool byoh_cni_is_headcni(const struct byoh_host *host)
{
	return byoh_steps_exists(host, BYOH_CNI_CONFIG "/" BYOH_HEADCNI_CONFLIST);
}

int byoh_leave_moved_conflist(const struct byoh_host *host, const struct byoh_origin *origin,
			      struct byoh_step *step, struct byoh_error *err)
{
	const char *path = origin->before.subject;
	CLEANUP_FREE char *moved = NULL;
	struct byoh_digest digest;
	int rc;

	if (strncmp(path, BYOH_CNI_CONFIG "/", strlen(BYOH_CNI_CONFIG "/")) != 0)
		return 0;
	if (asprintf(&moved, "%s" BYOH_HEADCNI_SUFFIX, path) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	/* One that was changed since is not ours alone any more. */
	if (!byoh_steps_exists(host, moved) || byoh_digest_beneath(host->root_fd, moved, &digest, NULL) < 0 ||
	    !byoh_digest_equal(&digest, &origin->written))
		return 0;
	rc = byoh_step_remove(step, moved, err);
	if (!rc)
		step->actions[step->action_count - 1].gives_back = true;
	return rc;
}
