/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/agent-config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/config-syntax.h"
#include "installer/kubeconfig-view.h"

static bool is_same_server(const char *a, const char *b)
{
	CLEANUP_FREE char *first = NULL, *second = NULL;

	if (byoh_server_url(a, &first) < 0 || byoh_server_url(b, &second) < 0)
		return strcmp(a, b) == 0;
	return strcmp(first, second) == 0;
}

static enum byoh_agent_config_state judge(const struct byoh_kubeconfig_view *view, const struct byoh_config *config,
					  uint64_t expires)
{
	if (!view->server || !expires)
		return BYOH_AGENT_CONFIG_UNREADABLE;
	if (config->cluster.server && !is_same_server(view->server, config->cluster.server))
		return BYOH_AGENT_CONFIG_OTHER_SERVER;
	if (config->cluster.ca.size && !byoh_ca_is_shared(&view->ca, &config->cluster.ca))
		return BYOH_AGENT_CONFIG_OTHER_CA;
	return expires <= (uint64_t)time(NULL) ? BYOH_AGENT_CONFIG_EXPIRED : BYOH_AGENT_CONFIG_GOOD;
}

int byoh_agent_config_look(const struct byoh_host *host, const struct byoh_config *config,
			   struct byoh_agent_config *ret, struct byoh_error *err)
{
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
	uint64_t begin = 0, end = 0;
	int rc = byoh_kubeconfig_view_file(host->root_fd, BYOH_AGENT_CONFIG, &view, NULL);

	*ret = (struct byoh_agent_config){ 0 };
	if (rc == -ENOMEM)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (!byoh_certificate_times(byoh_buffer_text(&view.certificate), view.certificate.size, false, &begin, &end))
		end = 0;
	ret->expires = end;
	ret->state = judge(&view, config, end);
	ret->server = TAKE_PTR(view.server);
	return 0;
}

void byoh_agent_config_release(struct byoh_agent_config *agent)
{
	free(agent->server);
	*agent = (struct byoh_agent_config){ 0 };
}

bool byoh_agent_config_is_stale(const struct byoh_agent_config *agent)
{
	return agent->state > BYOH_AGENT_CONFIG_GOOD;
}

const char *byoh_agent_config_word(enum byoh_agent_config_state state)
{
	static const char *const words[] = {
		[BYOH_AGENT_CONFIG_GOOD] = "good",
		[BYOH_AGENT_CONFIG_OTHER_SERVER] = "otherServer",
		[BYOH_AGENT_CONFIG_OTHER_CA] = "otherCA",
		[BYOH_AGENT_CONFIG_EXPIRED] = "expired",
		[BYOH_AGENT_CONFIG_UNREADABLE] = "unreadable",
	};

	return words[state];
}

int byoh_agent_config_describe(const struct byoh_agent_config *agent, struct byoh_buffer *ret, struct byoh_error *err)
{
	time_t seconds = (time_t)agent->expires;
	char until[32] = "";
	struct tm parts;

	if (gmtime_r(&seconds, &parts))
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &parts);
	switch (agent->state) {
	case BYOH_AGENT_CONFIG_OTHER_SERVER:
		return byoh_buffer_printf(ret, err, BYOH_AGENT_CONFIG " leads to another server, %.200s",
					  agent->server);
	case BYOH_AGENT_CONFIG_OTHER_CA:
		return byoh_buffer_printf(ret, err, BYOH_AGENT_CONFIG " trusts another CA than this host's "
					  "configuration");
	case BYOH_AGENT_CONFIG_EXPIRED:
		return byoh_buffer_printf(ret, err, BYOH_AGENT_CONFIG " holds a certificate that expired at %s", until);
	case BYOH_AGENT_CONFIG_UNREADABLE:
		return byoh_buffer_printf(ret, err, BYOH_AGENT_CONFIG " is no kubeconfig with a client certificate");
	default:
		return 0;
	}
}
