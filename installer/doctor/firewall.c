/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of packet filters. What ufw and firewalld let in is told by their own words. In doubt they
 * do: a firewall that is blamed and lets in misleads more than one that nobody names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/gather.h"

#define LINE_MAX_BYTES 1024

/* "22", "10000:11000,10250", "30000-32767" */
static bool covers(const char *ports, unsigned int port)
{
	for (const char *at = ports; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end != at && (*end == ':' || *end == '-'))
			last = strtoul(end + 1, NULL, 10);
		if (end != at && first <= port && port <= last)
			return true;
	}
	return false;
}

static bool is_word(const char *text, const char *word)
{
	return strcmp(text, word) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && is_word(text + length - wanted, end);
}

/* The next line without its end; NULL behind the last one. What is longer is cut. */
static const char *next_line(const char *text, char ret[LINE_MAX_BYTES])
{
	size_t length = strcspn(text, "\n");

	if (!*text)
		return NULL;
	snprintf(ret, LINE_MAX_BYTES, "%.*s",
		 (int)(length < LINE_MAX_BYTES ? length : LINE_MAX_BYTES - 1), text);
	return text + length + (text[length] == '\n');
}

/*
 * ufw: lines as of iptables-restore
 */

/* Of one option with its value: false where the rule is not for new TCP connections from outside
 * the host. */
static bool may_be_for(const char *option, const char *value)
{
	if (is_word(option, "-p"))
		return is_word(value, "tcp") || is_word(value, "all") || is_word(value, "6");
	if (is_word(option, "-i"))
		return !is_word(value, "lo");
	if (ends_with(option, "state"))
		return strstr(value, "NEW") != NULL;
	return strncmp(option, "--sport", 7) != 0;
}

static bool rule_lets_in(char *line, unsigned int port)
{
	char *rest = NULL, *option = strtok_r(line, " ", &rest),
	     *value = strtok_r(NULL, " ", &rest);
	bool accepts = false, covered = true, negated = false;

	if (!option || !value || !is_word(option, "-A") || strncmp(value, "ufw", 3) != 0 ||
	    !ends_with(value, "-input"))
		return false;
	for (option = value; (value = strtok_r(NULL, " ", &rest)); option = value) {
		if (!may_be_for(option, value))
			return false;
		if (strncmp(option, "--dport", 7) == 0)
			covered = covers(value, port);
		if (is_word(option, "-j"))
			accepts = is_word(value, "ACCEPT") || ends_with(value, "limit-accept");
		negated |= is_word(value, "!");
	}
	return accepts && (covered || negated);
}

bool byoh_ufw_lets_in(const char *rules, unsigned int port)
{
	char line[LINE_MAX_BYTES];

	while ((rules = next_line(rules, line)))
		if (rule_lets_in(line, port))
			return true;
	return false;
}

/*
 * firewalld: `firewall-cmd --list-all-zones`
 */

/* Those that distributions put into zones, or everybody knows; of any other the ports are not known
 * here. */
static bool is_other_service(const char *name)
{
	static const char *const known[] = { "ssh",	     "dhcpv6-client", "cockpit", "mdns",
					     "samba-client", "http",	      "https",	 "dns",
					     "ntp",	     "dhcp" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (is_word(name, known[i]))
			return true;
	return false;
}

/* What stands between the quotes behind that; "" where it does not stand there. */
static const char *attribute(const char *rule, const char *name, char ret[64])
{
	const char *at = strstr(rule, name);

	at = at ? at + strlen(name) : "";
	snprintf(ret, 64, "%.*s", (int)strcspn(at, "\""), at);
	return ret;
}

static bool rich_rule_lets_in(const char *rule, unsigned int port)
{
	char text[64];

	if (!strstr(rule, " accept") || strstr(rule, " source-port "))
		return false;
	if (strstr(rule, " port port=\""))
		return covers(attribute(rule, " port port=\"", text), port) &&
		       is_word(attribute(rule, " protocol=\"", text), "tcp");
	if (strstr(rule, " service name=\""))
		return !is_other_service(attribute(rule, " service name=\"", text));
	return !strstr(rule, " protocol value=\"") ||
	       is_word(attribute(rule, " protocol value=\"", text), "tcp");
}

static bool port_lets_in(const char *word, unsigned int port)
{
	return ends_with(word, "/tcp") && covers(word, port);
}

static bool zone_lets_in(char *line, unsigned int port)
{
	char *rest = NULL, *key, *word;

	line += strspn(line, " \t");
	if (strncmp(line, "rule ", 5) == 0)
		return rich_rule_lets_in(line, port);
	key = strtok_r(line, " \t", &rest);
	while (key && (word = strtok_r(NULL, " \t", &rest)))
		if ((is_word(key, "target:") && is_word(word, "ACCEPT")) ||
		    (is_word(key, "protocols:") && is_word(word, "tcp")) ||
		    (is_word(key, "services:") && !is_other_service(word)) ||
		    (is_word(key, "ports:") && port_lets_in(word, port)))
			return true;
	return false;
}

bool byoh_firewalld_lets_in(const char *zones, const char *default_zone, unsigned int port)
{
	bool counts = false, any = false;
	char line[LINE_MAX_BYTES];

	while ((zones = next_line(zones, line))) {
		if (line[0] && !strchr(" \t", line[0])) {
			size_t length = strcspn(line, " ");

			counts = strstr(line + length, "active") ||
				 (strlen(default_zone) == length &&
				  strncmp(line, default_zone, length) == 0);
			any |= counts;
		} else if (counts && zone_lets_in(line, port)) {
			return true;
		}
	}
	return !any;
}

/*
 * iptables-legacy-save
 */

size_t byoh_count_rules(const char *saved)
{
	size_t count = strncmp(saved, "-A ", 3) == 0;

	while ((saved = strstr(saved, "\n-A "))) {
		saved++;
		count++;
	}
	return count;
}
