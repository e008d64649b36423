/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates that a node lives by, and when they end. Looked up in files alone: no question to anybody. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-view.h"
#include "installer/steps/node-state.h"
#include "installer/steps/steps-internal.h"

#define CLIENT "/var/lib/kubelet/pki/kubelet-client-current.pem"
#define SERVING "/var/lib/kubelet/pki/kubelet-server-current.pem"
#define CERTIFICATE_MAX ((size_t)1 << 20)
#define SOON ((uint64_t)30 * 86400)
#define SOON_PART 5 /* of what lives for less than that: a fifth of its life */

const char *byoh_certificate_state_word(enum byoh_certificate_state state)
{
	static const char *const words[] = {
		[BYOH_CERTIFICATE_VALID] = "valid",		[BYOH_CERTIFICATE_SOON] = "expiresSoon",
		[BYOH_CERTIFICATE_EXPIRED] = "expired",		[BYOH_CERTIFICATE_EARLY] = "notYetValid",
		[BYOH_CERTIFICATE_UNREADABLE] = "unreadable",
	};

	return words[state];
}

enum byoh_certificate_state byoh_certificate_judge(uint64_t begin, uint64_t end, uint64_t now)
{
	uint64_t life = end > begin ? end - begin : 0;

	if (now < begin)
		return BYOH_CERTIFICATE_EARLY;
	if (now >= end)
		return BYOH_CERTIFICATE_EXPIRED;
	return end - now < (life / SOON_PART < SOON ? life / SOON_PART : SOON) ? BYOH_CERTIFICATE_SOON :
										BYOH_CERTIFICATE_VALID;
}

/* whole: each certificate of the text counts. */
static void add(struct byoh_node_state *ret, const char *name, const char *path, const struct byoh_buffer *pem, bool whole)
{
	struct byoh_node_certificate *one = &ret->certificates[ret->certificate_count++];

	*one = (struct byoh_node_certificate){ .name = name, .path = path, .state = BYOH_CERTIFICATE_UNREADABLE };
	if (byoh_certificate_times(byoh_buffer_text(pem), pem->size, whole, &one->begins, &one->expires))
		one->state = byoh_certificate_judge(one->begins, one->expires, (uint64_t)time(NULL));
}

static bool add_file(const struct byoh_host *host, const char *name, const char *path, bool whole,
		     struct byoh_node_state *ret)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer pem = { 0 }; /* the key is in it too */
	int rc = byoh_host_read(host->root_fd, path, CERTIFICATE_MAX, &pem, NULL);

	if (rc == -ENOENT || rc == -ENOTDIR)
		return false;
	add(ret, name, path, &pem, whole);
	return true;
}

/* One that identifies itself by a token has none. */
static void add_kubeconfig(const struct byoh_host *host, const char *name, const char *path,
			   struct byoh_node_state *ret)
{
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
	int rc = byoh_kubeconfig_view_file(host->root_fd, path, &view, NULL);

	if (rc == 0 && (view.certificate.size || !view.token))
		add(ret, name, path, &view.certificate, false);
}

static void add_ca(const struct byoh_host *host, const struct byoh_config *config, struct byoh_node_state *ret)
{
	if (!add_file(host, "ca", BYOH_KUBERNETES_CA, true, ret) && config->cluster.ca.size)
		add(ret, "ca", NULL, &config->cluster.ca, true);
}

void byoh_certificates_look(const struct byoh_host *host, const struct byoh_config *config,
			    struct byoh_node_state *ret)
{
	bool agent = config->join_mode == BYOH_JOIN_AGENT;

	ret->certificate_count = 0;
	add_file(host, "kubelet", CLIENT, false, ret);
	if (!add_file(host, "kubeletServing", SERVING, false, ret))
		add_file(host, "kubeletServing", BYOH_KUBELET_OWN_SERVING, false, ret);
	add_kubeconfig(host, "kubeProxy", BYOH_KUBE_PROXY_KUBECONFIG, ret);
	if (agent)
		add_kubeconfig(host, "agent", BYOH_AGENT_CONFIG, ret);
	add_ca(host, config, ret);
}

const struct byoh_node_certificate *byoh_node_certificate(const struct byoh_node_state *state, const char *name)
{
	for (size_t i = 0; i < state->certificate_count; i++)
		if (strcmp(state->certificates[i].name, name) == 0)
			return &state->certificates[i];
	return NULL;
}

bool byoh_kubelet_is_admitted(const struct byoh_host *host)
{
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };

	if (!byoh_host_exists(host->root_fd, BYOH_KUBELET_KUBECONFIG))
		return false;
	return byoh_kubeconfig_view_file(host->root_fd, BYOH_KUBELET_KUBECONFIG, &view, NULL) < 0 ||
	       view.certificate.size || view.token;
}

/* The kubelet writes its kubeconfig when it begins to ask, and the file that it names when it has been answered. */
bool byoh_kubelet_has_certificate(const struct byoh_host *host)
{
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
	uint64_t begin, end;

	if (byoh_kubeconfig_view_file(host->root_fd, BYOH_KUBELET_KUBECONFIG, &view, NULL) < 0)
		return false;
	return byoh_certificate_times(byoh_buffer_text(&view.certificate), view.certificate.size, false, &begin,
				      &end) && end > (uint64_t)time(NULL);
}
