/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of an upgrade: what may follow what, and when a node has to be empty. Pure; the checks that ask are
 * installer/preflight/upgrade.c. Kubernetes: kubelets go one minor release at a time, and across one only
 * drained (kubernetes.io, "Version Skew Policy", supported component upgrade order).
 */
#ifndef BYOH_INSTALLER_UPGRADE_H
#define BYOH_INSTALLER_UPGRADE_H

#include <stdbool.h>

#include "bundle/manifest.h"

/* What is installed, and what the operator said. All borrowed. */
struct byoh_upgrade {
	const char *name, *version;
	const char *kubernetes; /* NULL: a bundle of nothing but files */
	const struct byoh_manifest *manifest; /* NULL where the kept bundle is lost */
	bool same; /* the release that is to be installed is the one that is */
	bool back; /* to the release that was kept */
	bool drain, drained, allow_downgrade;
};

enum byoh_kubernetes_change {
	BYOH_KUBERNETES_NONE,  /* the same, or one of both has none */
	BYOH_KUBERNETES_PATCH, /* of the same minor release */
	BYOH_KUBERNETES_MINOR, /* to a neighbour */
	BYOH_KUBERNETES_SKIP,  /* farther */
};

/* As dpkg orders versions ("~" before everything, numbers as numbers), and a pre-release of semantic versions
 * ("-alpha", "-beta", "-pre", "-rc") before its release. Negative, 0 or positive. */
int byoh_version_compare(const char *a, const char *b);

/* Either may be NULL. BYOH_ERROR_FORMAT for what is no version of Kubernetes. */
BYOH_MUST_CHECK int byoh_kubernetes_change(const char *from, const char *to,
					   enum byoh_kubernetes_change *ret, struct byoh_error *err);
/* Is it older than what is installed? *ret_why (may be NULL) is then "Kubernetes", "epoch" or "version". */
bool byoh_upgrade_is_downgrade(const struct byoh_upgrade *upgrade, const struct byoh_manifest *manifest,
			       const char **ret_why);

#endif
