/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own kubeconfig: which one is good, and which one it gets nowhere by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/agent-config.h"
#include "installer/kubeconfig-view.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

#define SERVER "https://10.0.0.1:6443"

static void put(const struct test_root *root, const char *server, const char *ca, const char *client)
{
	CLEANUP_FREE char *ca_data = test_base64(ca), *client_data = test_base64(client), *text = NULL;

	assert_true(asprintf(&text,
			     "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: %s\n"
			     "    certificate-authority-data: %s\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n"
			     "current-context: x\nusers:\n- name: u\n  user:\n    client-certificate-data: %s\n"
			     "    client-key-data: a2V5\n", server, ca_data, client_data) > 0);
	test_root_put(root, BYOH_AGENT_CONFIG, text, 0600);
}

static struct byoh_agent_config look(const struct test_root *root, const char *server, const char *ca)
{
	const struct byoh_host host = { .root = (char *)root->path, .root_fd = root->fd };
	const struct byoh_config config = { .cluster = { .server = (char *)server,
							 .ca = { .data = (char *)ca, .size = ca ? strlen(ca) : 0 } } };
	struct byoh_agent_config agent;

	assert_int_equal(byoh_agent_config_look(&host, &config, &agent, NULL), 0);
	return agent;
}

static void is(const struct test_root *root, const char *server, const char *ca, const char *word, const char *says)
{
	CLEANUP_AGENT_CONFIG struct byoh_agent_config agent = look(root, server, ca);
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *is_word = byoh_agent_config_word(agent.state);

	if (word)
		assert_string_equal(is_word, word);
	else
		assert_null(is_word);
	assert_int_equal(byoh_agent_config_describe(&agent, &text, NULL), 0);
	assert_non_null(strstr(byoh_buffer_text(&text), says));
	assert_int_equal(byoh_agent_config_is_stale(&agent), text.size > 0);
}

static void its_state_follows_from_server_ca_and_time(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_FREE char *ca = test_certificate(true, "a"), *other = test_certificate(true, "b");
	CLEANUP_FREE char *client = test_certificate(false, NULL);
	CLEANUP_FREE char *old = test_certificate_between(false, NULL, -7200, -3600);

	is(root, SERVER, ca, NULL, "");
	put(root, SERVER, ca, client);
	is(root, SERVER, ca, "good", "");
	is(root, SERVER "/", ca, "good", "");
	is(root, NULL, NULL, "good", "");
	is(root, "https://10.0.0.2:6443", ca, "otherServer", "leads to another server, " SERVER);
	is(root, SERVER, other, "otherCA", "trusts another CA");
	put(root, SERVER, ca, old);
	is(root, SERVER, ca, "expired", "expired at 2");
	put(root, SERVER, ca, "rubbish");
	is(root, SERVER, ca, "unreadable", "is no kubeconfig");
	test_root_put(root, BYOH_AGENT_CONFIG, "{", 0600);
	is(root, SERVER, ca, "unreadable", "is no kubeconfig");
	test_root_put(root, BYOH_AGENT_CONFIG, "", 0600);
	is(root, SERVER, ca, "unreadable", "is no kubeconfig");
}

/* The kubelet's names a file below the root. */
static void a_certificate_in_a_file_is_read(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };

	test_root_put(root, "/k.conf",
		      "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
		      "clusters: [{name: c, cluster: {server: s, certificate-authority: ca.crt}}]\n"
		      "users: [{name: o, user: {token: wrong}}, {name: u, user: {client-certificate: /pki/current, client-key: /none}}]\n",
		      0600);
	test_root_put(root, "/pki/one", "text", 0600);
	test_root_put_link(root, "/pki/current", "/pki/one");
	assert_int_equal(byoh_kubeconfig_view_file(root->fd, "/k.conf", &view, NULL), 0);
	assert_string_equal(view.server, "s");
	assert_string_equal(byoh_buffer_text(&view.certificate), "text");
	assert_int_equal(view.ca.size, 0);
	assert_int_equal(view.key.size, 0);
	assert_null(view.token);
	assert_int_equal(byoh_kubeconfig_view_file(root->fd, "/nothing", &view, NULL), -ENOENT);
	assert_int_equal(byoh_kubeconfig_view(-1, "a: b\n", 5, &view, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_state_follows_from_server_ca_and_time, test_root_set_up,
						test_root_tear_down),
		cmocka_unit_test_setup_teardown(a_certificate_in_a_file_is_read, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
