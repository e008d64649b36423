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

int byoh_step_late(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!input->config->cluster.late || !byoh_steps_can_join(input))
		return 0;
	r = byoh_kubeconfig_write_bootstrap(input->config->cluster.name, input->config->cluster.server,
					    &input->config->cluster.ca, input->config->cluster.token,
					    &text, err);
	if (r == 0)
		r = byoh_steps_secret(input, step, BYOH_LATE_KUBECONFIG, &text, err);
	return r < 0 ? r : byoh_step_sentence(step, err, "Keep the credentials that came with join");
}
