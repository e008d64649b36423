/* SPDX-License-Identifier: Apache-2.0 */
/* What was brought to a stick, for the stick and for people. */
#include <stdio.h>
#include <time.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/stick.h"

#define FORMAT "byoh-usb-receipt/v1"

static const char *const kinds[] = {
	[BYOH_STICK_FILE] = "file", [BYOH_STICK_SLICE] = "slice", [BYOH_STICK_BUNDLE] = "bundle",
};

static void add_hex(struct byoh_json *json, const char *key, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_field_string(json, key, hex);
}

static int add_signers(const struct byoh_stick *stick, const struct byoh_bundle *bundle, struct byoh_json *json,
		       struct byoh_error *err)
{
	size_t count;
	const struct byoh_signature *signatures = byoh_bundle_signatures(bundle, &count);

	byoh_json_key(json, "signers");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < count; i++) {
		struct byoh_digest id;

		TRY(byoh_public_key_id(&signatures[i].key, &id, err));
		byoh_json_begin_object(json);
		add_hex(json, "key", &id);
		byoh_json_field_bool(json, "vouched", byoh_keyring_has(stick->keys, &signatures[i].key));
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
	return 0;
}

static int add_file(const struct byoh_stick *stick, const struct byoh_stick_file *file, struct byoh_json *json,
		    struct byoh_error *err)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", file->name);
	byoh_json_field_string(json, "kind", kinds[file->kind]);
	byoh_json_field_u64(json, "size", file->size);
	add_hex(json, "sha256", &file->digest);
	byoh_json_field_string(json, "readBack", file->direct ? "direct" : "cache dropped");
	if (file->bundle) {
		const struct byoh_manifest *manifest = byoh_bundle_manifest(file->bundle);

		add_hex(json, "id", byoh_bundle_id(file->bundle));
		byoh_json_field_string(json, "bundle", manifest->name);
		byoh_json_field_string(json, "version", manifest->version);
		byoh_json_field_u64(json, "epoch", manifest->epoch);
		TRY(add_signers(stick, file->bundle, json, err));
	}
	byoh_json_end_object(json);
	return 0;
}

static void add_text(struct byoh_json *json, const char *key, const char *text)
{
	byoh_json_field_string(json, key, *text ? text : NULL);
}

static void add_medium(const struct byoh_medium *medium, struct byoh_json *json)
{
	byoh_json_key(json, "fileSystem");
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "type", medium->type);
	byoh_json_field_u64(json, "size", medium->size);
	byoh_json_field_u64(json, "freeBefore", medium->free);
	byoh_json_end_object(json);
	byoh_json_key(json, "device");
	byoh_json_begin_object(json);
	add_text(json, "name", medium->device);
	byoh_json_field_u64(json, "size", medium->device_size);
	add_text(json, "vendor", medium->vendor);
	add_text(json, "model", medium->model);
	add_text(json, "serial", medium->serial);
	byoh_json_end_object(json);
}

static void format_time(uint64_t seconds, char ret[32])
{
	time_t when = (time_t)seconds;
	struct tm parts;

	if (!gmtime_r(&when, &parts) || !strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &parts))
		snprintf(ret, 32, "unknown");
}

int byoh_stick_receipt(const struct byoh_stick *stick, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);
	char when[32];

	format_time(stick->written, when);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "format", FORMAT);
	byoh_json_field_string(&json, "written", when);
	byoh_json_field_string(&json, "tool", "byoh-bundle " BYOH_VERSION);
	byoh_json_key(&json, "files");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < stick->count; i++)
		TRY(add_file(stick, &stick->files[i], &json, err));
	byoh_json_end_array(&json);
	add_medium(&stick->medium, &json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

static int tell_file(const struct byoh_stick *stick, const struct byoh_stick_file *file, struct byoh_buffer *ret,
		     struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE], size[32];
	const struct byoh_signature *signatures;
	size_t count;

	byoh_digest_hex(file->bundle ? byoh_bundle_id(file->bundle) : &file->digest, hex);
	byoh_format_size(file->size, size);
	if (!file->bundle)
		return byoh_buffer_printf(ret, err, "%s/%s: good: %s of %s, sha256 %s\n%s", stick->folder, file->name,
					  kinds[file->kind], size, hex, file->kind == BYOH_STICK_SLICE ?
					  "  copied as it is: the bundle's other slices are not beside it\n" : "");
	TRY(byoh_buffer_printf(ret, err, "%s/%s: good: %s%s %s, %s, id %s\n", stick->folder, file->name,
			       file->kind == BYOH_STICK_SLICE ? "a slice of " : "", byoh_bundle_manifest(file->bundle)->name, byoh_bundle_manifest(file->bundle)->version,
			       size, hex));
	signatures = byoh_bundle_signatures(file->bundle, &count);
	for (size_t i = 0; i < count; i++) {
		struct byoh_digest id;

		TRY(byoh_public_key_id(&signatures[i].key, &id, err));
		byoh_digest_hex(&id, hex);
		TRY(byoh_buffer_printf(ret, err, "  signed by %s%s\n", hex,
				       byoh_keyring_has(stick->keys, &signatures[i].key) ? "" :
				       " (nobody vouched for this key: compare it)"));
	}
	return count ? 0 : byoh_buffer_add_string(ret, "  signed by nobody yet: no host takes it\n", err);
}

int byoh_stick_tell(const struct byoh_stick *stick, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_medium *medium = &stick->medium;
	char size[32], device[32];
	bool direct = true;

	for (size_t i = 0; i < stick->count; i++) {
		TRY(tell_file(stick, &stick->files[i], ret, err));
		direct = direct && stick->files[i].direct;
	}
	TRY(byoh_buffer_printf(ret, err, "read back %s\n", direct ? "past the page cache (O_DIRECT)" :
			       "after the page cache was dropped, since the file system knows no O_DIRECT"));
	TRY(byoh_buffer_printf(ret, err, "%s, %s", medium->type, byoh_format_size(medium->size, size)));
	if (*medium->device)
		TRY(byoh_buffer_printf(ret, err, ", on %s of %s: %s %s, serial %s", medium->device,
				       byoh_format_size(medium->device_size, device),
				       *medium->vendor ? medium->vendor : "unknown vendor",
				       *medium->model ? medium->model : "unknown model",
				       *medium->serial ? medium->serial : "unknown"));
	return byoh_buffer_printf(ret, err, "\nreceipt: %s/" BYOH_RECEIPT_NAME "\n", stick->folder);
}
