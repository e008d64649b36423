/* SPDX-License-Identifier: Apache-2.0 */
/* The bootstrap token and its Secret (kubernetes.io: authenticating with bootstrap tokens). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "installer/manifests/manifests.h"

#define TTL_MIN 60
#define TTL_MAX ((time_t)3660 * 24 * 60 * 60)
#define ID_LENGTH 6

int byoh_token_ttl_parse(const char *text, time_t *ret, struct byoh_error *err)
{
	static const struct {
		char unit;
		time_t seconds;
	} units[] = { { 'm', 60 }, { 'h', 60 * 60 }, { 'd', 24 * 60 * 60 } };
	size_t digits = strspn(text, "0123456789");
	time_t number = 0;

	if (digits && digits <= 7)
		number = (time_t)strtoul(text, NULL, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (number && text[digits] == units[i].unit && !text[digits + 1]) {
			*ret = number * units[i].seconds;
			if (*ret >= TTL_MIN && *ret <= TTL_MAX)
				return 0;
		}
	/* Zero would be a token that never ends, in the field for it. */
	return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
			 "--token-ttl takes minutes, hours or days up to ten years, like 30m, 24h or "
			 "7d, not \"%s\"",
			 text);
}

int byoh_expiration(time_t when, char ret[BYOH_EXPIRATION_SIZE], struct byoh_error *err)
{
	struct tm utc;

	if (!gmtime_r(&when, &utc) || !strftime(ret, BYOH_EXPIRATION_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ERANGE,
				 "the clock of this computer makes no sense");
	return 0;
}

/* Each sign with the same chance: bytes at the upper end, which would favour the first ones, are passed
 * by. */
int byoh_token_make(char ret[BYOH_TOKEN_SIZE], struct byoh_error *err)
{
	static const char signs[36] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t count = 0;

	while (count < BYOH_TOKEN_SIZE - 1) {
		unsigned char byte;

		if (count == ID_LENGTH) {
			ret[count++] = '.';
			continue;
		}
		if (getrandom(&byte, 1, 0) != 1) {
			if (errno == EINTR)
				continue;
			return byoh_fail_errno(err, "the kernel gives no random numbers");
		}
		if (byte < 256 / sizeof(signs) * sizeof(signs))
			ret[count++] = signs[byte % sizeof(signs)];
	}
	ret[count] = '\0';
	return 0;
}

static const char *token_group(const struct byoh_manifests_input *input)
{
	return byoh_manifests_claim(input) ? BYOH_GROUP_BYOH : BYOH_GROUP_KUBEADM;
}

/* Signing is for discovery: kubeadm's, and ours where hosts know the cluster's CA by its pin. */
static bool is_for_discovery(const struct byoh_config *config)
{
	return config->join_mode == BYOH_JOIN_KUBEADM || config->cluster.ca_pin;
}

static void put_secret(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	char name[BYOH_TOKEN_SIZE + 20] = "bootstrap-token-";

	strncat(name, input->token, ID_LENGTH);
	byoh_object_begin(file, "v1", "Secret", name, "kube-system");
	byoh_object_put(file,
			"type: bootstrap.kubernetes.io/token\n"
			"stringData:\n"
			"  description: \"hosts of %s, made by byoh-install manifests\"\n"
			"  token-id: \"%.6s\"\n"
			"  token-secret: \"%s\"\n"
			"  expiration: \"%s\"\n"
			"  usage-bootstrap-authentication: \"true\"\n"
			"  usage-bootstrap-signing: \"%s\"\n"
			"  auth-extra-groups: \"%s\"\n",
			input->cluster, input->token, input->token + ID_LENGTH + 1, input->expiration,
			is_for_discovery(input->config) ? "true" : "false", token_group(input));
}

void byoh_manifests_token(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	if (!input->token)
		return;
	put_secret(input, byoh_manifests_add(ret, "10-bootstrap-token.yaml", 0600));
	if (input->token_is_new)
		byoh_object_put(byoh_manifests_add(ret, "token", 0600), "%s\n", input->token);
}
