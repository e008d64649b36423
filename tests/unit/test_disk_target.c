/* SPDX-License-Identifier: Apache-2.0 */
/* What a system that was unpacked onto a disk gets of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/disk/accounts.h"
#include "installer/disk/network-files.h"
#include "installer/disk/target.h"
#include "tests/unit/root-fixture.h"

#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n"
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8g me@there"
#define HASH "$6$saltsalt$abcdefghijklmnop"

static struct byoh_config *config_of(const char *text)
{
	static const struct byoh_machine_identity nobody = { 0 };
	CLEANUP_BUFFER struct byoh_buffer whole = { 0 };
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_buffer_printf(&whole, &err, HEAD "%s", text), 0);
	if (byoh_config_parse(whole.data, whole.size, "byoh.yaml", NULL, &nobody, &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

static int collect(void *context, const char *path, const char *text, struct byoh_error *err)
{
	return byoh_buffer_printf(context, err, "== %s\n%s", path, text);
}

static void assert_network(const char *network, const char *const *expected)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of(network);
	CLEANUP_BUFFER struct byoh_buffer all = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_network_files(&config->iso, collect, &all, &err), 0);
	for (; *expected; expected++)
		if (!strstr(all.data, *expected))
			fail_msg("\"%s\" is not in\n%s", *expected, all.data);
}

static void links_become_files(void **state)
{
	(void)state;
	assert_network("iso: {mode: inspect}\n",
		       (const char *const[]){ "== /etc/systemd/network/90-byoh-dhcp.network\n", "Kind=!*\n\n[Network]\nDHCP=yes\n",
					      "== /etc/systemd/networkd.conf.d/10-byoh.conf\n", "ManageForeignRoutes=no\n", NULL });
	assert_network("iso: {network: {dns: [10.0.0.53, 10.0.0.54], search: [a.lan, b.lan], links: [{mac: \"52:54:00:AA:BB:01\", "
		       "mtu: 9000, addresses: [10.0.0.21/24, \"fd00::21/64\"], gateway: \"10.0.0.1,fd00::1\", "
		       "routes: [{to: default, via: \"fd00::2\", metric: 9}]}]}}\n",
		       (const char *const[]){ "== /etc/systemd/network/10-byoh-00.network\n",
					      "[Match]\nPermanentMACAddress=52:54:00:aa:bb:01\n\n[Link]\nMTUBytes=9000\n\n"
					      "[Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=10.0.0.21/24\nAddress=fd00::21/64\n"
					      "Gateway=10.0.0.1\nGateway=fd00::1\nDNS=10.0.0.53\nDNS=10.0.0.54\nDomains=a.lan b.lan\n"
					      "\n[Route]\nDestination=::/0\nGateway=fd00::2\nMetric=9\n", NULL });
	assert_network("iso: {network: {links: [{name: bond0, bond: {mode: 802.3ad, members: [eth0, \"52:54:00:AA:BB:02\"]}}, "
		       "{name: site, vlan: {id: 7, link: bond0}, dhcp: true}]}}\n",
		       (const char *const[]){ "== /etc/systemd/network/10-byoh-00.netdev\n",
					      "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=802.3ad\n",
					      "== /etc/systemd/network/10-byoh-00-01.network\n",
					      "[Match]\nName=eth0\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nBond=bond0\n",
					      "[Match]\nPermanentMACAddress=52:54:00:aa:bb:02\n",
					      "[Match]\nName=bond0\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nDHCP=no\n"
					      "LinkLocalAddressing=no\nIPv6AcceptRA=no\nVLAN=site\n",
					      "[NetDev]\nName=site\nKind=vlan\n\n[VLAN]\nId=7\n",
					      "== /etc/systemd/network/10-byoh-01.network\n",
					      "[Match]\nName=site\n\n[Network]\nDHCP=yes\n", NULL });
	/* a port that nothing is said of, under two VLANs */
	assert_network("iso: {network: {links: [{name: a, vlan: {id: 2, link: eth1}}, {name: b, vlan: {id: 3, link: eth1}}]}}\n",
		       (const char *const[]){ "== /etc/systemd/network/10-byoh-00-01.network\n",
					      "LinkLocalAddressing=no\nIPv6AcceptRA=no\nVLAN=a\nVLAN=b\n", NULL });
}

static void a_port_has_one_name(void **state)
{
	static const struct {
		const char *links, *port; /* that is named in two ways */
	} rows[] = {
		{ "{name: eth0, dhcp: true}, {mac: \"52:54:00:00:00:01\"}", "eth0" },
		{ "{name: eth0}, {name: v, vlan: {id: 7, link: \"52:54:00:00:00:01\"}}", "eth0" },
		{ "{mac: \"52-54-00-00-00-02\"}, {name: v, vlan: {id: 7, link: eth1}}", "eth1" },
		{ "{name: b, bond: {members: [eth0, \"52:54:00:00:00:01\"]}}", "eth0" },
		{ "{name: v, vlan: {id: 7, link: eth0}}, {name: b, bond: {members: [eth1, \"52:54:00:00:00:01\"]}}", "eth0" },
		{ "{name: eth0}, {mac: \"52:54:00:00:00:02\"}, {name: v, vlan: {id: 7, link: eth0}}", NULL },
		{ "{mac: \"52:54:00:00:00:01\"}, {name: v, vlan: {id: 7, link: \"52:54:00:00:00:01\"}}", NULL },
		{ "{name: eth9}, {mac: \"52:54:00:00:00:01\"}", NULL },
	};
	const struct test_root *root = *state;

	test_root_put(root, "/sys/class/net/eth0/address", "52:54:00:00:00:01\n", 0644);
	test_root_put(root, "/sys/class/net/eth1/address", "52:54:00:00:00:02\n", 0644);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		char text[400], expected[64];

		snprintf(text, sizeof(text), "iso: {network: {links: [%s]}}\n", rows[i].links);
		CLEANUP_CONFIG struct byoh_config *config = config_of(text);

		assert_int_equal(byoh_network_check_ports(root->fd, &config->iso, &err), rows[i].port ? -EEXIST : 0);
		snprintf(expected, sizeof(expected), "the port %s stands here", rows[i].port ? rows[i].port : "");
		if (rows[i].port && !strstr(err.message, expected))
			fail_msg("row %zu: %s", i, err.message);
	}
}

static void servers_of_names(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of("iso: {network: {dns: [10.0.0.53], search: [a.lan, b.lan]}}\n");
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_network_resolv_conf(&config->iso, &text, &err), 0);
	assert_string_equal(text.data, "search a.lan b.lan\nnameserver 10.0.0.53\n");
}

static void fill(struct byoh_accounts *accounts)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_buffer_printf(&accounts->passwd, &err, "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh"),
			 0); /* the last line lacks its end */
	assert_int_equal(byoh_buffer_printf(&accounts->shadow, &err, "root:*:19000:0:99999:7:::\nme:*:19000:0:99999:7:::\n"), 0);
	assert_int_equal(byoh_buffer_printf(&accounts->group, &err, "root:x:0:\nme:x:1000:\nother:x:1001:\n"), 0);
	assert_int_equal(byoh_buffer_printf(&accounts->gshadow, &err, "root:*::\n"), 0);
}

static void accounts_are_added(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config =
		config_of("iso: {users: [{name: ops, passwordHash: \"" HASH "\"}, {name: dev, sshKeys: [\"" KEY "\"]}, "
			  "{name: root, passwordHash: \"" HASH "\"}, {name: me, sshKeys: [\"" KEY "\"]}]}\n");
	CLEANUP(byoh_accounts_release) struct byoh_accounts accounts = { 0 };
	const struct byoh_iso_user *users = config->iso.users;
	struct byoh_error err = BYOH_ERROR_INIT;
	char home[64];
	uint32_t id;

	(void)state;
	fill(&accounts);
	assert_int_equal(byoh_accounts_add(&accounts, &users[0], &id, home, &err), 0);
	assert_int_equal(id, 1002); /* 1000 is a user's, 1001 a group's */
	assert_string_equal(home, "/home/ops");
	assert_int_equal(byoh_accounts_add(&accounts, &users[1], &id, home, &err), 0);
	assert_int_equal(id, 1003);
	assert_int_equal(byoh_accounts_add(&accounts, &users[2], &id, home, &err), 0);
	assert_int_equal(id, 0);
	assert_string_equal(accounts.passwd.data,
			    "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n"
			    "ops:x:1002:1002::/home/ops:/bin/bash\ndev:x:1003:1003::/home/dev:/bin/bash\n");
	assert_string_equal(accounts.shadow.data,
			    "root:" HASH ":19000:0:99999:7:::\nme:*:19000:0:99999:7:::\nops:" HASH ":19000:0:99999:7:::\n"
			    "dev:*:19000:0:99999:7:::\n");
	assert_string_equal(accounts.group.data, "root:x:0:\nme:x:1000:\nother:x:1001:\nops:x:1002:\ndev:x:1003:\n");
	assert_true(byoh_accounts_add(&accounts, &users[3], &id, home, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
}

static char *text_of(const struct test_root *root, const char *path)
{
	struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_read_file(root->fd, path, 1 << 20, &text, &err) < 0)
		fail_msg("%s", err.message);
	return text.data ? text.data : strdup("");
}

static void assert_text(const struct test_root *root, const char *path, const char *expected)
{
	CLEANUP_FREE char *text = text_of(root, path);

	assert_string_equal(text, expected);
}

static void assert_mode(const struct test_root *root, const char *path, mode_t mode, uid_t owner)
{
	struct stat st;

	assert_int_equal(byoh_stat_beneath(root->fd, path, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, owner);
}

static void fill_system(const struct test_root *root)
{
	test_root_put(root, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", 0644);
	test_root_put(root, "/etc/shadow", "root:*:19000:0:99999:7:::\n", 0640);
	test_root_put(root, "/etc/group", "root:x:0:\n", 0644);
	test_root_put(root, "/etc/gshadow", "root:*::\n", 0640);
	test_root_put(root, "/etc/ssh/ssh_host_rsa_key", "secret\n", 0600);
	test_root_put(root, "/etc/ssh/sshd_config", "kept\n", 0644);
	test_root_put(root, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0444);
	test_root_put(root, "/var/lib/systemd/random-seed", "x", 0600);
	test_root_put_link(root, "/etc/resolv.conf", "/run/nowhere");
}

static void a_system_becomes_its_own(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_CONFIG struct byoh_config *config =
		config_of("iso:\n  users: [{name: ops, sshKeys: [\"" KEY "\"], passwordHash: \"" HASH "\", sudo: true}]\n"
			  "  keyboard: de\n  network: {dns: [10.0.0.53]}\n  data: {mount: /srv/data, size: 1G}\n");
	const struct byoh_machine_identity identity = { .serial = "S 1", .uuid = "U1" };
	const struct byoh_target target = { .root_fd = root->fd, .config = config, .identity = &identity,
					    .fstab = "UUID=x / ext4 defaults 0 1\n", .id = "ABCD0123-0000" };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (geteuid() != 0)
		skip();
	fill_system(root);
	if (byoh_target_settle(&target, &err) < 0)
		fail_msg("%s", err.message);
	assert_text(root, "/etc/fstab", "UUID=x / ext4 defaults 0 1\n");
	assert_text(root, "/etc/machine-id", "");
	assert_text(root, "/etc/hostname", "byoh-abcd0123\n");
	assert_text(root, "/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 byoh-abcd0123\n::1 localhost ip6-localhost ip6-loopback\n");
	assert_text(root, "/etc/resolv.conf", "nameserver 10.0.0.53\n");
	assert_text(root, "/home/ops/.ssh/authorized_keys", KEY "\n");
	assert_text(root, "/etc/sudoers.d/byoh-ops", "ops ALL=(ALL:ALL) NOPASSWD: ALL\n");
	assert_text(root, "/etc/vconsole.conf", "KEYMAP=de\n");
	assert_mode(root, "/etc/shadow", 0640, 0);
	assert_mode(root, "/home/ops/.ssh/authorized_keys", 0600, 1000);
	assert_mode(root, "/home/ops/.ssh", 0700, 1000);
	assert_mode(root, "/home/ops", 0700, 1000);
	assert_mode(root, "/home", 0755, 0);
	assert_mode(root, "/etc/sudoers.d/byoh-ops", 0440, 0);
	assert_false(byoh_exists_beneath(root->fd, "/etc/ssh/ssh_host_rsa_key"));
	assert_true(byoh_exists_beneath(root->fd, "/etc/ssh/sshd_config"));
	assert_false(byoh_exists_beneath(root->fd, "/var/lib/systemd/random-seed"));
	assert_true(byoh_exists_beneath(root->fd, "/srv/data"));
	assert_true(byoh_exists_beneath(root->fd, "/etc/systemd/network/90-byoh-dhcp.network"));
}

static void without_users_the_console_says_so(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_CONFIG struct byoh_config *config = config_of("host: {hostname: node7}\n");
	const struct byoh_machine_identity identity = { 0 };
	const struct byoh_target target = { .root_fd = root->fd, .config = config, .identity = &identity, .fstab = "", .id = "X" };
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_FREE char *issue = NULL;

	fill_system(root);
	if (byoh_target_settle(&target, &err) < 0)
		fail_msg("%s", err.message);
	issue = text_of(root, "/etc/issue");
	assert_non_null(strstr(issue, "Nobody can log in here"));
	assert_text(root, "/etc/hostname", "node7\n");
	assert_text(root, "/etc/shadow", "root:*:19000:0:99999:7:::\n");
}

static void the_machine_is_told_and_forgotten(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_CONFIG struct byoh_config *config = config_of("");
	char *macs[] = { (char *)"52:54:00:00:00:01", (char *)"52:54:00:00:00:02" };
	const struct byoh_machine_identity identity = { .serial = "S 1", .uuid = "U1", .macs = { 2, macs } };
	const struct byoh_target target = { .root_fd = root->fd, .config = config, .identity = &identity };
	CLEANUP_HOST struct byoh_host *host = NULL, *after = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_target_lend_identity(&target, &err), 0);
	assert_int_equal(byoh_host_gather(root->path, NULL, &host, &err), 0);
	assert_string_equal(host->identity.serial, "S 1");
	assert_string_equal(host->identity.uuid, "U1");
	assert_int_equal(host->identity.macs.count, 2);
	assert_string_equal(host->identity.macs.items[1], macs[1]);
	assert_int_equal(byoh_target_take_identity(&target, &err), 0);
	assert_int_equal(byoh_host_gather(root->path, NULL, &after, &err), 0);
	assert_null(after->identity.serial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_become_files),
		cmocka_unit_test_setup_teardown(a_port_has_one_name, test_root_set_up, test_root_tear_down),
		cmocka_unit_test(servers_of_names),
		cmocka_unit_test(accounts_are_added),
		cmocka_unit_test_setup_teardown(a_system_becomes_its_own, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(without_users_the_console_says_so, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(the_machine_is_told_and_forgotten, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
