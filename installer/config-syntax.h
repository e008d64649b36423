/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of single values in byoh.yaml and in kubeconfigs: addresses, names, labels, taints. Pure. */
#ifndef BYOH_INSTALLER_CONFIG_SYNTAX_H
#define BYOH_INSTALLER_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include "bundle/base/yaml.h"

/* RFC 1123, lower case: labels of at most 63 characters joined by dots. */
bool byoh_is_dns_name(const char *text, size_t max);
bool byoh_is_ip(const char *text);
/* An address that a node can have: no loopback, multicast or unspecified one. */
bool byoh_is_node_ip(const char *text);
bool byoh_is_host(const char *text); /* a name or an address */
/* "host:port", "[v6]:port"; host may be empty where allowed, the port may not. */
bool byoh_is_host_port(const char *text, bool empty_host);
bool byoh_is_registry(const char *text); /* host[:port], or "*" */
bool byoh_is_endpoint(const char *text); /* http:// or https://, host, optional port and path */

/* https://host:port in *ret (malloc), a trailing "/" dropped; -EINVAL for another form, -ENOMEM. */
BYOH_MUST_CHECK int byoh_server_url(const char *text, char **ret);
#define BYOH_SERVER_URL_FORM "https://HOST:PORT, for example https://172.30.1.18:6443"

/* One CIDR or "a,b" of different families, no host bits set, no /0. */
bool byoh_is_cidr_list(const char *text);
/* Do two such lists share an address? */
bool byoh_cidrs_overlap(const char *a, const char *b);
/* Is each network of b a part of one of a? */
bool byoh_cidrs_contain(const char *a, const char *b);
/* The network of prefix bits that holds an address ("10.244.7.1/24": "10.244.7.0/24"); -EINVAL for no address. */
BYOH_MUST_CHECK int byoh_cidr_of_address(const char *text, char *ret, size_t size);
/* How many networks of that prefix the list's first CIDR holds (at most 2^31), and the number `number` of them. */
unsigned int byoh_cidr_count(const char *cidr_list, unsigned int prefix);
bool byoh_cidr_part(const char *cidr_list, unsigned int prefix, unsigned int number, char *ret, size_t size);
/* The address number `number` of the list's first CIDR; false if it has not that many. */
bool byoh_cidr_address(const char *cidr_list, unsigned int number, char *ret, size_t size);

bool byoh_is_label_key(const char *text);
bool byoh_is_label_value(const char *text);
/* The kubelet's own rule for labels under kubernetes.io and k8s.io: others are fatal to it. */
bool byoh_kubelet_may_set_label(const char *key);
bool byoh_is_taint(const char *text); /* key[=value]:Effect */
bool byoh_is_image_reference(const char *text); /* with tag or digest */
bool byoh_is_mac(const char *text); /* six pairs of hexadecimal digits, colons or dashes, any case */
bool byoh_is_uuid(const char *text);
bool byoh_is_host_path(const char *text); /* absolute, no "." or ".." part, not "/" */

/* A document that held secrets: every scalar is overwritten first. */
void byoh_secret_yaml_freep(struct byoh_yaml **doc);

#endif
