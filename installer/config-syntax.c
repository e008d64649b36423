/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/config-syntax.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define LABEL_NAME_MAX 63
#define DNS_NAME_MAX 253
#define HOST_TEXT_MAX 256
#define IMAGE_REFERENCE_MAX 512

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alphanumeric(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

bool byoh_is_dns_name(const char *text, size_t max)
{
	size_t label = 0;

	if (!*text || strlen(text) > max)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p == '.') {
			if (!label || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_lower(*p) && !is_digit(*p) && !(*p == '-' && label))
			return false;
		if (++label > LABEL_NAME_MAX)
			return false;
	}
	return label && text[strlen(text) - 1] != '-';
}

/* An address of either family as 16 bytes, IPv4 in the last four. */
struct address {
	unsigned char bytes[16];
	int family;
};

static bool parse_ip(const char *text, struct address *ret)
{
	*ret = (struct address){0};
	if (inet_pton(AF_INET, text, ret->bytes + 12) == 1)
		ret->family = AF_INET;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->family = AF_INET6;
	return ret->family != 0;
}

bool byoh_is_ip(const char *text)
{
	struct address address;

	return parse_ip(text, &address);
}

bool byoh_is_node_ip(const char *text)
{
	static const unsigned char loopback[16] = { [15] = 1 };
	static const unsigned char unspecified[16] = { 0 };
	struct address address;

	if (!parse_ip(text, &address) || memcmp(address.bytes, unspecified, 16) == 0)
		return false;
	if (address.family == AF_INET)
		return address.bytes[12] != 127 && address.bytes[12] < 224 && address.bytes[12] != 0;
	return memcmp(address.bytes, loopback, 16) != 0 && address.bytes[0] != 0xff;
}

/* Names that are all digits and dots are broken addresses, not names. */
static bool looks_like_address(const char *text)
{
	return text[strspn(text, "0123456789.")] == '\0';
}

bool byoh_is_host(const char *text)
{
	return byoh_is_ip(text) || (byoh_is_dns_name(text, DNS_NAME_MAX) && !looks_like_address(text));
}

static bool is_port(const char *text)
{
	unsigned long value = 0;

	if (!*text || *text == '0' || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (!is_digit(*text))
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
	}
	return value <= 65535;
}

/* Splits length characters "host[:port]" with IPv6 in brackets. *ret_port is "" where absent. */
static bool split_authority(const char *text, size_t length, char host[HOST_TEXT_MAX], char port[8],
			    bool *ret_bracketed)
{
	const char *end = text + length;
	const char *colon, *host_end;

	*ret_bracketed = length && *text == '[';
	if (*ret_bracketed) {
		text++;
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end)
			return false;
		colon = host_end + 1;
	} else {
		colon = memchr(text, ':', length);
		host_end = colon ? colon : end;
		colon = host_end;
	}
	if (colon != end && *colon != ':')
		return false;
	if ((size_t)(host_end - text) >= HOST_TEXT_MAX || (colon != end && end - colon - 1 >= 8))
		return false;
	snprintf(host, HOST_TEXT_MAX, "%.*s", (int)(host_end - text), text);
	snprintf(port, 8, "%.*s", colon == end ? 0 : (int)(end - colon - 1), colon == end ? "" : colon + 1);
	return colon == end || is_port(port);
}

static bool is_bracketed_right(const char *host, bool bracketed)
{
	struct address address;

	if (bracketed)
		return parse_ip(host, &address) && address.family == AF_INET6;
	return byoh_is_host(host);
}

bool byoh_is_host_port(const char *text, bool empty_host)
{
	char host[HOST_TEXT_MAX], port[8];
	bool bracketed;

	if (!split_authority(text, strlen(text), host, port, &bracketed) || !*port)
		return false;
	if (!*host && !bracketed)
		return empty_host;
	return is_bracketed_right(host, bracketed);
}

bool byoh_is_registry(const char *text)
{
	char host[HOST_TEXT_MAX], port[8];
	bool bracketed;

	if (strcmp(text, "*") == 0)
		return true;
	return split_authority(text, strlen(text), host, port, &bracketed) &&
	       is_bracketed_right(host, bracketed);
}

bool byoh_is_endpoint(const char *text)
{
	char host[HOST_TEXT_MAX], port[8];
	bool bracketed;
	size_t length;

	if (strncmp(text, "https://", 8) == 0)
		text += 8;
	else if (strncmp(text, "http://", 7) == 0)
		text += 7;
	else
		return false;
	length = strcspn(text, "/");
	for (const char *p = text + length; *p; p++)
		if (!is_alphanumeric(*p) && !strchr("/._~-%", *p))
			return false;
	return split_authority(text, length, host, port, &bracketed) && is_bracketed_right(host, bracketed);
}

int byoh_server_url(const char *text, char **ret)
{
	static const char scheme[] = "https://";
	size_t length = strlen(text);

	if (length && text[length - 1] == '/')
		length--;
	if (strncmp(text, scheme, sizeof(scheme) - 1) != 0 || length < sizeof(scheme))
		return -EINVAL;
	*ret = strndup(text, length);
	if (!*ret)
		return -ENOMEM;
	if (byoh_is_host_port(*ret + sizeof(scheme) - 1, false))
		return 0;
	free(TAKE_PTR(*ret));
	return -EINVAL;
}

struct cidr {
	struct address address;
	unsigned int prefix; /* of 128 bits, IPv4 counted from its first */
};

static bool bits_are_zero(const unsigned char bytes[16], unsigned int from)
{
	for (unsigned int i = from; i < 128; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

static bool parse_cidr(const char *text, size_t length, struct cidr *ret)
{
	char copy[64];
	char *slash;
	unsigned int bits = 0;

	if (length >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)length, text);
	slash = strchr(copy, '/');
	if (!slash)
		return false;
	*slash++ = '\0';
	if (!parse_ip(copy, &ret->address) || !*slash || *slash == '0' || strlen(slash) > 3)
		return false;
	for (; *slash; slash++) {
		if (!is_digit(*slash))
			return false;
		bits = bits * 10 + (unsigned int)(*slash - '0');
	}
	if (bits > (ret->address.family == AF_INET ? 32 : 128))
		return false;
	ret->prefix = ret->address.family == AF_INET ? bits + 96 : bits;
	return bits_are_zero(ret->address.bytes, ret->prefix);
}

/* One or two; returns how many, 0 if the text is none. */
static size_t parse_cidr_list(const char *text, struct cidr ret[2])
{
	size_t length = strcspn(text, ",");

	if (!parse_cidr(text, length, &ret[0]))
		return 0;
	if (!text[length])
		return 1;
	if (!parse_cidr(text + length + 1, strlen(text + length + 1), &ret[1]) ||
	    ret[0].address.family == ret[1].address.family)
		return 0;
	return 2;
}

bool byoh_is_cidr_list(const char *text)
{
	struct cidr cidrs[2];

	return parse_cidr_list(text, cidrs) > 0;
}

static bool overlap(const struct cidr *a, const struct cidr *b)
{
	unsigned int common = a->prefix < b->prefix ? a->prefix : b->prefix;
	unsigned char difference[16] = { 0 };

	if (a->address.family != b->address.family)
		return false;
	for (unsigned int i = 0; i < common; i++)
		difference[i / 8] |= (unsigned char)((a->address.bytes[i / 8] ^ b->address.bytes[i / 8]) &
						     (0x80 >> i % 8));
	return bits_are_zero(difference, 0);
}

bool byoh_cidrs_overlap(const char *a, const char *b)
{
	struct cidr first[2], second[2];
	size_t first_count = parse_cidr_list(a, first), second_count = parse_cidr_list(b, second);

	for (size_t i = 0; i < first_count; i++)
		for (size_t j = 0; j < second_count; j++)
			if (overlap(&first[i], &second[j]))
				return true;
	return false;
}

bool byoh_cidr_address(const char *cidr_list, unsigned int number, char *ret, size_t size)
{
	struct cidr cidrs[2];
	unsigned int free_bits, carry = number;
	unsigned char *bytes = cidrs[0].address.bytes;

	if (!parse_cidr_list(cidr_list, cidrs))
		return false;
	free_bits = 128 - cidrs[0].prefix;
	if (free_bits < 32 && number >= 1U << free_bits)
		return false;
	for (unsigned int i = 16; i-- > 0 && carry;) { /* no carry leaves the free bits: checked above */
		carry += bytes[i];
		bytes[i] = (unsigned char)carry;
		carry >>= 8;
	}
	return inet_ntop(cidrs[0].address.family, cidrs[0].address.family == AF_INET ? bytes + 12 : bytes,
			 ret, (socklen_t)size) != NULL;
}

bool byoh_cidrs_contain(const char *a, const char *b)
{
	struct cidr outer[2], inner[2];
	size_t outer_count = parse_cidr_list(a, outer), inner_count = parse_cidr_list(b, inner), held = 0;

	for (size_t i = 0; i < inner_count; i++)
		for (size_t j = 0; j < outer_count; j++)
			held += inner[i].prefix >= outer[j].prefix && overlap(&inner[i], &outer[j]);
	return inner_count && held == inner_count;
}

static bool write_cidr(const struct cidr *cidr, char *ret, size_t size)
{
	bool ipv4 = cidr->address.family == AF_INET;
	char address[INET6_ADDRSTRLEN];
	const unsigned char *bytes = cidr->address.bytes + (ipv4 ? 12 : 0);

	return inet_ntop(cidr->address.family, bytes, address, sizeof(address)) &&
	       snprintf(ret, size, "%s/%u", address, ipv4 ? cidr->prefix - 96 : cidr->prefix) < (int)size;
}

int byoh_cidr_of_address(const char *text, char *ret, size_t size)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN], zero[64];
	struct cidr cidr;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	snprintf(zero, sizeof(zero), "%s%.5s", strchr(address, ':') ? "::" : "0.0.0.0", slash);
	if (!parse_cidr(zero, strlen(zero), &cidr) || !parse_ip(address, &cidr.address))
		return -EINVAL;
	for (unsigned int i = cidr.prefix; i < 128; i++)
		cidr.address.bytes[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	return write_cidr(&cidr, ret, size) ? 0 : -EINVAL;
}

/* The list's first, and how many bits a part of it has for its number. */
static bool find_part(const char *cidr_list, unsigned int prefix, struct cidr *ret, unsigned int *ret_bits)
{
	struct cidr cidrs[2];
	unsigned int wanted;

	if (!parse_cidr_list(cidr_list, cidrs))
		return false;
	wanted = cidrs[0].address.family == AF_INET ? prefix + 96 : prefix;
	if (wanted > 128 || wanted < cidrs[0].prefix)
		return false;
	*ret_bits = wanted - cidrs[0].prefix < 31 ? wanted - cidrs[0].prefix : 31;
	*ret = (struct cidr){ .address = cidrs[0].address, .prefix = wanted };
	return true;
}

unsigned int byoh_cidr_count(const char *cidr_list, unsigned int prefix)
{
	struct cidr part;
	unsigned int bits;

	return find_part(cidr_list, prefix, &part, &bits) ? 1U << bits : 0;
}

bool byoh_cidr_part(const char *cidr_list, unsigned int prefix, unsigned int number, char *ret, size_t size)
{
	struct cidr part;
	unsigned int bits;

	if (!find_part(cidr_list, prefix, &part, &bits) || number >> bits)
		return false;
	for (unsigned int i = 0; i < bits; i++)
		if (number & 1U << i)
			part.address.bytes[(part.prefix - 1 - i) / 8] |=
				(unsigned char)(0x80 >> (part.prefix - 1 - i) % 8);
	return write_cidr(&part, ret, size);
}

/* At most 63 of [A-Za-z0-9._-], first and last alphanumeric. */
static bool is_label_name(const char *text, size_t length)
{
	if (!length || length > LABEL_NAME_MAX || !is_alphanumeric(text[0]) ||
	    !is_alphanumeric(text[length - 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_alphanumeric(text[i]) && !strchr("._-", text[i]))
			return false;
	return true;
}

static bool is_label_key(const char *text, size_t length)
{
	const char *slash = memchr(text, '/', length);
	char prefix[DNS_NAME_MAX + 1];

	if (!slash)
		return is_label_name(text, length);
	if ((size_t)(slash - text) > DNS_NAME_MAX)
		return false;
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(slash - text), text);
	return byoh_is_dns_name(prefix, DNS_NAME_MAX) &&
	       is_label_name(slash + 1, length - (size_t)(slash + 1 - text));
}

bool byoh_is_label_key(const char *text)
{
	return is_label_key(text, strlen(text));
}

bool byoh_is_label_value(const char *text)
{
	return !*text || is_label_name(text, strlen(text));
}

/* prefix (length characters) is domain or a name below it. */
static bool is_in_domain(const char *prefix, size_t length, const char *domain)
{
	size_t domain_length = strlen(domain);

	if (length < domain_length || memcmp(prefix + length - domain_length, domain, domain_length) != 0)
		return false;
	return length == domain_length || prefix[length - domain_length - 1] == '.';
}

bool byoh_kubelet_may_set_label(const char *key)
{
	static const char *const allowed[] = {
		"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
		"beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
	};
	size_t length = strcspn(key, "/");

	if (!key[length])
		return true;
	if (!is_in_domain(key, length, "kubernetes.io") && !is_in_domain(key, length, "k8s.io"))
		return true;
	if (is_in_domain(key, length, "kubelet.kubernetes.io") ||
	    is_in_domain(key, length, "node.kubernetes.io"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (strcmp(key, allowed[i]) == 0)
			return true;
	return false;
}

bool byoh_is_taint(const char *text)
{
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute" };
	const char *colon = strchr(text, ':');
	const char *equals = colon ? memchr(text, '=', (size_t)(colon - text)) : NULL;
	size_t value_length = equals ? (size_t)(colon - equals - 1) : 0;

	if (!colon || !is_label_key(text, (size_t)((equals ? equals : colon) - text)))
		return false;
	if (value_length && !is_label_name(equals + 1, value_length))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(effects); i++)
		if (strcmp(colon + 1, effects[i]) == 0)
			return true;
	return false;
}

bool byoh_is_image_reference(const char *text)
{
	const char *last = strrchr(text, '/');

	if (strlen(text) > IMAGE_REFERENCE_MAX || !is_alphanumeric(text[0]) ||
	    !is_alphanumeric(text[strlen(text) - 1]))
		return false;
	for (const char *p = text; *p; p++)
		if (!is_alphanumeric(*p) && !strchr("._-/:@", *p))
			return false;
	return strpbrk(last ? last : text, ":@") != NULL;
}

bool byoh_is_mac(const char *text)
{
	if (strlen(text) != 17)
		return false;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' && text[i] != '-' : !is_hex(text[i]))
			return false;
	return true;
}

bool byoh_is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (size_t i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !is_hex(text[i]))
			return false;
	return true;
}

bool byoh_is_host_path(const char *text)
{
	if (text[0] != '/' || !byoh_path_is_clean(text + 1))
		return false;
	/* These paths are written into TOML and unit files: nothing there may need quotes. */
	for (const char *p = text; *p; p++)
		if (!is_alphanumeric(*p) && !strchr("/._-+@:,", *p))
			return false;
	return true;
}

static void wipe_node(struct byoh_yaml_node *node)
{
	if (node->type == BYOH_YAML_SCALAR)
		explicit_bzero(node->text, strlen(node->text));
	for (size_t i = 0; i < node->count; i++)
		wipe_node(node->items[i]);
}

void byoh_secret_yaml_freep(struct byoh_yaml **doc)
{
	const struct byoh_yaml_node *root = *doc ? byoh_yaml_root(*doc) : NULL;

	if (root)
		wipe_node((struct byoh_yaml_node *)root); /* about to be freed: nobody reads it any more */
	byoh_yaml_free(*doc);
	*doc = NULL;
}
