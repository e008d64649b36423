/* SPDX-License-Identifier: Apache-2.0 */
/* Who signed, for `inspect --signatures` of both programs. */
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/describe.h"

struct signer {
	char id[BYOH_DIGEST_HEX_SIZE];
	bool holds, trusted;
	const char *word;
};

static int look_at(const struct byoh_bundle *bundle, const struct byoh_signature *signature,
		   const struct byoh_opinion *opinion, struct signer *ret, struct byoh_error *err)
{
	struct byoh_digest id;
	int r = byoh_public_key_id(&signature->key, &id, err);

	if (r < 0)
		return r;
	byoh_digest_hex(&id, ret->id);
	ret->holds = byoh_trust_check(signature, byoh_bundle_id(bundle), NULL) == 0;
	ret->word = opinion ? opinion->word(opinion->context, &signature->key, &ret->trusted) : NULL;
	return 0;
}

static void add_signer(struct byoh_json *json, const struct signer *signer, bool judged)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "algorithm", "ed25519");
	byoh_json_field_string(json, "key", signer->id);
	byoh_json_field_bool(json, "holds", signer->holds);
	if (judged) {
		byoh_json_field_bool(json, "trusted", signer->trusted);
		byoh_json_field_string(json, "why", signer->word);
	}
	byoh_json_end_object(json);
}

static int tell_signer(const struct signer *signer, bool judged, struct byoh_buffer *ret, struct byoh_error *err)
{
	return byoh_buffer_printf(ret, err, "ed25519 %s %s%s%s\n", signer->id,
				  signer->holds ? "holds" : "DOES NOT HOLD", judged ? ", " : "",
				  !judged ? "" : signer->word ? signer->word : "unknown here");
}

static int finish_text(const struct byoh_opinion *opinion, size_t trusted, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	if (!opinion || !opinion->threshold)
		return 0;
	return byoh_buffer_printf(ret, err, "%zu of the trusted keys, %u needed\n", trusted, opinion->threshold);
}

static int finish_json(const struct byoh_opinion *opinion, size_t trusted, struct byoh_json *json,
		       struct byoh_error *err)
{
	byoh_json_end_array(json);
	if (opinion && opinion->threshold) {
		byoh_json_field_u64(json, "trusted", trusted);
		byoh_json_field_u64(json, "needed", opinion->threshold);
	}
	byoh_json_end_object(json);
	return byoh_json_finish(json, err);
}

static void begin_json(const struct byoh_bundle *bundle, struct byoh_json *json)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "id", hex);
	byoh_json_key(json, "signatures");
	byoh_json_begin_array(json);
}

int byoh_describe_signatures(const struct byoh_bundle *bundle, const struct byoh_opinion *opinion, bool json,
			     struct byoh_buffer *ret, size_t *ret_broken, struct byoh_error *err)
{
	struct byoh_json out = byoh_json_to(ret);
	size_t count, trusted = 0;
	const struct byoh_signature *signatures = byoh_bundle_signatures(bundle, &count);

	*ret_broken = 0;
	if (json)
		begin_json(bundle, &out);
	for (size_t i = 0; i < count; i++) {
		struct signer signer = { 0 };

		TRY(look_at(bundle, &signatures[i], opinion, &signer, err));
		*ret_broken += !signer.holds;
		trusted += signer.holds && signer.trusted;
		if (json)
			add_signer(&out, &signer, opinion != NULL);
		else
			TRY(tell_signer(&signer, opinion != NULL, ret, err));
	}
	return json ? finish_json(opinion, trusted, &out, err) : finish_text(opinion, trusted, ret, err);
}
