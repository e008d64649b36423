/* SPDX-License-Identifier: Apache-2.0 */
/* From a spec and its sources to the tree of what is packed. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/archive.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cache.h"
#include "bundle/image-archive.h"
#include "bundle/lock.h"
#include "bundle/scratch.h"
#include "bundle/spec.h"
#include "bundle/tree-private.h"

#define MAX_NEAR_NAMES 5

struct collector {
	const struct byoh_spec *spec;
	struct byoh_lock *lock;
	const char *cache_dir;
	bool allow_unlocked;
	struct byoh_scratch scratch;
	struct byoh_image_blobs blobs; /* of all images, each once */
	struct byoh_tree *tree;
};

/* One component while its files are taken. */
struct part {
	const struct byoh_spec_component *component;
	const char *base;	      /* the source's last part */
	struct byoh_archive *archive; /* NULL: a plain file */
	char *plain;		      /* a plain file's copy */
	uint64_t plain_size;
	bool plain_executable;
};

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/*
 * Patterns. A pattern without "/" takes files at the top, one that ends in "/" all below it.
 */

static const char *bare_pattern(const char *pattern)
{
	while (pattern[0] == '.' && pattern[1] == '/')
		pattern += 2;
	while (*pattern == '/')
		pattern++;
	return pattern;
}

/* The length of path's folder that a pattern ending in "/" means, 0 if it means none. */
static size_t match_folder(const char *pattern, const char *path)
{
	size_t length = strlen(pattern);
	char glob[BYOH_PATH_MAX], folder[BYOH_PATH_MAX];

	if (length < 2 || pattern[length - 1] != '/' || length >= sizeof(glob) ||
	    strlen(path) >= sizeof(folder))
		return 0;
	memcpy(glob, pattern, length - 1);
	glob[length - 1] = '\0';
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
		if (fnmatch(glob, folder, FNM_PATHNAME) == 0)
			return (size_t)(slash - path);
	}
	return 0;
}

static bool matches(const struct byoh_spec_rule *rule, const char *path)
{
	const char *pattern = bare_pattern(rule->from);

	return fnmatch(pattern, path, FNM_PATHNAME) == 0 || match_folder(pattern, path) > 0;
}

static bool is_wanted(void *context, const char *path)
{
	const struct byoh_spec_component *component = context;

	for (size_t i = 0; i < component->rule_count; i++)
		if (matches(&component->rules[i], path))
			return true;
	return false;
}

/* Where a file goes: the rule's path, or its name (below a taken folder: its path there) in the
 * rule's folder. */
static char *target_path(const struct byoh_spec_rule *rule, const char *path)
{
	const char *to = rule->to + 1;
	size_t folder = match_folder(bare_pattern(rule->from), path);
	const char *slash = strrchr(path, '/');
	const char *name = folder ? path + folder + 1 : slash ? slash + 1 : path;
	char *target = NULL;

	if (rule->to[strlen(rule->to) - 1] != '/')
		return strdup(to);
	return asprintf(&target, "%s%s", to, name) < 0 ? NULL : target;
}

/*
 * Messages
 */

static int fail_rule(const struct collector *c, const struct part *part,
		     const struct byoh_spec_rule *rule, const char *what, struct byoh_error *err)
{
	const struct byoh_spec_source at = { .line = rule->line, .column = rule->column };

	return byoh_spec_fail(c->spec, &at, err, "component %s: %s", part->component->name, what);
}

/* How much of the pattern's name a path shares: enough to name the likely ones. */
static size_t likeness(const char *pattern, const char *path)
{
	const char *slash = strrchr(pattern, '/'), *name = slash ? slash + 1 : pattern;
	const char *path_slash = strrchr(path, '/'),
		   *path_name = path_slash ? path_slash + 1 : path;
	size_t n = 0;

	while (name[n] && name[n] == path_name[n])
		n++;
	return n;
}

static void add_name(char *names, size_t size, const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, size - used, "%s%.100s", used ? ", " : "", name);
}

static void near_names(const struct part *part, const char *pattern, char *ret, size_t size)
{
	size_t count = 0;

	*ret = '\0';
	if (!part->archive) {
		add_name(ret, size, part->base);
		return;
	}
	for (size_t wanted = strlen(pattern) + 1; wanted-- > 0 && count < MAX_NEAR_NAMES;)
		for (size_t i = 0; i < part->archive->count && count < MAX_NEAR_NAMES; i++) {
			const struct byoh_archive_entry *entry = &part->archive->entries[i];

			if (entry->type == BYOH_FILE_DIRECTORY ||
			    likeness(pattern, entry->path) != wanted)
				continue;
			add_name(ret, size, entry->path);
			count++;
		}
}

static int fail_no_match(const struct collector *c, const struct part *part,
			 const struct byoh_spec_rule *rule, struct byoh_error *err)
{
	const char *source = byoh_spec_source_name(&part->component->source);
	char names[512], text[700];

	near_names(part, bare_pattern(rule->from), names, sizeof(names));
	snprintf(text, sizeof(text), "nothing in %.150s matches \"%.100s\"%s%.400s", source,
		 rule->from, *names ? "; it holds " : ", it is empty", names);
	return fail_rule(c, part, rule, text, err);
}

/*
 * Files
 */

static int put_entry(struct collector *c, const struct part *part, struct byoh_tree_entry *entry,
		     struct byoh_error *err)
{
	entry->origin = strdup(part->component->name);
	if (!entry->origin || !entry->path)
		return no_memory(err);
	if (!byoh_path_is_clean(entry->path))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "component %s: /%s is too long for a bundle",
				 part->component->name, entry->path);
	return byoh_tree_put(c->tree, entry, err);
}

static int check_entry(const struct collector *c, const struct part *part,
		       const struct byoh_spec_rule *rule, const struct byoh_archive_entry *from,
		       const char *target, struct byoh_error *err)
{
	char text[600];

	*text = '\0';
	if (from->other)
		snprintf(text, sizeof(text),
			 "%.200s is a device, a fifo or a socket; a bundle holds files, "
			 "folders and links",
			 from->path);
	else if (from->type == BYOH_FILE_REGULAR && rule->mode == BYOH_SPEC_KEEP_MODE &&
		 (from->mode & 07000))
		snprintf(text, sizeof(text),
			 "%.200s has mode %04o; a bundle carries no setuid, setgid or "
			 "sticky files, give it a \"mode\"",
			 from->path, (unsigned int)from->mode);
	else if (from->type == BYOH_FILE_SYMLINK &&
		 !byoh_path_link_stays_inside(target, from->target))
		snprintf(text, sizeof(text),
			 "%.200s is a link to %.200s, which leads out of the bundle, or has \"..\" behind "
			 "a name",
			 from->path, from->target);
	return *text ? fail_rule(c, part, rule, text, err) : 0;
}

/* Write permission for others than root is never meant on a host: it is a builder's umask. */
static mode_t kept_mode(const struct byoh_spec_rule *rule, mode_t mode)
{
	return rule->mode == BYOH_SPEC_KEEP_MODE ? mode & 0755 : rule->mode;
}

static int take_entry(struct collector *c, const struct part *part,
		      const struct byoh_spec_rule *rule, const struct byoh_archive_entry *from,
		      struct byoh_error *err)
{
	struct byoh_tree_entry entry = { .path = target_path(rule, from->path),
					 .type = from->type };
	int r = entry.path ? check_entry(c, part, rule, from, entry.path, err) : no_memory(err);

	if (r == 0 && from->type == BYOH_FILE_SYMLINK) {
		entry.mode = 0777;
		entry.target = strdup(from->target);
		r = entry.target ? 0 : no_memory(err);
	} else if (r == 0) {
		entry.mode = kept_mode(rule, from->mode);
		entry.size = from->size;
		entry.source = strdup(from->source);
		r = entry.source ? 0 : no_memory(err);
	}
	if (r == 0)
		r = put_entry(c, part, &entry, err);
	byoh_tree_entry_release(&entry);
	return r;
}

static int take_from_archive(struct collector *c, const struct part *part,
			     const struct byoh_spec_rule *rule, struct byoh_error *err)
{
	bool folder = rule->to[strlen(rule->to) - 1] == '/';
	size_t taken = 0;

	for (size_t i = 0; i < part->archive->count; i++) {
		const struct byoh_archive_entry *from = &part->archive->entries[i];
		int r;

		if (from->type == BYOH_FILE_DIRECTORY || !matches(rule, from->path) ||
		    byoh_archive_find(part->archive, from->path) != from)
			continue;
		if (taken++ && !folder)
			return fail_rule(c, part, rule,
					 "several files match, but \"to\" is one file; end it "
					 "with / to make it a folder",
					 err);
		r = take_entry(c, part, rule, from, err);
		if (r < 0)
			return r;
	}
	return taken ? 0 : fail_no_match(c, part, rule, err);
}

/* The mode of a file on the publisher's disk is chance; what it is decides. */
static bool looks_executable(int fd)
{
	char head[4] = { 0 };

	return pread(fd, head, sizeof(head), 0) == sizeof(head) && (memcmp(head,
									   "\x7f"
									   "ELF",
									   4) == 0 ||
								    memcmp(head, "#!", 2) == 0);
}

static int take_plain(struct collector *c, const struct part *part,
		      const struct byoh_spec_rule *rule, struct byoh_error *err)
{
	struct byoh_tree_entry entry = { .type = BYOH_FILE_REGULAR, .size = part->plain_size };
	int r;

	if (*rule->from && fnmatch(bare_pattern(rule->from), part->base, FNM_PATHNAME) != 0)
		return fail_no_match(c, part, rule, err);
	entry.mode = kept_mode(rule, part->plain_executable ? 0755 : 0644);
	entry.path = target_path(rule, part->base);
	entry.source = strdup(part->plain);
	r = entry.path && entry.source ? put_entry(c, part, &entry, err) : no_memory(err);
	byoh_tree_entry_release(&entry);
	return r;
}

/*
 * Sources
 */

static int check_digest(const struct collector *c, const struct byoh_spec_source *source,
			const char *path, const struct byoh_digest *expected,
			const struct byoh_digest *found, struct byoh_error *err)
{
	char expected_hex[BYOH_DIGEST_HEX_SIZE], found_hex[BYOH_DIGEST_HEX_SIZE];

	if (byoh_digest_equal(expected, found))
		return 0;
	byoh_digest_hex(expected, expected_hex);
	byoh_digest_hex(found, found_hex);
	return byoh_spec_fail(
		c->spec, source, err, "%s has the SHA-256 %s, but %s is %s", path, found_hex,
		source->has_digest ? "the spec says that it" : "the lock says that it",
		expected_hex);
}

/* Whether a digest is known, and whether its lack is allowed. */
static int find_digest(const struct collector *c, bool image, const char *owner,
		       const struct byoh_spec_source *source, struct byoh_digest *ret,
		       bool *ret_known, struct byoh_error *err)
{
	*ret_known = byoh_lock_digest(c->lock, image, owner, source, ret);
	if (*ret_known)
		return 0;
	if (source->unlocked && !c->allow_unlocked)
		return byoh_spec_fail(c->spec, source, err,
				      "%s is unlocked: its bytes are nobody's promise; "
				      "pin it with sha256, or allow it with --allow-unlocked",
				      owner);
	/* An image's archive beside the spec names its own content by digest. */
	if (!source->unlocked && !image)
		return byoh_spec_fail(c->spec, source, err,
				      "%s has no digest; run `byoh-bundle lock`, or give sha256",
				      owner);
	return 0;
}

static int open_source(const struct collector *c, const struct byoh_spec_source *source,
		       const struct byoh_digest *digest, char **ret_path, struct byoh_error *err)
{
	int fd, r = 0;

	if (source->path)
		*ret_path = byoh_spec_source_path(c->spec, source);
	else
		r = byoh_cache_source_path(c->cache_dir, source->url, digest, ret_path, err);
	if (r < 0)
		return r;
	if (!*ret_path)
		return no_memory(err);
	fd = open(*ret_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && source->url)
		return byoh_spec_fail(c->spec, source, err,
				      "%s is not in the cache %s; run `byoh-bundle fetch`",
				      source->url, c->cache_dir);
	if (fd < 0)
		return byoh_spec_fail(c->spec, source, err, "%s: %s", *ret_path, strerror(errno));
	return fd;
}

static const char *last_part(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

/* Reads the source twice at most, through one descriptor: once for its digest, once for its
 * content. */
static int load_part(struct collector *c, struct part *part, struct byoh_component *ret,
		     struct byoh_error *err)
{
	const struct byoh_spec_source *source = &part->component->source;
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;
	struct byoh_digest expected;
	bool known, whole = true;
	int r = find_digest(c, false, part->component->name, source, &expected, &known, err);

	if (r < 0)
		return r;
	fd = open_source(c, source, known ? &expected : NULL, &path, err);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < part->component->rule_count; i++)
		whole = whole && !*part->component->rules[i].from;
	if (whole || !byoh_archive_recognize(fd)) {
		part->plain_executable = looks_executable(fd);
		r = byoh_scratch_copy(&c->scratch, fd, path, &part->plain, &part->plain_size,
				      &ret->digest, err);
	} else {
		r = byoh_digest_fd(fd, UINT64_MAX, &ret->digest, NULL, err);
	}
	if (r == 0 && known)
		r = check_digest(c, source, path, &expected, &ret->digest, err);
	if (r == 0 && !part->plain)
		r = byoh_archive_read(fd, path, is_wanted, (void *)part->component, &c->scratch,
				      &part->archive, err);
	ret->unlocked = !known;
	return r;
}

static int describe(const struct byoh_spec_component *from, struct byoh_component *to,
		    struct byoh_error *err)
{
	to->name = strdup(from->name);
	to->version = strdup(from->version);
	to->license = strdup(from->license);
	to->source = strdup(byoh_spec_source_name(&from->source));
	return to->name && to->version && to->license && to->source ? 0 : no_memory(err);
}

static int take_component(struct collector *c, const struct byoh_spec_component *component,
			  struct byoh_component *ret, struct byoh_error *err)
{
	struct part part = { .component = component,
			     .base = last_part(byoh_spec_source_name(&component->source)) };
	int r = describe(component, ret, err);

	if (r == 0)
		r = load_part(c, &part, ret, err);
	for (size_t i = 0; r == 0 && i < component->rule_count; i++) {
		const struct byoh_spec_rule *rule = &component->rules[i];

		if (part.archive && !*rule->from)
			r = fail_rule(c, &part, rule,
				      "one entry takes the archive as it is and another its "
				      "files; make them two components",
				      err);
		else
			r = part.archive ? take_from_archive(c, &part, rule, err)
					 : take_plain(c, &part, rule, err);
	}
	byoh_archive_free(part.archive);
	free(part.plain);
	return r;
}

/*
 * Images
 */

static int check_layout(const struct collector *c, const struct byoh_spec_source *source,
			const char *path, const struct byoh_digest *expected,
			struct byoh_error *err)
{
	CLEANUP_FREE char *index = NULL;
	CLEANUP_FD int fd = -1;
	struct byoh_digest found;
	int r;

	if (asprintf(&index, "%s/index.json", path) < 0) {
		index = NULL;
		return no_memory(err);
	}
	fd = open(index, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return byoh_fail_errno(err, "%s", index);
	r = byoh_digest_fd(fd, UINT64_MAX, &found, NULL, err);
	return r < 0 ? r : check_digest(c, source, index, expected, &found, err);
}

static int read_image_archive(struct collector *c, const struct byoh_spec_image *image,
			      const struct byoh_digest *expected, struct byoh_image *ret,
			      struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = open_source(c, &image->source, NULL, &path, err);
	struct byoh_digest found;
	struct stat st;
	int r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "%s", path);
	if (S_ISDIR(st.st_mode)) {
		r = expected ? check_layout(c, &image->source, path, expected, err) : 0;
		return r < 0 ? r
			     : byoh_image_layout_read(path, image->ref, image->platform, NULL,
						      &c->scratch, ret, &c->blobs, err);
	}
	r = expected ? byoh_digest_fd(fd, UINT64_MAX, &found, NULL, err) : 0;
	if (r == 0 && expected)
		r = check_digest(c, &image->source, path, expected, &found, err);
	return r < 0 ? r
		     : byoh_image_archive_read(fd, path, image->ref, image->platform, &c->scratch,
					       ret, &c->blobs, err);
}

static int take_image(struct collector *c, const struct byoh_spec_image *image,
		      struct byoh_image *ret, struct byoh_error *err)
{
	CLEANUP_FREE char *layout = NULL;
	struct byoh_digest expected;
	struct stat st;
	bool known;
	int r = find_digest(c, true, image->ref, &image->source, &expected, &known, err);

	if (r == 0 && image->source.path) {
		r = read_image_archive(c, image, known ? &expected : NULL, ret, err);
	} else if (r == 0) {
		r = byoh_cache_image_path(c->cache_dir, image, &layout, err);
		if (r == 0 && stat(layout, &st) < 0)
			r = byoh_spec_fail(c->spec, &image->source, err,
					   "%s is not in the cache %s; run `byoh-bundle fetch`",
					   image->ref, c->cache_dir);
		if (r == 0)
			r = byoh_image_layout_read(layout, image->ref, image->platform,
						   known ? &expected : NULL, &c->scratch, ret,
						   &c->blobs, err);
	}
	ret->unlocked = image->source.unlocked;
	return r < 0 ? byoh_error_wrap(err, r, "image %s", image->ref) : 0;
}

static int put_blobs(struct collector *c, struct byoh_error *err)
{
	for (size_t i = 0; i < c->blobs.count; i++) {
		struct byoh_image_blob *blob = &c->blobs.items[i];
		struct byoh_tree_entry entry = { .type = BYOH_FILE_REGULAR,
						 .mode = 0644,
						 .size = blob->size,
						 .source = TAKE_PTR(blob->source),
						 .compressed = blob->compressed,
						 .origin = strdup("an image") };
		char hex[BYOH_DIGEST_HEX_SIZE];
		int r;

		byoh_digest_hex(&blob->digest, hex);
		if (asprintf(&entry.path, BYOH_IMAGE_BLOB_DIR "/%s", hex) < 0)
			entry.path = NULL;
		r = entry.path && entry.origin ? byoh_tree_put(c->tree, &entry, err)
					       : no_memory(err);
		byoh_tree_entry_release(&entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_all(struct collector *c, struct byoh_error *err)
{
	int r = 0;

	c->tree->components = calloc(c->spec->component_count + 1, sizeof(*c->tree->components));
	c->tree->images = calloc(c->spec->image_count + 1, sizeof(*c->tree->images));
	if (!c->tree->components || !c->tree->images)
		return no_memory(err);
	/* Counted before it is filled, so that freeing the tree reaches what was filled by half. */
	for (size_t i = 0; r == 0 && i < c->spec->component_count; i++)
		r = take_component(c, &c->spec->components[i],
				   &c->tree->components[c->tree->component_count++], err);
	for (size_t i = 0; r == 0 && i < c->spec->image_count; i++)
		r = take_image(c, &c->spec->images[i], &c->tree->images[c->tree->image_count++],
			       err);
	if (r == 0)
		r = put_blobs(c, err);
	return r < 0 ? r : byoh_tree_finish(c->tree, err);
}

int byoh_tree_collect(const struct byoh_spec *spec, const char *cache_dir, const char *scratch_dir,
		      bool allow_unlocked, struct byoh_tree **ret, struct byoh_error *err)
{
	CLEANUP_TREE struct byoh_tree *tree = calloc(1, sizeof(*tree));
	struct collector c = { .spec = spec,
			       .cache_dir = cache_dir,
			       .allow_unlocked = allow_unlocked,
			       .scratch = BYOH_SCRATCH_INIT,
			       .tree = tree };
	int r = tree ? byoh_lock_load(spec->lock_path, &c.lock, err) : no_memory(err);

	if (r == 0)
		r = byoh_scratch_open(scratch_dir, &c.scratch, err);
	if (r == 0)
		r = take_all(&c, err);
	byoh_lock_free(c.lock);
	byoh_image_blobs_release(&c.blobs);
	byoh_scratch_close(&c.scratch);
	if (r == 0)
		*ret = TAKE_PTR(tree);
	return r;
}
