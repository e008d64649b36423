/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/upgrade.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubernetes-config.h"

/* "-rc.1" is before the release; "-1", a packager's revision, is behind it. */
static bool is_pre_release(const char *at)
{
	static const char *const words[] = { "alpha", "beta", "pre", "rc" };

	for (size_t i = 0; *at == '-' && i < ARRAY_SIZE(words); i++)
		if (strncmp(at + 1, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* "~", the end, a revision, letters, all else. */
static int order(const char *at)
{
	unsigned char c = (unsigned char)*at;

	if (c == '~' || is_pre_release(at))
		return -1;
	if (!c || isdigit(c))
		return 0;
	if (c == '-')
		return 1;
	return isalpha(c) ? c : c + 256;
}

static int compare_numbers(const char **a, const char **b)
{
	size_t length_a, length_b;
	int difference;

	*a += strspn(*a, "0");
	*b += strspn(*b, "0");
	length_a = strspn(*a, "0123456789");
	length_b = strspn(*b, "0123456789");
	if (length_a != length_b)
		return length_a < length_b ? -1 : 1;
	difference = strncmp(*a, *b, length_a);
	*a += length_a;
	*b += length_b;
	return difference;
}

int byoh_version_compare(const char *a, const char *b)
{
	a += *a == 'v';
	b += *b == 'v';
	while (*a || *b) {
		int difference = 0;

		while ((*a && !isdigit((unsigned char)*a)) || (*b && !isdigit((unsigned char)*b))) {
			difference = order(a) - order(b);
			if (difference)
				return difference;
			a++;
			b++;
		}
		difference = compare_numbers(&a, &b);
		if (difference)
			return difference;
	}
	return 0;
}

int byoh_kubernetes_change(const char *from, const char *to, enum byoh_kubernetes_change *ret,
			   struct byoh_error *err)
{
	struct byoh_kubernetes_version old, new;
	unsigned int distance;
	int r;

	*ret = BYOH_KUBERNETES_NONE;
	if (!from || !to)
		return 0;
	r = byoh_kubernetes_version_parse(from, &old, err);
	if (r == 0)
		r = byoh_kubernetes_version_parse(to, &new, err);
	if (r < 0)
		return r;
	distance = old.minor < new.minor ? new.minor - old.minor : old.minor - new.minor;
	if (distance)
		*ret = distance == 1 ? BYOH_KUBERNETES_MINOR : BYOH_KUBERNETES_SKIP;
	else if (strcmp(from, to) != 0)
		*ret = BYOH_KUBERNETES_PATCH;
	return 0;
}

/* A bundle without Kubernetes takes a node's away. */
static bool is_older_kubernetes(const char *old, const char *new)
{
	return old && (!new || byoh_version_compare(new, old) < 0);
}

bool byoh_upgrade_is_downgrade(const struct byoh_upgrade *upgrade, const struct byoh_manifest *manifest,
			       const char **ret_why)
{
	const char *why = NULL;

	if (is_older_kubernetes(upgrade->kubernetes, manifest->kubernetes))
		why = "Kubernetes";
	/* Of another name versions and epochs tell nothing. */
	else if (strcmp(upgrade->name, manifest->name) != 0)
		why = NULL;
	else if (upgrade->manifest && manifest->epoch < upgrade->manifest->epoch)
		why = "epoch";
	else if (byoh_version_compare(manifest->version, upgrade->version) < 0)
		why = "version";
	if (ret_why)
		*ret_why = why;
	return why;
}
