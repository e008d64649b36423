/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"

#define API_VERSION "byoh-bundle/v1alpha1"
#define MAX_COMPONENTS 1000
#define MAX_IMAGES 1000
#define MAX_RULES 10000

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* Names become parts of file names and of the manifest: letters, digits and a few signs, none in
 * front. */
static bool is_word(const char *text, const char *signs)
{
	for (const char *p = text; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9');

		if (!plain && (p == text || !strchr(signs, *p)))
			return false;
	}
	return *text && strlen(text) <= 128;
}

static int read_word(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
		     const char *signs, const char **ret, struct byoh_error *err)
{
	int r = byoh_yaml_read_string(doc, map, key, true, ret, err);

	if (r < 0)
		return r;
	if (!is_word(*ret, signs))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, key), err,
				      "\"%s\" must be letters, digits and %s, beginning with a "
				      "letter or digit",
				      key, signs);
	return 0;
}

static int read_digest(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		       const char *key, const char *prefix, struct byoh_spec_source *source,
		       struct byoh_error *err)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(doc, map, key, false, &text, err);

	if (r < 0 || !text)
		return r;
	if (strncmp(text, prefix, strlen(prefix)) != 0 ||
	    !byoh_digest_parse(text + strlen(prefix), &source->digest))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, key), err,
				      "\"%s\" must be %s64 lower-case hexadecimal digits", key,
				      *prefix ? "sha256: and " : "");
	source->has_digest = true;
	return 0;
}

static int check_unlocked(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			  const char *key, const struct byoh_spec_source *source,
			  struct byoh_error *err)
{
	if (source->unlocked && source->has_digest)
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "unlocked"), err,
				      "\"unlocked\" and \"%s\" exclude each other", key);
	return 0;
}

static bool is_url(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0 ||
	       strncmp(text, "file://", 7) == 0;
}

static int check_url(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		     const struct byoh_spec_source *source, struct byoh_error *err)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, "url");

	if (!is_url(source->url))
		return byoh_yaml_fail(doc, node, err,
				      "\"url\" must begin with https://, http:// or file://");
	for (const char *p = source->url; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return byoh_yaml_fail(doc, node, err,
					      "\"url\" holds a space or a control character");
	return 0;
}

static int parse_source(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			struct byoh_spec_source *source, struct byoh_error *err)
{
	static const char *const keys[] = { "url", "path", "sha256", "unlocked", NULL };
	int r = byoh_yaml_only_keys(doc, map, keys, false, err);

	source->line = map->line;
	source->column = map->column;
	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "url", false, &source->url, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "path", false, &source->path, err);
	if (r == 0)
		r = read_digest(doc, map, "sha256", "", source, err);
	if (r == 0)
		r = byoh_yaml_read_bool(doc, map, "unlocked", false, &source->unlocked, err);
	if (r == 0)
		r = check_unlocked(doc, map, "sha256", source, err);
	if (r < 0)
		return r;
	if (!source->url == !source->path)
		return byoh_yaml_fail(doc, map, err, "a source has either \"url\" or \"path\"");
	if (source->path && !*source->path)
		return byoh_yaml_fail(doc, map, err, "\"path\" may not be empty");
	return source->url ? check_url(doc, map, source, err) : 0;
}

static int parse_mode(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		      struct byoh_spec_rule *rule, struct byoh_error *err)
{
	const char *text = NULL;
	mode_t mode = 0;
	int r = byoh_yaml_read_string(doc, map, "mode", false, &text, err);

	rule->mode = BYOH_SPEC_KEEP_MODE;
	if (r < 0 || !text)
		return r;
	for (const char *p = text; *p >= '0' && *p <= '7' && p < text + 4; p++)
		mode = mode << 3 | (mode_t)(*p - '0');
	if (strspn(text, "01234567") != strlen(text) || strlen(text) < 3 || strlen(text) > 4 ||
	    mode > 0777)
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "mode"), err,
				      "\"mode\" must be octal permission bits such as \"0755\"");
	rule->mode = mode;
	return 0;
}

static int check_target(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			const char *to, struct byoh_error *err)
{
	CLEANUP_FREE char *clean = strdup(*to ? to + 1 : to);
	size_t length;

	if (!clean)
		return no_memory(err);
	length = strlen(clean);
	if (length && clean[length - 1] == '/')
		clean[length - 1] = '\0';
	if (*to != '/' || !byoh_path_is_clean(clean))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "to"), err,
				      "\"to\" must be an absolute path without \"..\", \".\" or "
				      "\"//\", "
				      "a folder if it ends in /");
	return 0;
}

static int parse_rule(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		      struct byoh_spec_rule *rule, struct byoh_error *err)
{
	static const char *const keys[] = { "from", "to", "mode", NULL };
	int r = byoh_yaml_only_keys(doc, map, keys, false, err);

	rule->from = "";
	rule->line = map->line;
	rule->column = map->column;
	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "from", false, &rule->from, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "to", true, &rule->to, err);
	if (r == 0)
		r = check_target(doc, map, rule->to, err);
	if (r == 0)
		r = parse_mode(doc, map, rule, err);
	return r;
}

/* The list at key, its count bounded; *ret is an array of that many zeroed items, or NULL. */
static int begin_list(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		      const char *key, bool required, size_t max, size_t item_size,
		      const struct byoh_yaml_node **ret_list, void *ret, size_t *ret_count,
		      struct byoh_error *err)
{
	void *items;
	int r = byoh_yaml_read_node(doc, map, key, BYOH_YAML_SEQUENCE, required, ret_list, err);

	if (r < 0 || !*ret_list)
		return r;
	if ((*ret_list)->count > max)
		return byoh_yaml_fail(doc, *ret_list, err, "\"%s\" has more than %zu entries", key,
				      max);
	if (required && (*ret_list)->count == 0)
		return byoh_yaml_fail(doc, *ret_list, err, "\"%s\" is empty", key);
	items = calloc((*ret_list)->count + 1, item_size);
	if (!items)
		return no_memory(err);
	memcpy(ret, &items, sizeof(items));
	*ret_count = (*ret_list)->count;
	return 0;
}

static int parse_rules(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		       struct byoh_spec_component *component, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = begin_list(doc, map, "files", true, MAX_RULES, sizeof(*component->rules), &list,
			   &component->rules, &component->rule_count, err);

	for (size_t i = 0; r == 0 && i < component->rule_count; i++)
		r = parse_rule(doc, list->items[i], &component->rules[i], err);
	return r;
}

static int parse_component(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			   struct byoh_spec_component *component, struct byoh_error *err)
{
	static const char *const keys[] = { "name", "version", "license", "source", "files", NULL };
	const struct byoh_yaml_node *source = NULL;
	int r = byoh_yaml_only_keys(doc, map, keys, false, err);

	if (r == 0)
		r = read_word(doc, map, "name", "-._", &component->name, err);
	if (r == 0)
		r = read_word(doc, map, "version", "-._+~:", &component->version, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "license", true, &component->license, err);
	if (r == 0)
		r = byoh_yaml_read_node(doc, map, "source", BYOH_YAML_MAPPING, true, &source, err);
	if (r == 0)
		r = parse_source(doc, source, &component->source, err);
	if (r == 0)
		r = parse_rules(doc, map, component, err);
	return r;
}

static int parse_components(const struct byoh_yaml *doc, const struct byoh_yaml_node *root,
			    struct byoh_spec *spec, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = begin_list(doc, root, "components", false, MAX_COMPONENTS,
			   sizeof(*spec->components), &list, &spec->components,
			   &spec->component_count, err);

	for (size_t i = 0; r == 0 && i < spec->component_count; i++) {
		r = parse_component(doc, list->items[i], &spec->components[i], err);
		for (size_t j = 0; r == 0 && j < i; j++)
			if (strcmp(spec->components[i].name, spec->components[j].name) == 0)
				r = byoh_yaml_fail(doc, list->items[i], err,
						   "the component \"%s\" stands here twice",
						   spec->components[i].name);
	}
	return r;
}

static int set_platform(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			const char *arch, struct byoh_spec_image *image, struct byoh_error *err)
{
	const char *platform = NULL;
	int r = byoh_yaml_read_string(doc, map, "platform", false, &platform, err);

	if (r < 0)
		return r;
	if (platform && (!is_word(platform, "/-._") || !strchr(platform, '/')))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "platform"), err,
				      "\"platform\" must look like linux/amd64");
	if (asprintf(&image->platform, "%s%s", platform ? "" : "linux/",
		     platform ? platform : arch) < 0) {
		image->platform = NULL;
		return no_memory(err);
	}
	return 0;
}

static int parse_image_source(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			      struct byoh_spec_source *source, struct byoh_error *err)
{
	int r = byoh_yaml_read_string(doc, map, "from", false, &source->path, err);

	source->line = map->line;
	source->column = map->column;
	if (r == 0)
		r = byoh_yaml_read_bool(doc, map, "unlocked", false, &source->unlocked, err);
	if (r == 0 && source->path)
		r = read_digest(doc, map, "sha256", "", source, err);
	if (r == 0 && !source->path)
		r = read_digest(doc, map, "digest", "sha256:", source, err);
	if (r == 0)
		r = check_unlocked(doc, map, source->path ? "sha256" : "digest", source, err);
	if (r < 0)
		return r;
	if (source->path && byoh_yaml_get(map, "digest"))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "digest"), err,
				      "\"digest\" is for images from a registry; an archive takes "
				      "\"sha256\"");
	if (!source->path && byoh_yaml_get(map, "sha256"))
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "sha256"), err,
				      "\"sha256\" is for archives; an image from a registry takes "
				      "\"digest\"");
	if (source->path && !*source->path)
		return byoh_yaml_fail(doc, byoh_yaml_get(map, "from"), err,
				      "\"from\" may not be empty");
	if (!source->path && !source->has_digest && !source->unlocked)
		return byoh_yaml_fail(doc, map, err,
				      "an image needs \"from\", or \"digest\" (or unlocked: true)");
	return 0;
}

static int parse_image(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
		       const char *arch, struct byoh_spec_image *image, struct byoh_error *err)
{
	static const char *const keys[] = { "from",	"ref",	    "sha256", "digest",
					    "platform", "unlocked", NULL };
	int r = byoh_yaml_only_keys(doc, map, keys, false, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, map, "ref", true, &image->ref, err);
	if (r == 0 && (!is_word(image->ref, "-._:/@") || strlen(image->ref) > 512))
		r = byoh_yaml_fail(doc, byoh_yaml_get(map, "ref"), err,
				   "\"ref\" must look like registry.k8s.io/pause:3.10");
	if (r == 0)
		r = set_platform(doc, map, arch, image, err);
	if (r == 0)
		r = parse_image_source(doc, map, &image->source, err);
	return r;
}

static int parse_images(const struct byoh_yaml *doc, const struct byoh_yaml_node *root,
			struct byoh_spec *spec, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = begin_list(doc, root, "images", false, MAX_IMAGES, sizeof(*spec->images), &list,
			   &spec->images, &spec->image_count, err);

	for (size_t i = 0; r == 0 && i < spec->image_count; i++) {
		r = parse_image(doc, list->items[i], spec->arch, &spec->images[i], err);
		for (size_t j = 0; r == 0 && j < i; j++)
			if (strcmp(spec->images[i].ref, spec->images[j].ref) == 0)
				r = byoh_yaml_fail(doc, list->items[i], err,
						   "the image \"%s\" stands here twice",
						   spec->images[i].ref);
	}
	return r;
}

static int expect_value(const struct byoh_yaml *doc, const struct byoh_yaml_node *root,
			const char *key, const char *expected, struct byoh_error *err)
{
	const char *value = NULL;
	int r = byoh_yaml_read_string(doc, root, key, true, &value, err);

	if (r == 0 && strcmp(value, expected) != 0)
		return byoh_yaml_fail(doc, byoh_yaml_get(root, key), err, "\"%s\" must be %s", key,
				      expected);
	return r;
}

static int parse_head(const struct byoh_yaml *doc, const struct byoh_yaml_node *root,
		      struct byoh_spec *spec, struct byoh_error *err)
{
	int r = expect_value(doc, root, "apiVersion", API_VERSION, err);

	if (r == 0)
		r = expect_value(doc, root, "kind", "Bundle", err);
	if (r == 0)
		r = read_word(doc, root, "name", "-._", &spec->name, err);
	if (r == 0)
		r = read_word(doc, root, "version", "-._+~", &spec->version, err);
	if (r == 0)
		r = byoh_yaml_read_u64(doc, root, "epoch", true, &spec->epoch, err);
	if (r == 0)
		r = read_word(doc, root, "arch", "_", &spec->arch, err);
	if (r == 0 && strcmp(spec->arch, "amd64") != 0 && strcmp(spec->arch, "arm64") != 0)
		r = byoh_yaml_fail(doc, byoh_yaml_get(root, "arch"), err,
				   "\"arch\" must be amd64 or arm64");
	if (r == 0)
		r = byoh_yaml_read_string(doc, root, "kubernetes", false, &spec->kubernetes, err);
	if (r == 0 && spec->kubernetes &&
	    (spec->kubernetes[0] != 'v' || !is_word(spec->kubernetes, "-.+")))
		r = byoh_yaml_fail(doc, byoh_yaml_get(root, "kubernetes"), err,
				   "\"kubernetes\" must be a release such as v1.34.1");
	return r;
}

static int parse_document(struct byoh_spec *spec, struct byoh_error *err)
{
	static const char *const keys[] = { "apiVersion", "kind", "name",	"version",
					    "epoch",	  "arch", "kubernetes", "components",
					    "images",	  NULL };
	const struct byoh_yaml *doc = spec->document;
	const struct byoh_yaml_node *root = byoh_yaml_root(doc);
	int r = byoh_yaml_only_keys(doc, root, keys, false, err);

	if (r == 0)
		r = parse_head(doc, root, spec, err);
	if (r == 0)
		r = parse_components(doc, root, spec, err);
	if (r == 0)
		r = parse_images(doc, root, spec, err);
	if (r == 0 && spec->component_count == 0 && spec->image_count == 0)
		r = byoh_yaml_fail(doc, root, err,
				   "neither \"components\" nor \"images\": nothing to pack");
	return r;
}

static int set_paths(struct byoh_spec *spec, const char *path, struct byoh_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	int stem = (int)(dot && dot != base ? (size_t)(dot - path) : strlen(path));

	spec->directory = !slash	  ? strdup(".")
			  : slash == path ? strdup("/")
					  : strndup(path, (size_t)(slash - path));
	if (!spec->directory || asprintf(&spec->lock_path, "%.*s.lock", stem, path) < 0) {
		spec->lock_path = NULL;
		return no_memory(err);
	}
	return 0;
}

int byoh_spec_parse(const char *text, size_t size, const char *path, struct byoh_spec **ret,
		    struct byoh_error *err)
{
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	int r;

	if (size > BYOH_SPEC_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: larger than a spec can be",
				 path);
	spec = calloc(1, sizeof(*spec));
	if (!spec)
		return no_memory(err);
	r = set_paths(spec, path, err);
	if (r == 0)
		r = byoh_yaml_parse(text, size, path, BYOH_ERROR_CONFIG, &spec->document, err);
	if (r == 0)
		r = parse_document(spec, err);
	if (r == 0)
		*ret = TAKE_PTR(spec);
	return r;
}

int byoh_spec_load(const char *path, struct byoh_spec **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FILE FILE *file = fopen(path, "re");
	char piece[16384];
	size_t n;
	int r = 0;

	if (!file) {
		byoh_fail_errno(err, "%s", path);
		if (err)
			err->kind = BYOH_ERROR_CONFIG;
		return -ENOENT;
	}
	while (r == 0 && text.size <= BYOH_SPEC_MAX_SIZE &&
	       (n = fread(piece, 1, sizeof(piece), file)) > 0)
		r = byoh_buffer_add(&text, piece, n, err);
	if (r == 0 && ferror(file))
		r = byoh_fail(err, BYOH_ERROR_CONFIG, EIO, "%s: cannot be read", path);
	if (r < 0)
		return r;
	return byoh_spec_parse(byoh_buffer_text(&text), text.size, path, ret, err);
}

void byoh_spec_free(struct byoh_spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->component_count; i++)
		free(spec->components[i].rules);
	for (size_t i = 0; i < spec->image_count; i++)
		free(spec->images[i].platform);
	free(spec->components);
	free(spec->images);
	free(spec->directory);
	free(spec->lock_path);
	byoh_yaml_free(spec->document);
	free(spec);
}

void byoh_spec_freep(struct byoh_spec **spec)
{
	byoh_spec_free(*spec);
}

const char *byoh_spec_source_name(const struct byoh_spec_source *source)
{
	return source->url ? source->url : source->path;
}

char *byoh_spec_source_path(const struct byoh_spec *spec, const struct byoh_spec_source *source)
{
	char *path = NULL;

	if (source->path[0] == '/')
		return strdup(source->path);
	return asprintf(&path, "%s/%s", spec->directory, source->path) < 0 ? NULL : path;
}

int byoh_spec_fail(const struct byoh_spec *spec, const struct byoh_spec_source *source,
		   struct byoh_error *err, const char *fmt, ...)
{
	char message[768];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s:%u:%u: %s",
			 byoh_yaml_name(spec->document), source->line, source->column, message);
}
