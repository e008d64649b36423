/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration in a boot image, set without making the image anew: every other byte stays what it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/iso9660.h"
#include "bundle/site-slot.h"

#define SLOT_PATH "byoh/site.img"
#define TEXT_MAX ((size_t)1 << 20)

static void release_secret(struct byoh_buffer *buffer)
{
	if (buffer->data)
		OPENSSL_cleanse(buffer->data, buffer->capacity);
	byoh_buffer_release(buffer);
}

static int read_image(void *context, void *ret, uint64_t size, uint64_t offset, struct byoh_error *err)
{
	const int *fd = context;

	return byoh_pread_all(*fd, ret, (size_t)size, offset, err);
}

/* A file, or the stick that it was copied to. */
static int find_slot(int fd, const char *path, uint64_t *ret_offset, struct byoh_error *err)
{
	off_t end = lseek(fd, 0, SEEK_END);
	const struct byoh_iso9660_reader image = { .read = read_image, .context = &fd, .size = end < 0 ? 0 : (uint64_t)end };
	uint64_t size = 0;
	int r = byoh_iso9660_find(&image, SLOT_PATH, ret_offset, &size, err);

	if (r == -ENOENT)
		byoh_error_remedy(err, "it was not made by `make iso`, and has no room for a configuration");
	if (r == 0 && size != BYOH_SITE_SLOT_SIZE)
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "its " SLOT_PATH " has %llu bytes in place of %zu",
			      (unsigned long long)size, BYOH_SITE_SLOT_SIZE);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

/* What is worth something in the hands of whoever finds the stick. */
static bool holds_secret(const struct byoh_yaml_node *node)
{
	static const char *const secrets[] = { "passwordHash", "password", "auth", "identity_token", "value" };
	bool found = false;

	for (size_t i = 0; i < node->count && !found; i++) {
		const struct byoh_yaml_node *item = node->items[i];

		for (size_t k = 0; node->keys && k < ARRAY_SIZE(secrets) && !found; k++)
			found = item->type == BYOH_YAML_SCALAR && strcmp(node->keys[i]->text, secrets[k]) == 0 && *item->text;
		found = found || holds_secret(item);
	}
	return found;
}

/* So much as can be told without a host; the installer checks the rest, with line and column. */
static int check_text(const struct byoh_buffer *text, const char *name, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *root;
	const char *version = NULL, *kind = NULL;

	TRY(byoh_yaml_parse(byoh_buffer_text(text), text->size, name, BYOH_ERROR_CONFIG, &doc, err));
	root = byoh_yaml_root(doc);
	if (!root)
		return byoh_yaml_fail(doc, NULL, err, "the configuration is empty; --reset empties the slot");
	TRY(byoh_yaml_read_string(doc, root, "apiVersion", true, &version, err));
	TRY(byoh_yaml_read_string(doc, root, "kind", true, &kind, err));
	if (strncmp(version, "byoh-install/", strlen("byoh-install/")) != 0 || strcmp(kind, "InstallConfig") != 0)
		return byoh_yaml_fail(doc, root, err, "no configuration of byoh-install (apiVersion: byoh-install/v1alpha1, kind: "
						      "InstallConfig)");
	if (holds_secret(root))
		fprintf(stderr, "byoh-bundle: warning: %s holds a secret (a token, a password or its hash): whoever has the image has "
				"it too; a token may come later, by `join`\n", name);
	return 0;
}

static int write_slot(int fd, uint64_t offset, const struct byoh_buffer *text, struct byoh_error *err)
{
	CLEANUP(release_secret) struct byoh_buffer slot = { 0 };

	TRY(byoh_site_slot_write(text->data, text->size, &slot, err));
	TRY(byoh_pwrite_all(fd, slot.data, slot.size, offset, err));
	return fsync(fd) < 0 ? byoh_fail_errno(err, "cannot write to the image") : 0;
}

static int set(const char *image, const char *config, struct byoh_error *err)
{
	CLEANUP(release_secret) struct byoh_buffer text = { 0 };
	CLEANUP_FD int fd = -1;
	uint64_t offset;

	if (config) {
		TRY(byoh_read_named_file(config, TEXT_MAX, &text, err));
		TRY(check_text(&text, config, err));
	}
	fd = open(image, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", image);
	TRY(find_slot(fd, image, &offset, err));
	TRY(write_slot(fd, offset, &text, err));
	fprintf(stderr, "%s: %s\n", image, config ? "the configuration is set; nothing else has changed" : "it holds no configuration now");
	return 0;
}

static int show(const char *image, struct byoh_error *err)
{
	CLEANUP(release_secret) struct byoh_buffer slot = { 0 }, text = { 0 };
	CLEANUP_FD int fd = open(image, O_RDONLY | O_CLOEXEC);
	uint64_t offset;
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", image);
	TRY(find_slot(fd, image, &offset, err));
	TRY(byoh_buffer_add_zeros(&slot, BYOH_SITE_SLOT_SIZE, err));
	TRY(byoh_pread_all(fd, slot.data, slot.size, offset, err));
	r = byoh_site_slot_read(slot.data, slot.size, &text, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", image);
	if (!text.size)
		fprintf(stderr, "%s holds no configuration\n", image);
	return byoh_cli_print(&text, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "set", required_argument, NULL, 's' },
						 { "show", no_argument, NULL, 'w' },
						 { "reset", no_argument, NULL, 'r' },
						 { 0 } };
	const char *config = NULL;
	int c, verbs = 0, verb = 0;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		config = c == 's' ? optarg : config;
		verb = c;
		verbs++;
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (verbs != 1 || argc - optind != 1)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "iso-config needs an image and one of --set, --show and --reset");
	return verb == 'w' ? show(argv[optind], err) : set(argv[optind], config, err);
}

const struct byoh_cli_verb byoh_cli_iso_config = {
	"iso-config", "iso-config FILE.iso --set byoh.yaml|--show|--reset",
	"Put a configuration into a boot image, in place; show it; take it out.", run,
};
