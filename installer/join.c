/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/kubeconfig.h"

static int check_mode(const struct byoh_config *config, struct byoh_error *err)
{
	if (config->join_mode != BYOH_JOIN_NONE)
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "join.mode is %s: this host joins nothing; set join.mode in its configuration and "
			 "run install",
			 byoh_join_mode_name(config->join_mode));
}

static int replace_string(char **field, const char *value, struct byoh_error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_secret_free(*field);
	*field = copy;
	return 0;
}

/* What was found by the pin stays what it is, wherever it comes from the second time. */
static void replace_ca(struct byoh_config *config, struct byoh_buffer *ca)
{
	struct byoh_buffer *old = &config->cluster.ca;

	config->cluster.ca_discovered = config->cluster.ca_discovered && old->size == ca->size &&
					memcmp(old->data, ca->data, ca->size) == 0;
	byoh_buffer_release(old);
	*old = *ca;
	*ca = (struct byoh_buffer){0};
	config->cluster.late = true;
}

int byoh_join_use_kubeconfig(struct byoh_config *config, const char *text, size_t size, const char *name,
			     struct byoh_error *err)
{
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = NULL;
	bool opaque = config->join_mode == BYOH_JOIN_TLS_BOOTSTRAP;
	int r = check_mode(config, err);

	if (r == 0)
		r = byoh_kubeconfig_parse_bootstrap(text, size, name, opaque, &kubeconfig, err);
	if (r == 0)
		r = replace_string(&config->cluster.server, kubeconfig->server, err);
	if (r == 0)
		r = replace_string(&config->cluster.token, kubeconfig->token, err);
	if (r < 0)
		return r;
	replace_ca(config, &kubeconfig->ca);
	return 0;
}

int byoh_join_use_token(struct byoh_config *config, const char *token, struct byoh_error *err)
{
	int r = check_mode(config, err);

	if (r < 0)
		return r;
	if (!config->cluster.server || (!config->cluster.ca.size && !config->cluster.ca_pin))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "the host knows no server and CA yet; bring all three with --kubeconfig FILE");
	if (!byoh_token_is_bootstrap(token) &&
	    (config->join_mode != BYOH_JOIN_TLS_BOOTSTRAP ||
	     !byoh_token_is_opaque(token, BYOH_STATIC_TOKEN_MAX)))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "this is no bootstrap token: six and sixteen lower-case letters or digits "
				 "with a dot between; `kubeadm token create` prints one");
	config->cluster.late = true;
	return replace_string(&config->cluster.token, token, err);
}

int byoh_join_use_ca(struct byoh_config *config, const char *pem, size_t size, const char *name,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer ca = {0};
	int r = check_mode(config, err);

	if (r == 0)
		r = byoh_ca_check(pem, size, config->cluster.ca_pin, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", name);
	r = byoh_buffer_add(&ca, pem, size, err);
	if (r == 0)
		replace_ca(config, &ca);
	return r;
}

static int exchange_in_proxy(struct byoh_config *config, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer other = {0};
	struct byoh_buffer *text = &config->kube_proxy.kubeconfig;
	bool changed = false;
	int r;

	if (!text->size)
		return 0;
	r = byoh_ca_exchange(text->data, text->size, &config->cluster.old_ca, &config->cluster.ca, &other, &changed,
			     err);
	if (r < 0 || !changed)
		return r;
	byoh_secret_buffer_release(text);
	*text = other;
	other = (struct byoh_buffer){0};
	return 0;
}

int byoh_join_note_old_ca(struct byoh_config *config, const struct byoh_buffer *ca, struct byoh_error *err)
{
	const struct byoh_buffer *now = &config->cluster.ca;
	int r;

	if (!ca->size || (ca->size == now->size && memcmp(ca->data, now->data, ca->size) == 0))
		return 0;
	byoh_buffer_release(&config->cluster.old_ca);
	r = byoh_buffer_add(&config->cluster.old_ca, ca->data, ca->size, err);
	return r < 0 ? r : exchange_in_proxy(config, err);
}
