/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's network, as a ClusterResourceSet: an operator's manifest in ConfigMaps. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "installer/manifests/manifests.h"
#include "installer/manifests/names.h"

/* The first line that begins a document behind offset, or the end. */
static size_t next_document(const struct byoh_buffer *text, size_t offset)
{
	const char *at = text->data + offset;
	const char *end = text->data + text->size;

	while ((at = memmem(at, (size_t)(end - at), "\n---", 4)))
		if (at + 4 == end || strchr(" \t\n#", at[4]))
			return (size_t)(at + 1 - text->data);
		else
			at++;
	return text->size;
}

size_t byoh_manifests_cni_part(const struct byoh_buffer *text, size_t offset, size_t max)
{
	size_t end = next_document(text, offset);

	while (end < text->size) {
		size_t next = next_document(text, end);

		if (next - offset > max)
			break;
		end = next;
	}
	return end;
}

/* Bytes that a literal block of YAML gives back as they were. */
static bool is_text(const struct byoh_buffer *text)
{
	for (size_t i = 0; i < text->size; i++) {
		unsigned char c = (unsigned char)text->data[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

int byoh_manifests_check_cni(const struct byoh_buffer *text, const char *name, size_t max,
			     struct byoh_error *err)
{
	if (!text->size || !memmem(text->data, text->size, "kind:", 5))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: there is no Kubernetes object in it; it is to be the "
				 "manifest that installs the "
				 "cluster's network",
				 name);
	if (!is_text(text))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: it holds control characters, or lines that end with a "
				 "carriage return; save it "
				 "as plain text",
				 name);
	for (size_t from = 0, to; from < text->size; from = to) {
		to = byoh_manifests_cni_part(text, from, max);
		if (to - from > max)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
					 "%s: the document at byte %zu is larger than a ConfigMap "
					 "can be (%zu bytes)",
					 name, from, max);
	}
	return 0;
}

/* A literal block, with its indentation said: the first line may begin with blanks of its own. */
static void put_block(struct byoh_object_file *file, const char *from, size_t size)
{
	while (size) {
		const char *end = memchr(from, '\n', size);
		size_t length = end ? (size_t)(end - from) : size;

		byoh_object_put(file, "%s%.*s\n", length ? "    " : "", (int)length, from);
		size -= length + (end ? 1 : 0);
		from += length + (end ? 1 : 0);
	}
}

static void put_part(const struct byoh_manifests_input *input, struct byoh_object_file *file,
		     unsigned int number, size_t from, size_t to)
{
	const char *data = input->cni->data;
	char name[80];

	while (to > from && data[to - 1] == '\n')
		to--;
	snprintf(name, sizeof(name), "%s-cni-%u", input->cluster, number);
	byoh_object_begin(file, "v1", "ConfigMap", name, input->namespace_name);
	byoh_object_put(file, "data:\n  cni-%u.yaml: |2\n", number);
	put_block(file, data + from, to - from);
}

static void put_set(const struct byoh_manifests_input *input, struct byoh_object_file *file,
		    unsigned int parts)
{
	char api[64], name[80];

	byoh_name_join(api, sizeof(api), BYOH_GROUP_ADDONS "/", byoh_cluster_api_version(input));
	byoh_name_join(name, sizeof(name), input->cluster, "-cni");
	byoh_object_begin(file, api, "ClusterResourceSet", name, input->namespace_name);
	byoh_object_put(file,
			"spec:\n"
			"  clusterSelector:\n"
			"    matchLabels:\n"
			"      " BYOH_CNI_LABEL ": \"%s\"\n"
			"  strategy: ApplyOnce\n"
			"  resources:\n",
			input->cluster);
	for (unsigned int i = 1; i <= parts; i++)
		byoh_object_put(file,
				"  - kind: ConfigMap\n    name: "
				"\"%s-cni-%u\"\n",
				input->cluster, i);
}

/* The parts are files of their own, so that each stays one request. */
void byoh_manifests_cni(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	unsigned int parts = 0;
	char name[40];
	size_t to;

	if (!input->cni)
		return;
	for (size_t from = 0; from < input->cni->size; from = to) {
		to = byoh_manifests_cni_part(input->cni, from, BYOH_CNI_PART_MAX);
		snprintf(name, sizeof(name), "70-cni-%02u.yaml", ++parts);
		put_part(input, byoh_manifests_add(ret, name, 0644), parts, from, to);
	}
	put_set(input, byoh_manifests_add(ret, "75-cni-set.yaml", 0644), parts);
}
