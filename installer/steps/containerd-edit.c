/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of containerd's own files that no drop-in can change: lists of them are added up, so that CRI,
 * once disabled, stays so, and a drop-in is read only where it is imported. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/containerd-adopt.h"

#define IMPORTS "imports"
#define DISABLED "disabled_plugins"

/* Bytes that go, and what comes in their place. */
struct splice {
	size_t at, remove;
	const char *insert;
};

struct splices {
	size_t count;
	struct splice *items;
};

static void release_splices(struct splices *splices)
{
	free(splices->items);
}

static int add_splice(struct splices *splices, size_t at, size_t remove, const char *insert,
		      struct byoh_error *err)
{
	struct splice *grown = reallocarray(splices->items, splices->count + 1, sizeof(*grown));
	size_t place = splices->count;

	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	splices->items = grown;
	for (; place && grown[place - 1].at > at; place--)
		grown[place] = grown[place - 1];
	grown[place] = (struct splice){ at, remove, insert };
	splices->count++;
	return 0;
}

static int apply(const struct splices *splices, const struct byoh_buffer *text,
		 struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t at = 0;
	int rc = 0;

	for (size_t i = 0; i < splices->count && !rc; i++) {
		const struct splice *splice = &splices->items[i];

		rc = byoh_buffer_add(ret, byoh_buffer_text(text) + at, splice->at - at, err);
		if (!rc)
			rc = byoh_buffer_add_string(ret, splice->insert, err);
		at = splice->at + splice->remove;
	}
	return rc ? rc : byoh_buffer_add(ret, byoh_buffer_text(text) + at, text->size - at, err);
}

/* Its names in the versions of the configuration. */
static bool is_cri(const char *plugin)
{
	static const char *const names[] = { "cri", "io.containerd.grpc.v1.cri",
					     "io.containerd.cri.v1.runtime",
					     "io.containerd.cri.v1.images" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(plugin, names[i]))
			return true;
	return false;
}

/* With the comma and the spaces behind it, or, of the last one, with those before it. */
static int remove_string(const struct byoh_toml *toml, const struct byoh_toml_string *string,
			 struct splices *splices, struct byoh_error *err)
{
	size_t start = string->start, end = string->end;

	if (string->comma) {
		end = string->comma + 1;
		while (toml->text[end] == ' ' || toml->text[end] == '\t')
			end++;
	} else {
		while (toml->text[start - 1] == ' ' || toml->text[start - 1] == '\t')
			start--;
	}
	return add_splice(splices, start, end - start, "", err);
}

static int enable_cri(const struct byoh_containerd_input *input, const struct byoh_toml *toml,
		      struct splices *splices, struct byoh_error *err)
{
	const struct byoh_toml_item *disabled = byoh_toml_find(toml, DISABLED);
	bool has_version = byoh_toml_find(toml, "version");
	CLEANUP_TOML_STRINGS struct byoh_toml_strings names = { 0 };
	int rc = disabled ? byoh_toml_list(toml, disabled, &names, err) : 0;

	for (size_t i = 0; i < names.count && !rc; i++) {
		if (is_cri(names.items[i].text))
			rc = remove_string(toml, &names.items[i], splices, err);
		else if (!has_version && input->major < 2 &&
			 strncmp(names.items[i].text, "io.containerd.", strlen("io.containerd.")))
			rc = byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
				       "line %u: " DISABLED " has \"%s\", a name that containerd "
				       "takes in version 1 of the configuration only; write its whole "
				       "name, io.containerd....",
				       disabled->line, names.items[i].text);
	}
	return rc;
}

/* Behind the version, else before everything else: a key of no table has to stand before the first. */
static int add_imports(const struct byoh_toml *toml, struct splices *splices,
		       struct byoh_error *err)
{
	static const char line[] = IMPORTS " = [\"" BYOH_CONTAINERD_IMPORT "\"]\n";
	const struct byoh_toml_item *version = byoh_toml_find(toml, "version");
	size_t at = version ? version->end : toml->count ? toml->items[0].start : toml->size;

	if (at && toml->text[at - 1] != '\n') {
		int rc = add_splice(splices, at, 0, "\n", err);

		if (rc)
			return rc;
	}
	return add_splice(splices, at, 0, line, err);
}

/* Ours comes last: what is read after it could take back what it says. */
static int extend_imports(const struct byoh_toml *toml, const struct byoh_toml_item *imports,
			  struct splices *splices, struct byoh_error *err)
{
	CLEANUP_TOML_STRINGS struct byoh_toml_strings paths = { 0 };
	const struct byoh_toml_string *last;
	int rc = byoh_toml_list(toml, imports, &paths, err);

	if (rc)
		return rc;
	if (!paths.count)
		return add_splice(splices, imports->value + 1, 0,
				  "\"" BYOH_CONTAINERD_IMPORT "\"", err);
	last = &paths.items[paths.count - 1];
	if (!strcmp(last->text, BYOH_CONTAINERD_IMPORT))
		return 0;
	for (size_t i = 0; i < paths.count && !rc; i++)
		if (!strcmp(paths.items[i].text, BYOH_CONTAINERD_IMPORT))
			rc = remove_string(toml, &paths.items[i], splices, err);
	if (rc)
		return rc;
	if (last->comma)
		return add_splice(splices, last->comma + 1, 0,
				  " \"" BYOH_CONTAINERD_IMPORT "\"", err);
	return add_splice(splices, last->end, 0, ", \"" BYOH_CONTAINERD_IMPORT "\"", err);
}

int byoh_containerd_edit(const struct byoh_containerd_input *input,
			 const struct byoh_containerd_source *source, bool is_main,
			 struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP(release_splices) struct splices splices = { 0 };
	const struct byoh_toml_item *imports;
	int rc;

	if (source->missing)
		return byoh_buffer_printf(ret, err,
					  "version = %u\n" IMPORTS " = [\"/etc/containerd/conf.d/*.toml\", \""
					  BYOH_CONTAINERD_IMPORT "\"]\n",
					  input->major < 2 ? 2 : 3);
	imports = byoh_toml_find(source->toml, IMPORTS);
	rc = enable_cri(input, source->toml, &splices, err);
	if (!rc && is_main)
		rc = imports ? extend_imports(source->toml, imports, &splices, err)
			     : add_imports(source->toml, &splices, err);
	if (rc)
		return byoh_error_wrap(err, rc, "%s", source->path);
	return apply(&splices, &source->text, ret, err);
}
