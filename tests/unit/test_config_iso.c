/* SPDX-License-Identifier: Apache-2.0 */
/* iso: of byoh.yaml. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config.h"

#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n"
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8g me@there"
#define HASH "$6$saltsalt$abcdefghijklmnop"

static struct byoh_config *parse_for(const char *text, const struct byoh_machine_identity *identity)
{
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_config_parse(text, strlen(text), "byoh.yaml", NULL, identity, &config, &err) < 0)
		fail_msg("refused: %s\n%s", err.message, text);
	return config;
}

static struct byoh_config *parse(const char *text)
{
	static const struct byoh_machine_identity nobody = { 0 };

	return parse_for(text, &nobody);
}

static bool is_refused(const char *text, const char *expected)
{
	static const struct byoh_machine_identity nobody = { 0 };
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_config_parse(text, strlen(text), "byoh.yaml", NULL, &nobody, &config, &err) >= 0) {
		print_error("accepted:\n%s\n", text);
		return false;
	}
	if (strstr(err.message, expected) && err.kind == BYOH_ERROR_CONFIG && !strstr(err.message, "saltsalt"))
		return true;
	print_error("\"%s\" is not in \"%s\" for\n%s\n", expected, err.message, text);
	return false;
}

static void without_it_nothing_is_installed(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(HEAD);

	(void)state;
	assert_int_equal(config->iso.mode, BYOH_ISO_INSPECT);
	assert_int_equal(config->iso.after, BYOH_ISO_REBOOT);
	assert_int_equal(config->iso.clock, BYOH_ISO_CLOCK_MEDIUM);
	assert_false(config->iso.has_disk);
	assert_null(config->iso.wipe);
}

static void every_key_is_read(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = parse(
		HEAD "iso:\n"
		     "  mode: install\n"
		     "  disk: {byId: /dev/disk/by-id/ata-A_B, byPath: pci-0000:00:1f.2-ata-1, serial: S 1, wwn: \"0x5000\",\n"
		     "         model: M X, minSize: 100G, maxSize: 1Ti, transport: sata, removable: true}\n"
		     "  wipe: S 1\n"
		     "  reinstall: AB-CD\n"
		     "  after: poweroff\n"
		     "  clock: keep\n"
		     "  hosts: {10.0.0.1: api.lan}\n"
		     "  timeServers: [10.0.0.2]\n"
		     "  keyboard: de\n"
		     "  console: [tty0, \"ttyS0,115200n8\"]\n"
		     "  data: {mount: /var/lib/containerd, size: 40Gi}\n"
		     "  users:\n"
		     "  - {name: ops, sshKeys: [\"" KEY "\"], passwordHash: \"" HASH "\", sudo: true}\n"
		     "  network:\n"
		     "    dns: [10.0.0.53, fd00::53]\n"
		     "    search: [site.lan]\n"
		     "    links:\n"
		     "    - {mac: 52-54-00-AA-BB-01, mtu: 9000}\n"
		     "    - name: bond0\n"
		     "      bond: {mode: 802.3ad, members: [eth0, \"52:54:00:AA:BB:02\"]}\n"
		     "    - name: site.7\n"
		     "      vlan: {id: 7, link: bond0}\n"
		     "      addresses: [10.0.0.21/24, \"fd00::21/64\"]\n"
		     "      gateway: 10.0.0.1,fd00::1\n"
		     "      routes: [{to: 10.1.0.0/16, via: 10.0.0.254, metric: 50}]\n");
	const struct byoh_iso *iso = &config->iso;

	(void)state;
	assert_int_equal(iso->mode, BYOH_ISO_INSTALL);
	assert_string_equal(iso->disk.by_id, "ata-A_B");
	assert_string_equal(iso->disk.by_path, "pci-0000:00:1f.2-ata-1");
	assert_string_equal(iso->disk.serial, "S 1");
	assert_int_equal(iso->disk.min_size, 100000000000);
	assert_int_equal(iso->disk.max_size, 1099511627776);
	assert_int_equal(iso->disk.transport, BYOH_TRANSPORT_SATA);
	assert_true(iso->disk.removable);
	assert_string_equal(iso->wipe, "S 1");
	assert_string_equal(iso->reinstall, "AB-CD");
	assert_int_equal(iso->after, BYOH_ISO_POWEROFF);
	assert_int_equal(iso->clock, BYOH_ISO_CLOCK_KEEP);
	assert_string_equal(config->host.hosts.items[0].value, "api.lan");
	assert_string_equal(config->host.ntp.items[0], "10.0.0.2");
	assert_string_equal(iso->keyboard, "de");
	assert_string_equal(iso->console.items[1], "ttyS0,115200n8");
	assert_string_equal(iso->data_mount, "/var/lib/containerd");
	assert_int_equal(iso->data_size, 42949672960);
	assert_int_equal(iso->user_count, 1);
	assert_string_equal(iso->users[0].keys.items[0], KEY);
	assert_true(iso->users[0].sudo);
	assert_int_equal(iso->link_count, 3);
	assert_string_equal(iso->links[0].mac, "52:54:00:aa:bb:01");
	assert_int_equal(iso->links[1].bond_mode, BYOH_BOND_802_3AD);
	assert_string_equal(iso->links[1].bond_members.items[1], "52:54:00:aa:bb:02");
	assert_int_equal(iso->links[2].vlan_id, 7);
	assert_int_equal(iso->links[2].routes[0].metric, 50);
	assert_string_equal(iso->dns.items[1], "fd00::53");
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "iso: {anything: 1}\n", "byoh.yaml:4:7: " },
		{ "iso: {mode: live}\n", "one of inspect, install" },
		{ "iso: {mode: install}\n", "\"mode: install\" needs \"disk\"" },
		{ "iso: {mode: install, disk: {}}\n", "\"disk\" names none" },
		{ "iso: {disk: {removable: true}}\n", "\"disk\" names none" },
		{ "iso: {disk: {device: /dev/sda}}\n", "byoh.yaml:4:14: " },
		{ "iso: {disk: {byId: /dev/sda}}\n", "\"byId\" must be a name of /dev/disk/by-id" },
		{ "iso: {disk: {byPath: /dev/disk/by-id/a}}\n", "\"byPath\" must be" },
		{ "iso: {disk: {minSize: 10GB}}\n", "\"minSize\" must be a size" },
		{ "iso: {disk: {minSize: 0}}\n", "\"minSize\" must be a size" },
		{ "iso: {disk: {minSize: 99999999P}}\n", "\"minSize\" must be a size" },
		{ "iso: {disk: {minSize: 2T, maxSize: 1T}}\n", "\"minSize\" is larger" },
		{ "iso: {disk: {transport: scsi2}}\n", "\"transport\" must be one of any, nvme" },
		{ "iso: {data: {size: 4G}}\n", "needs both" },
		{ "iso: {data: {size: 4G, mount: /etc}}\n", "\"mount\" must be a folder" },
		{ "iso: {data: {size: 4G, mount: /var/lib/../../etc}}\n", "\"mount\" must be a folder" },
		{ "iso: {data: {size: 4G, mount: /var/lib/byoh}}\n", "\"mount\" must be a folder" },
		{ "iso: {users: [{name: Ops, sshKeys: [\"" KEY "\"]}]}\n", "\"name\" must be a user's name" },
		{ "iso: {users: [{sshKeys: [\"" KEY "\"]}]}\n", "needs a \"name\"" },
		{ "iso: {users: [{name: ops}]}\n", "could not log in" },
		{ "iso: {users: [ops]}\n", "a user must be a mapping" },
		{ "iso: {users: [{name: ops, sshKeys: [AAAA]}]}\n", "\"sshKeys\" must be" },
		{ "iso: {users: [{name: ops, passwordHash: saltsalt}]}\n", "\"passwordHash\" must be a hash" },
		{ "iso: {users: [{name: ops, passwordHash: \"$6$saltsalt:x$abcdefg\"}]}\n", "\"passwordHash\" must be" },
		{ "iso: {users: [{name: root, passwordHash: \"" HASH "\", sudo: true}]}\n", "no effect for root" },
		{ "iso: {users: [{name: a, passwordHash: \"" HASH "\"}, {name: a, passwordHash: \"" HASH "\"}]}\n",
		  "the user a stands here twice" },
		{ "host: {hosts: {10.0.0.1: a}}\niso: {hosts: {10.0.0.1: b}}\n", "\"hosts\" is the same as host.hosts" },
		{ "host: {ntp: [a]}\niso: {timeServers: [b]}\n", "the same as host.ntp" },
		{ "iso: {keyboard: \"de;x\"}\n", "\"keyboard\" must be" },
		{ "iso: {console: [\"ttyS0 init=/bin/sh\"]}\n", "\"console\" must be" },
		{ "iso: {network: {links: [{}]}}\n", "either a \"name\" or a \"mac\"" },
		{ "iso: {network: {links: [{name: a, mac: \"52:54:00:12:34:56\"}]}}\n", "either a \"name\" or a \"mac\"" },
		{ "iso: {network: {links: [{name: lo}]}}\n", "\"name\" must be the name" },
		{ "iso: {network: {links: [{name: sixteen-letters1}]}}\n", "\"name\" must be the name" },
		{ "iso: {network: {links: [{name: a, addresses: [10.0.0.1]}]}}\n", "\"addresses\" must be" },
		{ "iso: {network: {links: [{name: a, addresses: [10.0.0.1/33]}]}}\n", "\"addresses\" must be" },
		{ "iso: {network: {links: [{name: a, addresses: [10.0.0.2/24], gateway: 10.0.1.1}]}}\n", "lies in no network" },
		{ "iso: {network: {links: [{name: a, gateway: 10.0.1.1}]}}\n", "lies in no network" },
		{ "iso: {network: {links: [{name: a, routes: [{to: 10.0.0.0/8}]}]}}\n", "needs both \"to\"" },
		{ "iso: {network: {links: [{name: a}, {name: a}]}}\n", "the link a stands here twice" },
		{ "iso: {network: {links: [{mac: \"52:54:00:12:34:56\"}, {mac: 52-54-00-12-34-56}]}}\n", "stands here twice" },
		{ "iso: {network: {links: [{name: b, bond: {members: [x]}}, {name: x, dhcp: true}]}}\n", "x is a member of a bond" },
		{ "iso: {network: {links: [{name: b, bond: {members: [x]}}, {name: c, bond: {members: [x]}}]}}\n", "two bonds" },
		{ "iso: {network: {links: [{name: b, bond: {members: [x]}}, {name: v, vlan: {id: 2, link: x}}]}}\n", "on the bond" },
		{ "iso: {network: {links: [{name: b, bond: {}}]}}\n", "\"bond\" needs" },
		{ "iso: {network: {links: [{name: v, vlan: {id: 4095, link: a}}]}}\n", "from 1 to 4094" },
		{ "iso: {network: {links: [{name: v, vlan: {id: 4}}]}}\n", "\"vlan\" needs both" },
		{ "iso: {network: {links: [{name: v, vlan: {id: 4, link: v}}]}}\n", "cannot lie on itself" },
		{ "iso: {network: {links: [{mac: \"52:54:00:12:34:56\", vlan: {id: 4, link: v}}]}}\n", "needs a \"name\"" },
		{ "iso: {network: {links: [{name: v, vlan: {id: 4, link: a}, bond: {members: [c]}}]}}\n", "not both" },
	};
	bool all = true;
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), HEAD "%s", cases[i].text);
		all = is_refused(text, cases[i].expected) && all;
	}
	assert_true(all);
}

static void a_machine_has_its_own(void **state)
{
	static const struct byoh_machine_identity identity = { .serial = "S2" };
	CLEANUP_CONFIG struct byoh_config *config = parse_for(
		HEAD "iso: {mode: install, disk: {transport: nvme}, wipe: A, users: [{name: a, passwordHash: \"" HASH "\"}]}\n"
		     "machines:\n"
		     "- match: {serial: S1}\n"
		     "  iso: {wipe: B}\n"
		     "- match: {serial: S2}\n"
		     "  iso: {disk: {serial: D2}, reinstall: X}\n",
		&identity);

	(void)state;
	assert_string_equal(config->iso.disk.serial, "D2");
	assert_int_equal(config->iso.disk.transport, BYOH_TRANSPORT_ANY); /* replaced as a whole */
	assert_string_equal(config->iso.wipe, "A");
	assert_string_equal(config->iso.reinstall, "X");
	assert_int_equal(config->iso.mode, BYOH_ISO_INSTALL);
	assert_int_equal(config->iso.user_count, 1);
	assert_true(is_refused(HEAD "machines:\n- match: {serial: S1}\n  iso: {disc: {}}\n", "byoh.yaml:6:9"));
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t value; /* 0: none */
	} cases[] = {
		{ "1", 1 }, { "16G", 16000000000 }, { "16Gi", 17179869184 }, { "2T", 2000000000000 }, { "1K", 1000 },
		{ "1Mi", 1048576 }, { "1P", 1000000000000000 }, { "", 0 }, { "G", 0 }, { "1g", 0 }, { "1GB", 0 }, { "1.5T", 0 },
		{ "-1", 0 }, { "0", 0 }, { "1i", 0 }, { "100000000000P", 0 }, { "9999999999999999999", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 0;

		assert_int_equal(byoh_iso_size(cases[i].text, &value), cases[i].value > 0);
		if (cases[i].value)
			assert_int_equal(value, cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_it_nothing_is_installed),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_machine_has_its_own),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
