/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the emitters: groups, versions and labels of Cluster API and its BYOH provider. */
#ifndef BYOH_INSTALLER_MANIFESTS_NAMES_H
#define BYOH_INSTALLER_MANIFESTS_NAMES_H

#include "installer/manifests/manifests.h"

#define BYOH_GROUP_CLUSTER "cluster.x-k8s.io"
#define BYOH_GROUP_BOOTSTRAP "bootstrap.cluster.x-k8s.io"
#define BYOH_GROUP_ADDONS "addons.cluster.x-k8s.io"
#define BYOH_GROUP_INFRASTRUCTURE "infrastructure.cluster.x-k8s.io"
#define BYOH_API_INFRASTRUCTURE BYOH_GROUP_INFRASTRUCTURE "/v1beta1" /* the provider has no other */

#define BYOH_CLUSTER_LABEL "cluster.x-k8s.io/cluster-name"
#define BYOH_DEPLOYMENT_LABEL "cluster.x-k8s.io/deployment-name"
#define BYOH_CNI_LABEL "cni"

#define BYOH_WORKERS_SUFFIX "-workers"

/* "v1beta1" or "v1beta2", of Cluster API's own kinds. */
const char *byoh_cluster_api_version(const struct byoh_manifests_input *input);
/* "cluster.x-k8s.io/v1beta1" */
const char *byoh_cluster_api(const struct byoh_manifests_input *input);

/* Is there a namespace to be made? */
bool byoh_manifests_own_namespace(const struct byoh_manifests_input *input);

void byoh_name_join(char *ret, size_t size, const char *name, const char *suffix);

/* The fields of a reference to another object, each behind indent. v1beta1 names its version, v1beta2
 * its group alone. */
void byoh_object_put_reference(const struct byoh_manifests_input *input, struct byoh_object_file *file,
			       const char *indent, const char *group, const char *version,
			       const char *kind, const char *name, const char *suffix);

#endif
