/* SPDX-License-Identifier: Apache-2.0 */
/* Whom this host trusts from its first install on, and what `join` brought later. */
#include <stdio.h>

#include "installer/join.h"
#include "installer/kubeconfig.h"
#include "installer/steps/steps-internal.h"

#define KEYS_DIR "/etc/byoh/keys.d"

static int pin(const struct byoh_public_key *key, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer pem = {0};
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;
	char path[sizeof(KEYS_DIR) + sizeof(hex) + 8];
	int r = byoh_public_key_id(key, &id, err);

	if (r == 0)
		r = byoh_public_key_pem(key, &pem, err);
	if (r < 0)
		return r;
	byoh_digest_hex(&id, hex);
	snprintf(path, sizeof(path), KEYS_DIR "/%.16s.pem", hex);
	return byoh_step_file(step, path, 0644, pem.data, pem.size, NULL, err);
}

int byoh_step_trust(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int r;

	if (!input->pin_count)
		return 0;
	r = byoh_step_directory(step, KEYS_DIR, 0755, false, err);
	for (size_t i = 0; i < input->pin_count && r == 0; i++)
		r = pin(&input->pins[i], step, err);
	return r < 0 ? r : byoh_step_sentence(step, err, "Trust the %s that signed this bundle from now on",
					      input->pin_count == 1 ? "key" : "keys");
}

/* What another configuration has made void must not come back by a later run. */
static int forget(const struct byoh_plan_input *input, struct byoh_step *step, const char *path, struct byoh_error *err)
{
	int r;

	if (!byoh_steps_exists(input->host, path))
		return 0;
	r = byoh_step_remove(step, path, err);
	if (r == 0)
		step->actions[step->action_count - 1].gives_back = true;
	return r;
}

static int keep_late(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!byoh_steps_can_join(input))
		return byoh_steps_file(input, step, BYOH_LATE_CA, 0644, config->cluster.ca.data, config->cluster.ca.size,
				       NULL, err);
	r = byoh_kubeconfig_write_bootstrap(config->cluster.name, config->cluster.server, &config->cluster.ca,
					    config->cluster.token, &text, err);
	return r < 0 ? r : byoh_steps_secret(input, step, BYOH_LATE_KUBECONFIG, &text, err);
}

int byoh_step_late(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	bool late = input->config->cluster.late && input->config->cluster.ca.size;
	bool whole = late && byoh_steps_can_join(input);
	int r = late ? keep_late(input, step, err) : forget(input, step, BYOH_LATE_KUBECONFIG, err);

	if (r == 0 && (whole || !late))
		r = forget(input, step, BYOH_LATE_CA, err);
	if (r < 0 || !step->action_count)
		return r;
	return byoh_step_sentence(step, err, late ? "Keep the credentials that came with join" :
						    "Forget the credentials that came with an earlier join");
}
