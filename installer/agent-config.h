/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ~/.byoh/config, which the agent got for its bootstrap token: as soon as it has one it goes by that and looks at no
 * other, whatever the configuration of this host says. One of an earlier cluster, or one that has run out, is stale:
 * the agent then does nothing, and says little.
 */
#ifndef BYOH_INSTALLER_AGENT_CONFIG_H
#define BYOH_INSTALLER_AGENT_CONFIG_H

#include "installer/config.h"
#include "installer/host.h"

#define BYOH_AGENT_FOLDER "/root/.byoh"
#define BYOH_AGENT_CONFIG BYOH_AGENT_FOLDER "/config"
#define BYOH_AGENT_KEY "/var/lib/byoh/byoh-client.key.tmp" /* until its certificate has come */

enum byoh_agent_config_state {
	BYOH_AGENT_CONFIG_NONE = 0,
	BYOH_AGENT_CONFIG_GOOD,
	BYOH_AGENT_CONFIG_OTHER_SERVER, /* than the configuration's */
	BYOH_AGENT_CONFIG_OTHER_CA,	/* no certificate of it is one of the configuration's CA */
	BYOH_AGENT_CONFIG_EXPIRED,	/* by this host's clock */
	BYOH_AGENT_CONFIG_UNREADABLE,	/* no kubeconfig with a client certificate */
};

struct byoh_agent_config {
	enum byoh_agent_config_state state;
	char *server;	  /* that it leads to; NULL: unknown */
	uint64_t expires; /* its certificate, seconds since 1970; 0: unknown */
};

/* What the configuration does not know (a server, a CA that came late) is not compared. */
BYOH_MUST_CHECK int byoh_agent_config_look(const struct byoh_host *host, const struct byoh_config *config,
					   struct byoh_agent_config *ret, struct byoh_error *err);
void byoh_agent_config_release(struct byoh_agent_config *agent);
#define CLEANUP_AGENT_CONFIG __attribute__((cleanup(byoh_agent_config_release)))

/* Does the agent get nowhere by it? */
bool byoh_agent_config_is_stale(const struct byoh_agent_config *agent);
/* "good", "otherServer", "otherCA", "expired", "unreadable"; NULL for none. Stable. */
const char *byoh_agent_config_word(enum byoh_agent_config_state state);
/* What is wrong with it, as a sentence without its end ("... is of another server, https://..."); "" where nothing is. */
BYOH_MUST_CHECK int byoh_agent_config_describe(const struct byoh_agent_config *agent, struct byoh_buffer *ret,
					       struct byoh_error *err);

#endif
