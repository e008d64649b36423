/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1) and the releases that know them, 1.20 to
 * 1.36. A kubelet passes over a field that it does not know, with no more than a line in its log, and ends over
 * one of the wrong type; so both are found here. Pure.
 */
#ifndef BYOH_INSTALLER_KUBELET_FIELDS_H
#define BYOH_INSTALLER_KUBELET_FIELDS_H

#include "bundle/base/buffer.h"
#include "bundle/base/yaml.h"
#include "installer/kubernetes-config.h"

/* Checks names and types, and with a version (NULL: any that there is) that it knows every field. Errors name
 * line, column and what to do. apiVersion and kind may be there. */
BYOH_MUST_CHECK int byoh_kubelet_fields_check(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
					      const struct byoh_kubernetes_version *version,
					      struct byoh_error *err);

/* The same for what an operator adds to the installer's own: a field that the installer writes itself is an
 * error that names the key that sets it, and so is a combination over which the kubelet ends. */
BYOH_MUST_CHECK int byoh_kubelet_additions_check(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
						 struct byoh_error *err);

/* The fields as YAML, each value in the form that its type needs; without apiVersion and kind. They have been
 * checked. */
BYOH_MUST_CHECK int byoh_kubelet_fields_write(const struct byoh_yaml_node *map, struct byoh_buffer *ret,
					      struct byoh_error *err);

#endif
