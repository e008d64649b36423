/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind of thing (signers, components, images, files) is two lists in order of a name, merged into pairs of
 * which one side may be missing; text and JSON are written of the pairs that differ.
 */
#include "bundle/compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"

struct pair {
	const void *from, *to; /* NULL: not there */
};

struct pairs {
	struct pair *items;
	size_t count;
};

struct kind {
	const char *name; /* "components" */
	int (*order)(const void *a, const void *b);
	bool (*same)(const void *a, const void *b);
	void (*name_of)(const void *item, struct byoh_json *json);
	void (*add)(const void *item, struct byoh_json *json);
	int (*tell)(const struct pair *pair, struct byoh_buffer *ret, struct byoh_error *err);
};

struct list {
	const void **items;
	size_t count;
};

static void release_list(struct list *list)
{
	free(list->items);
}

static void release_pairs(struct pairs *pairs)
{
	free(pairs->items);
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int make_list(const void *items, size_t count, size_t size, struct list *ret, struct byoh_error *err)
{
	ret->items = calloc(count ? count : 1, sizeof(*ret->items));
	if (!ret->items)
		return no_memory(err);
	for (size_t i = 0; i < count; i++)
		ret->items[i] = (const char *)items + i * size;
	ret->count = count;
	return 0;
}

/* By insertion: what is there is in order already, or short. */
static void sort(struct list *list, int (*order)(const void *a, const void *b))
{
	for (size_t i = 1; i < list->count; i++)
		for (size_t k = i; k > 0 && order(list->items[k - 1], list->items[k]) > 0; k--) {
			const void *item = list->items[k];

			list->items[k] = list->items[k - 1];
			list->items[k - 1] = item;
		}
}

static int merge(const struct kind *kind, struct list *from, struct list *to, struct pairs *ret,
		 struct byoh_error *err)
{
	size_t i = 0, k = 0;

	sort(from, kind->order);
	sort(to, kind->order);
	ret->items = calloc(from->count + to->count + 1, sizeof(*ret->items));
	if (!ret->items)
		return no_memory(err);
	while (i < from->count || k < to->count) {
		struct pair pair = { 0 };
		int side = i == from->count ? 1 : k == to->count ? -1 :
			   kind->order(from->items[i], to->items[k]);

		if (side <= 0)
			pair.from = from->items[i++];
		if (side >= 0)
			pair.to = to->items[k++];
		if (side || !kind->same(pair.from, pair.to))
			ret->items[ret->count++] = pair;
	}
	return 0;
}

static char sign_of(const struct pair *pair)
{
	return !pair->from ? '+' : !pair->to ? '-' : '~';
}

/*
 * Signers
 */

static int order_signers(const void *a, const void *b)
{
	return memcmp(((const struct byoh_signature *)a)->key.bytes, ((const struct byoh_signature *)b)->key.bytes,
		      BYOH_PUBLIC_KEY_SIZE);
}

static bool same_signers(const void *a, const void *b)
{
	return order_signers(a, b) == 0; /* Ed25519 signs the same bytes the same way */
}

static void signer_hex(const struct byoh_signature *signature, char ret[BYOH_DIGEST_HEX_SIZE])
{
	struct byoh_digest id = { 0 };

	if (byoh_public_key_id(&signature->key, &id, NULL) < 0)
		memset(&id, 0, sizeof(id));
	byoh_digest_hex(&id, ret);
}

static void name_signer(const void *item, struct byoh_json *json)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	signer_hex(item, hex);
	byoh_json_field_string(json, "key", hex);
}

static int tell_signer(const struct pair *pair, struct byoh_buffer *ret, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	signer_hex(pair->from ? pair->from : pair->to, hex);
	return byoh_buffer_printf(ret, err, "  %c %s\n", sign_of(pair), hex);
}

/*
 * Components
 */

static int order_components(const void *a, const void *b)
{
	return strcmp(((const struct byoh_component *)a)->name, ((const struct byoh_component *)b)->name);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_components(const void *a, const void *b)
{
	const struct byoh_component *from = a, *to = b;

	return same_text(from->version, to->version) && same_text(from->license, to->license) &&
	       byoh_digest_equal(&from->digest, &to->digest) && from->unlocked == to->unlocked;
}

static void name_component(const void *item, struct byoh_json *json)
{
	byoh_json_field_string(json, "name", ((const struct byoh_component *)item)->name);
}

static void add_digest(struct byoh_json *json, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_field_string(json, "sha256", hex);
}

static void add_component(const void *item, struct byoh_json *json)
{
	const struct byoh_component *component = item;

	byoh_json_field_string(json, "version", component->version);
	byoh_json_field_string(json, "license", component->license);
	add_digest(json, &component->digest);
	byoh_json_field_bool(json, "unlocked", component->unlocked);
}

static int tell_component(const struct pair *pair, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_component *from = pair->from, *to = pair->to, *one = from ? from : to;
	bool both = from && to;

	TRY(byoh_buffer_printf(ret, err, "  %c %-20s %s", sign_of(pair), one->name, one->version));
	if (both && strcmp(from->version, to->version) != 0)
		TRY(byoh_buffer_printf(ret, err, " -> %s", to->version));
	else if (both && !byoh_digest_equal(&from->digest, &to->digest))
		TRY(byoh_buffer_add_string(ret, " (the same version of another source)", err));
	if (both && !same_text(from->license, to->license))
		TRY(byoh_buffer_printf(ret, err, ", licence %s -> %s", from->license ? from->license : "none",
				       to->license ? to->license : "none"));
	return byoh_buffer_add_string(ret, to && to->unlocked ? "  UNLOCKED\n" : "\n", err);
}

/*
 * Images
 */

static int order_images(const void *a, const void *b)
{
	const struct byoh_image *from = a, *to = b;
	int order = strcmp(from->ref, to->ref);

	return order ? order : strcmp(from->platform, to->platform);
}

static bool same_images(const void *a, const void *b)
{
	const struct byoh_image *from = a, *to = b;

	return byoh_digest_equal(&from->digest, &to->digest) && from->unlocked == to->unlocked;
}

static void name_image(const void *item, struct byoh_json *json)
{
	const struct byoh_image *image = item;

	byoh_json_field_string(json, "ref", image->ref);
	byoh_json_field_string(json, "platform", image->platform);
}

static void add_image(const void *item, struct byoh_json *json)
{
	const struct byoh_image *image = item;

	add_digest(json, &image->digest);
	byoh_json_field_bool(json, "unlocked", image->unlocked);
}

static int tell_image(const struct pair *pair, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_image *from = pair->from, *to = pair->to;
	char old[BYOH_DIGEST_HEX_SIZE], new[BYOH_DIGEST_HEX_SIZE];

	TRY(byoh_buffer_printf(ret, err, "  %c %s (%s)", sign_of(pair), (from ? from : to)->ref,
			       (from ? from : to)->platform));
	if (from && to) {
		byoh_digest_hex(&from->digest, old);
		byoh_digest_hex(&to->digest, new);
		TRY(byoh_buffer_printf(ret, err, " sha256:%.12s -> sha256:%.12s", old, new));
	}
	return byoh_buffer_add_string(ret, to && to->unlocked ? "  UNLOCKED\n" : "\n", err);
}

/*
 * Files
 */

static int order_files(const void *a, const void *b)
{
	return strcmp(((const struct byoh_file *)a)->path, ((const struct byoh_file *)b)->path);
}

static bool same_files(const void *a, const void *b)
{
	const struct byoh_file *from = a, *to = b;

	return from->type == to->type && from->mode == to->mode && from->size == to->size &&
	       strcmp(from->target, to->target) == 0 && byoh_digest_equal(&from->digest, &to->digest);
}

static void name_file(const void *item, struct byoh_json *json)
{
	byoh_json_field_string(json, "path", ((const struct byoh_file *)item)->path);
}

static const char *type_of(const struct byoh_file *file)
{
	return file->type == BYOH_FILE_DIRECTORY ? "directory" : file->type == BYOH_FILE_SYMLINK ? "link" : "file";
}

static void add_file(const void *item, struct byoh_json *json)
{
	const struct byoh_file *file = item;
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned int)file->mode & 07777);
	byoh_json_field_string(json, "type", type_of(file));
	byoh_json_field_string(json, "mode", mode);
	if (file->type == BYOH_FILE_SYMLINK)
		byoh_json_field_string(json, "target", file->target);
	if (file->type != BYOH_FILE_REGULAR)
		return;
	byoh_json_field_u64(json, "size", file->size);
	add_digest(json, &file->digest);
}

static int tell_content(const struct byoh_file *file, struct byoh_buffer *ret, struct byoh_error *err)
{
	char size[32];

	if (file->type == BYOH_FILE_REGULAR)
		return byoh_buffer_add_string(ret, byoh_format_size(file->size, size), err);
	return byoh_buffer_printf(ret, err, "%s%s%s", type_of(file), *file->target ? " to " : "", file->target);
}

static int tell_file(const struct pair *pair, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_file *from = pair->from, *to = pair->to;

	TRY(byoh_buffer_printf(ret, err, "  %c /%s (", sign_of(pair), (from ? from : to)->path));
	if (from)
		TRY(tell_content(from, ret, err));
	if (from && to)
		TRY(byoh_buffer_add_string(ret, " -> ", err));
	if (to)
		TRY(tell_content(to, ret, err));
	if (from && to && from->mode != to->mode)
		TRY(byoh_buffer_printf(ret, err, ", mode %04o -> %04o", (unsigned int)from->mode,
				       (unsigned int)to->mode));
	return byoh_buffer_add_string(ret, ")\n", err);
}

/* Blobs have names of digests, which tell nobody anything: they are counted. */
static bool is_blob(const struct byoh_file *file)
{
	size_t length = strlen(BYOH_IMAGE_BLOB_DIR);

	return strncmp(file->path, BYOH_IMAGE_BLOB_DIR, length) == 0 &&
	       (file->path[length] == '/' || !file->path[length]);
}

/*
 * The whole
 */

enum { SIGNERS, COMPONENTS, IMAGES, FILES, KINDS };

static const struct kind kinds[KINDS] = {
	[SIGNERS] = { "signers", order_signers, same_signers, name_signer, NULL, tell_signer },
	[COMPONENTS] = { "components", order_components, same_components, name_component, add_component,
			 tell_component },
	[IMAGES] = { "images", order_images, same_images, name_image, add_image, tell_image },
	[FILES] = { "files", order_files, same_files, name_file, add_file, tell_file },
};

struct blobs {
	uint64_t added, added_size, removed, removed_size;
};

struct comparison {
	const struct byoh_bundle *from, *to;
	struct pairs pairs[KINDS];
	struct blobs blobs;
	bool same;
};

static void release_comparison(struct comparison *comparison)
{
	for (size_t i = 0; i < KINDS; i++)
		release_pairs(&comparison->pairs[i]);
}

static int list_of(const struct byoh_bundle *bundle, size_t kind, struct list *ret, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	const struct byoh_index *index = byoh_bundle_index(bundle);
	const struct byoh_signature *signatures;
	size_t count;

	switch (kind) {
	case SIGNERS:
		signatures = byoh_bundle_signatures(bundle, &count);
		return make_list(signatures, count, sizeof(*signatures), ret, err);
	case COMPONENTS:
		return make_list(manifest->components, manifest->component_count, sizeof(manifest->components[0]),
				 ret, err);
	case IMAGES:
		return make_list(manifest->images, manifest->image_count, sizeof(manifest->images[0]), ret, err);
	default:
		return make_list(index->files, index->file_count, sizeof(index->files[0]), ret, err);
	}
}

static void count_blobs(struct comparison *comparison)
{
	struct pairs *files = &comparison->pairs[FILES];
	size_t kept = 0;

	for (size_t i = 0; i < files->count; i++) {
		const struct byoh_file *from = files->items[i].from, *to = files->items[i].to;

		if (!is_blob(from ? from : to)) {
			files->items[kept++] = files->items[i];
			continue;
		}
		comparison->blobs.added += to && to->type == BYOH_FILE_REGULAR;
		comparison->blobs.added_size += to ? to->size : 0;
		comparison->blobs.removed += from && from->type == BYOH_FILE_REGULAR;
		comparison->blobs.removed_size += from ? from->size : 0;
	}
	files->count = kept;
}

static int compare(struct comparison *comparison, struct byoh_error *err)
{
	comparison->same = byoh_digest_equal(byoh_bundle_id(comparison->from), byoh_bundle_id(comparison->to));
	for (size_t i = 0; i < KINDS; i++) {
		CLEANUP(release_list) struct list from = { 0 }, to = { 0 };

		TRY(list_of(comparison->from, i, &from, err));
		TRY(list_of(comparison->to, i, &to, err));
		TRY(merge(&kinds[i], &from, &to, &comparison->pairs[i], err));
		comparison->same = comparison->same && !comparison->pairs[i].count;
	}
	count_blobs(comparison);
	return 0;
}

static void add_identity(const struct byoh_bundle *bundle, const char *key, struct byoh_json *json)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	byoh_json_key(json, key);
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "id", hex);
	byoh_json_field_string(json, "name", manifest->name);
	byoh_json_field_string(json, "version", manifest->version);
	byoh_json_field_u64(json, "epoch", manifest->epoch);
	byoh_json_field_string(json, "arch", manifest->arch);
	byoh_json_field_string(json, "kubernetes", manifest->kubernetes);
	byoh_json_field_u64(json, "size", byoh_bundle_size(bundle));
	byoh_json_field_u64(json, "space", manifest->space);
	byoh_json_end_object(json);
}

static void add_side(const struct kind *kind, const char *key, const void *item, struct byoh_json *json)
{
	if (!item || !kind->add)
		return;
	byoh_json_key(json, key);
	byoh_json_begin_object(json);
	kind->add(item, json);
	byoh_json_end_object(json);
}

static void add_pairs(const struct kind *kind, const struct pairs *pairs, struct byoh_json *json)
{
	byoh_json_key(json, kind->name);
	byoh_json_begin_array(json);
	for (size_t i = 0; i < pairs->count; i++) {
		const struct pair *pair = &pairs->items[i];

		byoh_json_begin_object(json);
		byoh_json_field_string(json, "change", !pair->from ? "added" : !pair->to ? "removed" : "changed");
		kind->name_of(pair->from ? pair->from : pair->to, json);
		add_side(kind, "old", pair->from, json);
		add_side(kind, "new", pair->to, json);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
}

static int write_json(const struct comparison *comparison, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_bool(&json, "same", comparison->same);
	add_identity(comparison->from, "old", &json);
	add_identity(comparison->to, "new", &json);
	for (size_t i = 0; i < KINDS; i++)
		add_pairs(&kinds[i], &comparison->pairs[i], &json);
	byoh_json_key(&json, "blobs");
	byoh_json_begin_object(&json);
	byoh_json_field_u64(&json, "added", comparison->blobs.added);
	byoh_json_field_u64(&json, "addedSize", comparison->blobs.added_size);
	byoh_json_field_u64(&json, "removed", comparison->blobs.removed);
	byoh_json_field_u64(&json, "removedSize", comparison->blobs.removed_size);
	byoh_json_end_object(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

static int tell_field(const char *label, const char *from, const char *to, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	if (same_text(from, to))
		return 0;
	return byoh_buffer_printf(ret, err, "%-11s %s -> %s\n", label, from ? from : "none", to ? to : "none");
}

static int tell_number(const char *label, uint64_t from, uint64_t to, bool is_size, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	char old[32], new[32];

	if (from == to)
		return 0;
	snprintf(old, sizeof(old), "%llu", (unsigned long long)from);
	snprintf(new, sizeof(new), "%llu", (unsigned long long)to);
	if (is_size) {
		byoh_format_size(from, old);
		byoh_format_size(to, new);
	}
	return byoh_buffer_printf(ret, err, "%-11s %s -> %s\n", label, old, new);
}

static int tell_identity(const struct comparison *comparison, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_manifest *from = byoh_bundle_manifest(comparison->from);
	const struct byoh_manifest *to = byoh_bundle_manifest(comparison->to);
	char old[BYOH_DIGEST_HEX_SIZE], new[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(comparison->from), old);
	byoh_digest_hex(byoh_bundle_id(comparison->to), new);
	TRY(byoh_buffer_printf(ret, err, "%s %s -> %s %s\n", from->name, from->version, to->name, to->version));
	TRY(tell_field("id", old, new, ret, err));
	TRY(tell_number("epoch", from->epoch, to->epoch, false, ret, err));
	TRY(tell_field("arch", from->arch, to->arch, ret, err));
	TRY(tell_field("kubernetes", from->kubernetes, to->kubernetes, ret, err));
	TRY(tell_number("size", byoh_bundle_size(comparison->from), byoh_bundle_size(comparison->to), true, ret,
			err));
	return tell_number("unpacked", from->space, to->space, true, ret, err);
}

static int tell_blobs(const struct blobs *blobs, struct byoh_buffer *ret, struct byoh_error *err)
{
	char added[32], removed[32];

	if (!blobs->added && !blobs->removed)
		return 0;
	return byoh_buffer_printf(ret, err, "layers of images: %llu added (%s), %llu removed (%s)\n",
				  (unsigned long long)blobs->added, byoh_format_size(blobs->added_size, added),
				  (unsigned long long)blobs->removed,
				  byoh_format_size(blobs->removed_size, removed));
}

static int write_text(const struct comparison *comparison, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(comparison->from);

	if (comparison->same)
		return byoh_buffer_printf(ret, err, "the same bundle: %s %s\n", manifest->name,
					  manifest->version);
	TRY(tell_identity(comparison, ret, err));
	for (size_t i = 0; i < KINDS; i++) {
		const struct pairs *pairs = &comparison->pairs[i];

		if (pairs->count)
			TRY(byoh_buffer_printf(ret, err, "%s\n", kinds[i].name));
		for (size_t k = 0; k < pairs->count; k++)
			TRY(kinds[i].tell(&pairs->items[k], ret, err));
	}
	return tell_blobs(&comparison->blobs, ret, err);
}

int byoh_compare(const struct byoh_bundle *from, const struct byoh_bundle *to, bool json, struct byoh_buffer *ret,
		 bool *ret_same, struct byoh_error *err)
{
	CLEANUP(release_comparison) struct comparison comparison = { .from = from, .to = to };

	TRY(compare(&comparison, err));
	*ret_same = comparison.same;
	return json ? write_json(&comparison, ret, err) : write_text(&comparison, ret, err);
}
