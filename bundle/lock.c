/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"

#define API_VERSION "byoh-bundle/v1alpha1"
#define LOCK_MAX_SIZE ((size_t)4 << 20)

struct entry {
	bool image;
	char *owner, *source;
	struct byoh_digest digest;
};

struct byoh_lock {
	size_t count;
	struct entry *entries;
};

struct byoh_lock *byoh_lock_new(void)
{
	return calloc(1, sizeof(struct byoh_lock));
}

void byoh_lock_free(struct byoh_lock *lock)
{
	if (!lock)
		return;
	for (size_t i = 0; i < lock->count; i++) {
		free(lock->entries[i].owner);
		free(lock->entries[i].source);
	}
	free(lock->entries);
	free(lock);
}

void byoh_lock_freep(struct byoh_lock **lock)
{
	byoh_lock_free(*lock);
}

static struct entry *find(const struct byoh_lock *lock, bool image, const char *owner,
			  const char *source)
{
	for (size_t i = 0; i < lock->count; i++) {
		struct entry *entry = &lock->entries[i];

		if (entry->image == image && strcmp(entry->owner, owner) == 0 &&
		    strcmp(entry->source, source) == 0)
			return entry;
	}
	return NULL;
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

int byoh_lock_set(struct byoh_lock *lock, bool image, const char *owner, const char *source,
		  const struct byoh_digest *digest, struct byoh_error *err)
{
	struct entry *entry = find(lock, image, owner, source);
	CLEANUP_FREE char *owner_copy = NULL;
	CLEANUP_FREE char *source_copy = NULL;

	if (entry) {
		entry->digest = *digest;
		return 0;
	}
	entry = reallocarray(lock->entries, lock->count + 1, sizeof(*entry));
	if (!entry)
		return no_memory(err);
	lock->entries = entry;
	owner_copy = strdup(owner);
	source_copy = strdup(source);
	if (!owner_copy || !source_copy)
		return no_memory(err);
	lock->entries[lock->count++] = (struct entry){ .image = image,
						       .owner = TAKE_PTR(owner_copy),
						       .source = TAKE_PTR(source_copy),
						       .digest = *digest };
	return 0;
}

bool byoh_lock_digest(const struct byoh_lock *lock, bool image, const char *owner,
		      const struct byoh_spec_source *source, struct byoh_digest *ret)
{
	const struct entry *entry;

	if (source->has_digest) {
		*ret = source->digest;
		return true;
	}
	entry = source->unlocked ? NULL : find(lock, image, owner, byoh_spec_source_name(source));
	if (entry)
		*ret = entry->digest;
	return entry != NULL;
}

static int parse_entry(const struct byoh_yaml *doc, const struct byoh_yaml_node *node, bool image,
		       struct byoh_lock *lock, struct byoh_error *err)
{
	const char *const keys[] = { image ? "ref" : "component", "source", "sha256", NULL };
	const char *owner = NULL, *source = NULL, *hex = NULL;
	struct byoh_digest digest;
	int r = byoh_yaml_only_keys(doc, node, keys, false, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, node, keys[0], true, &owner, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, node, "source", true, &source, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, node, "sha256", true, &hex, err);
	if (r < 0)
		return r;
	if (!byoh_digest_parse(hex, &digest))
		return byoh_yaml_fail(doc, byoh_yaml_get(node, "sha256"), err,
				      "\"sha256\" must be 64 lower-case hexadecimal digits");
	if (find(lock, image, owner, source))
		return byoh_yaml_fail(doc, node, err, "%s stands here twice", source);
	return byoh_lock_set(lock, image, owner, source, &digest, err);
}

static int parse_entries(const struct byoh_yaml *doc, const char *key, bool image,
			 struct byoh_lock *lock, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), key, BYOH_YAML_SEQUENCE, true, &list,
				    err);

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = parse_entry(doc, list->items[i], image, lock, err);
	return r;
}

int byoh_lock_parse(const char *text, size_t size, const char *name, struct byoh_lock **ret,
		    struct byoh_error *err)
{
	static const char *const keys[] = { "apiVersion", "kind", "sources", "images", NULL };
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_LOCK struct byoh_lock *lock = byoh_lock_new();
	const char *version = NULL, *kind = NULL;
	int r = lock ? byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, &doc, err)
		     : no_memory(err);

	if (r == 0)
		r = byoh_yaml_only_keys(doc, byoh_yaml_root(doc), keys, false, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "apiVersion", true, &version,
					  err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "kind", true, &kind, err);
	if (r == 0 && (strcmp(version, API_VERSION) != 0 || strcmp(kind, "Lock") != 0))
		r = byoh_yaml_fail(doc, byoh_yaml_root(doc), err, "not a lock of %s", API_VERSION);
	if (r == 0)
		r = parse_entries(doc, "sources", false, lock, err);
	if (r == 0)
		r = parse_entries(doc, "images", true, lock, err);
	if (r == 0)
		*ret = TAKE_PTR(lock);
	return r;
}

int byoh_lock_load(const char *path, struct byoh_lock **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[16384];
	ssize_t n;
	int r;

	if (fd < 0 && errno == ENOENT) {
		*ret = byoh_lock_new();
		return *ret ? 0 : no_memory(err);
	}
	if (fd < 0)
		return byoh_fail_errno(err, "%s", path);
	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		r = byoh_buffer_add(&text, piece, (size_t)n, err);
		if (r < 0)
			return r;
		if (text.size > LOCK_MAX_SIZE)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
					 "%s: larger than a lock can be", path);
	}
	if (n < 0)
		return byoh_fail_errno(err, "%s", path);
	return byoh_lock_parse(byoh_buffer_text(&text), text.size, path, ret, err);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->owner, y->owner);

	return order ? order : strcmp(x->source, y->source);
}

static void write_entries(const struct byoh_lock *lock, bool image, struct byoh_json *json)
{
	byoh_json_key(json, image ? "images" : "sources");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < lock->count; i++) {
		char hex[BYOH_DIGEST_HEX_SIZE];

		if (lock->entries[i].image != image)
			continue;
		byoh_digest_hex(&lock->entries[i].digest, hex);
		byoh_json_begin_object(json);
		byoh_json_field_string(json, image ? "ref" : "component", lock->entries[i].owner);
		byoh_json_field_string(json, "source", lock->entries[i].source);
		byoh_json_field_string(json, "sha256", hex);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
}

int byoh_lock_write(struct byoh_lock *lock, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	if (lock->count)
		qsort(lock->entries, lock->count, sizeof(*lock->entries), compare_entries);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "apiVersion", API_VERSION);
	byoh_json_field_string(&json, "kind", "Lock");
	write_entries(lock, false, &json);
	write_entries(lock, true, &json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
