/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/manifests/names.h"

#include <stdio.h>
#include <string.h>

const char *byoh_cluster_api_version(const struct byoh_manifests_input *input)
{
	return input->config->management.api == BYOH_CLUSTER_API_V1BETA2 ? "v1beta2" : "v1beta1";
}

const char *byoh_cluster_api(const struct byoh_manifests_input *input)
{
	return input->config->management.api == BYOH_CLUSTER_API_V1BETA2 ? BYOH_GROUP_CLUSTER "/v1beta2"
									 : BYOH_GROUP_CLUSTER "/v1beta"
											      "1";
}

bool byoh_manifests_own_namespace(const struct byoh_manifests_input *input)
{
	return byoh_manifests_claim(input) && strcmp(input->namespace_name, "default") != 0;
}

void byoh_name_join(char *ret, size_t size, const char *name, const char *suffix)
{
	snprintf(ret, size, "%s%s", name, suffix);
}

void byoh_object_put_reference(const struct byoh_manifests_input *input, struct byoh_object_file *file,
			       const char *indent, const char *group, const char *version,
			       const char *kind, const char *name, const char *suffix)
{
	if (input->config->management.api == BYOH_CLUSTER_API_V1BETA2)
		byoh_object_put(file, "%sapiGroup: %s\n", indent, group);
	else
		byoh_object_put(file, "%sapiVersion: %s/%s\n", indent, group, version);
	byoh_object_put(file, "%skind: %s\n%sname: \"%s%s\"\n", indent, kind, indent, name, suffix);
}
