/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/sbom.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bundle/base/json.h"

#define ID_MAX 256
#define INSTALLER_ID "SPDXRef-installer"

/* SPDX ids are letters, digits, "." and "-" (SPDX 2.3, section 7.2). */
static void spdx_id(const char *kind, size_t number, const char *name, char ret[ID_MAX])
{
	size_t used = (size_t)snprintf(ret, ID_MAX, "SPDXRef-%s-%zu-", kind, number);

	for (; *name && used + 1 < ID_MAX; name++)
		ret[used++] = isalnum((unsigned char)*name) || *name == '.' ? *name : '-';
	ret[used] = '\0';
}

static void write_checksum(struct byoh_json *json, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_key(json, "checksums");
	byoh_json_begin_array(json);
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "algorithm", "SHA256");
	byoh_json_field_string(json, "checksumValue", hex);
	byoh_json_end_object(json);
	byoh_json_end_array(json);
}

static void write_package(struct byoh_json *json, const char *id, const char *name, const char *version,
			  const char *license, const char *source, const struct byoh_digest *digest)
{
	bool is_url = source && strstr(source, "://");

	byoh_json_begin_object(json);
	byoh_json_field_string(json, "SPDXID", id);
	byoh_json_field_string(json, "name", name);
	if (version)
		byoh_json_field_string(json, "versionInfo", version);
	byoh_json_field_string(json, "downloadLocation", is_url ? source : "NOASSERTION");
	byoh_json_field_string(json, "licenseDeclared", license ? license : "NOASSERTION");
	byoh_json_field_bool(json, "filesAnalyzed", false);
	write_checksum(json, digest);
	byoh_json_end_object(json);
}

/* The tag of a name that pods use; a host's port is none. */
static const char *image_tag(const char *ref)
{
	const char *slash = strrchr(ref, '/');
	const char *tag = strchr(slash ? slash : ref, ':');

	return tag ? tag + 1 : NULL;
}

static void write_packages(struct byoh_json *json, const struct byoh_tree *tree,
			   const struct byoh_digest *executable)
{
	char id[ID_MAX];

	for (size_t i = 0; i < tree->component_count; i++) {
		const struct byoh_component *c = &tree->components[i];

		spdx_id("component", i, c->name, id);
		write_package(json, id, c->name, c->version, c->license, c->source, &c->digest);
	}
	for (size_t i = 0; i < tree->image_count; i++) {
		const struct byoh_image *image = &tree->images[i];

		spdx_id("image", i, image->ref, id);
		write_package(json, id, image->ref, image_tag(image->ref), NULL, NULL, &image->digest);
	}
	if (executable) /* any version of it may be put in front: it has none that is known here */
		write_package(json, INSTALLER_ID, "byoh-install", NULL, "Apache-2.0", NULL, executable);
}

static void write_relationship(struct byoh_json *json, const char *id)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "spdxElementId", "SPDXRef-DOCUMENT");
	byoh_json_field_string(json, "relationshipType", "DESCRIBES");
	byoh_json_field_string(json, "relatedSpdxElement", id);
	byoh_json_end_object(json);
}

static void write_relationships(struct byoh_json *json, const struct byoh_tree *tree, bool executable)
{
	char id[ID_MAX];

	for (size_t i = 0; i < tree->component_count + tree->image_count; i++) {
		bool image = i >= tree->component_count;
		size_t number = image ? i - tree->component_count : i;

		spdx_id(image ? "image" : "component", number,
			image ? tree->images[number].ref : tree->components[number].name, id);
		write_relationship(json, id);
	}
	if (executable)
		write_relationship(json, INSTALLER_ID);
}

static void write_creation(struct byoh_json *json, uint64_t built)
{
	time_t seconds = (time_t)built;
	struct tm parts;
	char text[32] = "1970-01-01T00:00:00Z";

	if (gmtime_r(&seconds, &parts))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	byoh_json_key(json, "creationInfo");
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "created", text);
	byoh_json_key(json, "creators");
	byoh_json_begin_array(json);
	byoh_json_string(json, "Tool: byoh-bundle-" BYOH_VERSION);
	byoh_json_end_array(json);
	byoh_json_end_object(json);
}

int byoh_sbom_write(const struct byoh_tree *tree, const struct byoh_manifest *identity,
		    const struct byoh_digest *executable, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);
	char name[ID_MAX], space[2 * ID_MAX];

	snprintf(name, sizeof(name), "%s-%s", identity->name, identity->version);
	snprintf(space, sizeof(space), "urn:byoh:bundle:%s", name);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "spdxVersion", "SPDX-2.3");
	byoh_json_field_string(&json, "dataLicense", "CC0-1.0");
	byoh_json_field_string(&json, "SPDXID", "SPDXRef-DOCUMENT");
	byoh_json_field_string(&json, "name", name);
	byoh_json_field_string(&json, "documentNamespace", space);
	write_creation(&json, identity->built);
	byoh_json_key(&json, "packages");
	byoh_json_begin_array(&json);
	write_packages(&json, tree, executable);
	byoh_json_end_array(&json);
	byoh_json_key(&json, "relationships");
	byoh_json_begin_array(&json);
	write_relationships(&json, tree, executable != NULL);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
