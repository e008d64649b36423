/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk is taken, over descriptions of machines; how it is divided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config.h"
#include "installer/disk/disk-choice.h"
#include "installer/disk/layout.h"
#include "tests/unit/root-fixture.h"

#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n"

#define SDA "{name: sda, kind: disk, transport: sata, size: 480103981056, blank: true, model: Samsung_SSD, serial: S1, " \
	    "wwn: \"0x5002538e00000001\", byId: [ata-Samsung_SSD_S1, wwn-0x5002538e00000001], byPath: [pci-0000:00:1f.2-ata-1]}"
#define SDB "{name: sdb, kind: disk, transport: sata, size: 480103981056, blank: true, model: Samsung_SSD, serial: S2, " \
	    "byId: [ata-Samsung_SSD_S2]}"
#define NVME "{name: nvme0n1, kind: disk, transport: nvme, size: 1000204886016, blank: true, model: \"WD BLACK\", serial: N1}"
#define STICK "{name: sdc, kind: disk, transport: usb, size: 32000000000, removable: true, serial: U1, tableType: gpt, " \
	      "tableId: T-U}, {name: sdc1, kind: partition, parent: sdc, size: 500000000, mounts: [/run/live/medium], " \
	      "fsType: iso9660}"
#define CONFIG_STICK "{name: sdd, kind: disk, transport: usb, size: 32000000000, serial: U2, tableType: dos}, " \
		     "{name: sdd1, kind: partition, parent: sdd, fsType: vfat, fsLabel: BYOHCFG}"
#define WITH_DATA "{name: sda, kind: disk, transport: sata, size: 480103981056, serial: S1, tableType: gpt, tableId: AA-BB}, " \
		  "{name: sda1, kind: partition, parent: sda, fsType: ext4, fsLabel: music}"
#define OURS "{name: sda, kind: disk, transport: sata, size: 480103981056, serial: S1, tableType: gpt, tableId: AA-BB}, " \
	     "{name: sda3, kind: partition, parent: sda, fsType: ext4, partLabel: byoh-root}"
#define UNFINISHED "{name: sda, kind: disk, transport: sata, size: 480103981056, serial: S1, tableType: gpt, tableId: AA-BB}, " \
		   "{name: sda3, kind: partition, parent: sda, fsType: ext4, partLabel: byoh-unfinished}"

static struct byoh_config *config_of(const char *iso)
{
	static const struct byoh_machine_identity nobody = { 0 };
	struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	char text[1024];

	snprintf(text, sizeof(text), HEAD "iso: {%s}\n", iso);
	if (byoh_config_parse(text, strlen(text), "byoh.yaml", NULL, &nobody, &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

static void describe(const char *text, struct byoh_devices *ret)
{
	CLEANUP_BUFFER struct byoh_buffer whole = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(byoh_buffer_printf(&whole, &err, "[%s]", text), 0);
	if (byoh_devices_parse(whole.data, whole.size, "devices", ret, &err) < 0)
		fail_msg("%s", err.message);
}

static const struct situation {
	const char *name, *devices, *iso;
	const char *disk;     /* that is chosen; NULL: none */
	const char *sentence; /* what is said of a refusal, in part */
} situations[] = {
	{ "one disk", SDA, "disk: {transport: sata}", "sda", NULL },
	{ "no disk", STICK, "disk: {transport: sata}", NULL, "no disk of this machine" },
	{ "nothing at all", "", "disk: {serial: S1}", NULL, "no disk of this machine" },
	{ "two equal disks", SDA ", " SDB, "disk: {model: Samsung_SSD}", NULL, "(/dev/sda, /dev/sdb)" },
	{ "two equal disks, by serial", SDA ", " SDB, "disk: {serial: S2}", "sdb", NULL },
	{ "two equal disks, by id", SDA ", " SDB, "disk: {byId: ata-Samsung_SSD_S1}", "sda", NULL },
	{ "two equal disks, by path", SDA ", " SDB, "disk: {byPath: /dev/disk/by-path/pci-0000:00:1f.2-ata-1}", "sda", NULL },
	{ "two equal disks, one in use",
	  SDA ", " SDB ", {name: sdb1, kind: partition, parent: sdb, mounts: [/srv]}", "disk: {model: Samsung_SSD}", NULL,
	  "several disks" },
	{ "same serial twice", SDA ", {name: sdx, kind: disk, size: 480103981056, serial: S1, blank: true}",
	  "disk: {serial: S1}", NULL, "several disks" },
	{ "by id of a partition", SDA, "disk: {byId: ata-Samsung_SSD_S1-part2}", NULL, "without \"-part2\"" },
	{ "by wwn", SDA ", " SDB, "disk: {wwn: 5002538E00000001}", "sda", NULL },
	{ "by model with a star", SDA ", " NVME, "disk: {model: \"WD*\"}", "nvme0n1", NULL },
	{ "by model, blanks as udev has them", SDA, "disk: {model: Samsung SSD}", "sda", NULL },
	{ "a part of a model is none", SDA, "disk: {model: Samsung}", NULL, "no disk of this machine" },
	{ "by size", SDA ", " NVME, "disk: {minSize: 500G}", "nvme0n1", NULL },
	{ "by size, from above", SDA ", " NVME, "disk: {maxSize: 500G}", "sda", NULL },
	{ "by transport", SDA ", " NVME, "disk: {transport: nvme}", "nvme0n1", NULL },
	{ "all that is given counts", SDA ", " NVME, "disk: {transport: nvme, serial: S1}", NULL, "no disk of this machine" },
	{ "only the boot stick", STICK, "disk: {serial: U1, removable: true}", NULL, "the boot medium" },
	{ "the boot stick is not counted", SDA ", " STICK, "disk: {minSize: 20G, removable: true}", "sda", NULL },
	{ "the stick, its content in memory",
	  "{name: sdc, kind: disk, transport: usb, size: 32000000000, removable: true, serial: U1, tableType: gpt, tableId: T-U}",
	  "disk: {serial: U1, removable: true}, wipe: U1", "sdc", NULL },
	{ "medium on LVM on md",
	  SDA ", {name: sda1, kind: partition, parent: sda}, {name: md0, slaves: [sda1]}, "
	      "{name: dm-0, slaves: [md0], mounts: [/run/live/medium]}", "disk: {serial: S1}", NULL, "the boot medium" },
	{ "the whole stick as medium", "{name: sdc, kind: disk, size: 32000000000, serial: U1, mounts: [/run/live/medium]}",
	  "disk: {serial: U1}, wipe: U1", NULL, "the boot medium" },
	{ "only the config's stick", CONFIG_STICK, "disk: {serial: U2}, wipe: U2", NULL, "BYOHCFG is on it (sdd1)" },
	{ "removable", "{name: sdc, kind: disk, size: 32000000000, removable: true, serial: U1, blank: true}",
	  "disk: {serial: U1}", NULL, "removable: true" },
	{ "removable, as stated", "{name: sdc, kind: disk, size: 32000000000, removable: true, serial: U1, blank: true}",
	  "disk: {serial: U1, removable: true}", "sdc", NULL },
	{ "too small", "{name: sda, kind: disk, size: 15999999999, serial: S1, blank: true}", "disk: {serial: S1}", NULL,
	  "smaller than 16 GB" },
	{ "small, as stated", "{name: sda, kind: disk, size: 8000000000, serial: S1, blank: true}",
	  "disk: {serial: S1, minSize: 8G}", "sda", NULL },
	{ "loop", "{name: loop0, size: 480103981056, serial: S1, blank: true}", "disk: {serial: S1}", NULL, "no disk of its own" },
	{ "zram, CD and eMMC's boot area", "{name: zram0, size: 48010398105}, {name: sr0, size: 48010398105, removable: true}, "
					    "{name: mmcblk0boot0, size: 48010398105}", "disk: {minSize: 1G}", NULL, "no disk of its own" },
	{ "eMMC", "{name: mmcblk0, kind: disk, transport: mmc, size: 32000000000, blank: true}", "disk: {transport: mmc}",
	  "mmcblk0", NULL },
	{ "mounted", SDA ", {name: sda1, kind: partition, parent: sda, mounts: [/srv]}", "disk: {serial: S1}, wipe: S1", NULL,
	  "sda1 is mounted on /srv" },
	{ "swap", SDA ", {name: sda1, kind: partition, parent: sda, swap: true}", "disk: {serial: S1}, wipe: S1", NULL,
	  "sda1 is used as swap" },
	{ "read-only", "{name: sda, kind: disk, size: 480103981056, serial: S1, blank: true, readOnly: true}",
	  "disk: {serial: S1}", NULL, "read-only" },
	{ "member of md", SDA ", {name: md0, slaves: [sda]}", "disk: {serial: S1}, wipe: S1", NULL, "md0 stands on it" },
	{ "member of md, not assembled", "{name: sda, kind: disk, size: 480103981056, serial: S1, fsType: linux_raid_member}",
	  "disk: {serial: S1}, wipe: S1", NULL, "linux_raid_member" },
	{ "physical volume in a partition", SDA ", {name: sda2, kind: partition, parent: sda, fsType: LVM2_member}",
	  "disk: {serial: S1}, wipe: S1", NULL, "LVM2_member" },
	{ "multipath", SDA ", " SDB ", {name: dm-0, slaves: [sda, sdb]}", "disk: {serial: S1}", NULL, "dm-0 stands on it" },
	{ "mapping on a partition", SDA ", {name: sda1, kind: partition, parent: sda}, {name: dm-1, slaves: [sda1]}",
	  "disk: {serial: S1}, wipe: S1", NULL, "dm-1 stands on it" },
	{ "in circles", SDA ", {name: dm-0, slaves: [dm-1]}, {name: dm-1, slaves: [dm-0]}", "disk: {serial: S1}", NULL,
	  "stands on it" },
	{ "data", WITH_DATA, "disk: {serial: S1}", NULL, "write iso.wipe: \"S1\"" },
	{ "data is told", WITH_DATA, "disk: {serial: S1}", NULL, "a gpt table with 1 partition: ext4 \"music\"" },
	{ "data that may go, by serial", WITH_DATA, "disk: {serial: S1}, wipe: S1", "sda", NULL },
	{ "data that may go, by table", WITH_DATA, "disk: {serial: S1}, wipe: aa-bb", "sda", NULL },
	{ "another disk's data may go", WITH_DATA ", " SDB, "disk: {serial: S1}, wipe: S2", NULL, "names another disk" },
	{ "bytes of no known format", "{name: sda, kind: disk, size: 480103981056, serial: S1}", "disk: {serial: S1}", NULL,
	  "bytes of no known format" },
	{ "data without a name", "{name: vda, kind: disk, transport: virtio, size: 480103981056}", "disk: {transport: virtio}", NULL,
	  "wipefs -a /dev/vda" },
	{ "a file system on the whole disk", "{name: vda, kind: disk, size: 480103981056, fsType: xfs, fsUuid: 12-34}",
	  "disk: {minSize: 1G}, wipe: 12-34", "vda", NULL },
	{ "ours", OURS, "disk: {serial: S1}", NULL, "is installed already: /dev/sda holds the installation AA-BB" },
	{ "ours is no matter of wipe", OURS, "disk: {serial: S1}, wipe: S1", NULL, "is installed already" },
	{ "ours, by its id", OURS, "disk: {serial: S1}, reinstall: aa-bb", "sda", NULL },
	{ "ours, by another id", OURS, "disk: {serial: S1}, reinstall: CC-DD", NULL, "is installed already" },
	{ "ours on another disk", OURS ", " SDB, "disk: {serial: S2}", NULL, "is installed already: /dev/sda" },
	{ "ours on another disk, named", OURS ", " SDB, "disk: {serial: S2}, reinstall: AA-BB", "sdb", NULL },
	{ "ours before any doubt about the disk", OURS, "disk: {serial: S9}", NULL, "is installed already" },
	{ "two of ours", OURS ", {name: sdb, kind: disk, size: 480103981056, serial: S2, tableType: gpt, tableId: CC-DD}, "
			 "{name: sdb3, kind: partition, parent: sdb, partLabel: byoh-root}",
	  "disk: {serial: S1}, reinstall: CC-DD", NULL, "/dev/sda holds the installation AA-BB, and iso.reinstall names another" },
	{ "unfinished", UNFINISHED, "disk: {serial: S1}", "sda", NULL },
	{ "no disk is named", SDA, "mode: inspect", NULL, "names no disk" },
};

static bool holds(const struct situation *situation)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of(situation->iso);
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_disk_choice choice;

	describe(situation->devices, &devices);
	byoh_disk_choose(&devices, &config->iso, &choice);
	if (situation->disk && choice.outcome == BYOH_DISK_CHOSEN && strcmp(choice.disk->name, situation->disk) == 0 &&
	    !choice.sentence[0])
		return true;
	if (!situation->disk && choice.outcome != BYOH_DISK_CHOSEN && strstr(choice.sentence, situation->sentence))
		return true;
	print_error("%s: %s \"%s\"\n", situation->name, choice.outcome == BYOH_DISK_CHOSEN ? choice.disk->name : "none",
		    choice.sentence);
	return false;
}

static void each_situation_ends_as_it_should(void **state)
{
	bool all = true;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++)
		all = holds(&situations[i]) && all;
	assert_true(all);
}

static void a_second_look_has_to_find_the_same_disk(void **state)
{
	static const struct {
		const char *devices, *why; /* later; NULL: nothing is different */
	} later[] = {
		{ SDA, NULL },
		{ SDA ", " STICK, NULL },
		{ SDA ", " SDB, "several disks" },
		{ "", "no disk of this machine" },
		{ SDA ", {name: sdb, kind: disk, size: 480103981056, tableType: gpt, tableId: CC-DD}, {name: sdb3, kind: partition, "
		  "parent: sdb, partLabel: byoh-root}", "installed already: /dev/sdb" },
		{ SDA ", {name: sda1, kind: partition, parent: sda, mounts: [/srv]}", "in use" },
		{ "{name: sda, kind: disk, size: 480103981056, blank: true, model: Samsung_SSD, serial: S2, wwn: "
		  "\"0x5002538e00000001\"}", "and is now /dev/sda (480103981056 bytes, serial S2" },
		{ "{name: sda, kind: disk, size: 480103981056, blank: true, model: Samsung_SSD, wwn: \"0x5002538e00000001\"}",
		  "serial S1, wwn 0x5002538e00000001, table id -) and is now" },
		{ "{name: sda, kind: disk, size: 480103981056, blank: true, model: Samsung_SSD, serial: S1, wwn: \"0x7\"}", "wwn 0x7" },
		{ "{name: sdc, kind: disk, size: 480103981056, blank: true, model: Samsung_SSD, serial: S1, wwn: "
		  "\"0x5002538e00000001\"}", "is now /dev/sdc" },
		{ "{name: sda, kind: disk, size: 480103981057, blank: true, model: Samsung_SSD, serial: S1, wwn: "
		  "\"0x5002538e00000001\"}", "is now /dev/sda (480103981057 bytes" },
		{ "{name: sda, kind: disk, size: 480103981056, model: Samsung_SSD, serial: S1, wwn: \"0x5002538e00000001\", "
		  "tableType: gpt, tableId: EE-FF}", "table id EE-FF" },
	};
	CLEANUP_CONFIG struct byoh_config *config = config_of("disk: {model: Samsung_SSD}, wipe: \"0x5002538e00000001\"");
	CLEANUP_DEVICES struct byoh_devices first = { 0 };
	struct byoh_disk_choice before;

	(void)state;
	describe(SDA, &first);
	byoh_disk_choose(&first, &config->iso, &before);
	assert_int_equal(before.outcome, BYOH_DISK_CHOSEN);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		CLEANUP_DEVICES struct byoh_devices devices = { 0 };
		struct byoh_disk_choice after;
		char why[800];

		describe(later[i].devices, &devices);
		byoh_disk_choose(&devices, &config->iso, &after);
		assert_int_equal(byoh_disk_same_choice(&before, &after, why, sizeof(why)), !later[i].why);
		if (later[i].why ? !strstr(why, later[i].why) : *why)
			fail_msg("row %zu: \"%s\"", i, why);
	}
}

static void what_is_ours_is_told_apart(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of("disk: {serial: S1}");
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_disk_choice choice;

	(void)state;
	describe(OURS, &devices);
	byoh_disk_choose(&devices, &config->iso, &choice);
	assert_int_equal(choice.outcome, BYOH_DISK_INSTALLED);
	assert_string_equal(choice.id, "AA-BB");
	byoh_devices_release(&devices);
	describe(UNFINISHED, &devices);
	byoh_disk_choose(&devices, &config->iso, &choice);
	assert_true(choice.unfinished);
}

static void the_table_tells_all(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of("disk: {serial: S1}");
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	CLEANUP_BUFFER struct byoh_buffer table = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	describe(SDA ", " STICK, &devices);
	assert_int_equal(byoh_disk_table(&devices, &config->iso, &table, &err), 0);
	assert_non_null(strstr(table.data, "/dev/sda  480.1 GB  sata  model: Samsung_SSD  serial: S1"));
	assert_non_null(strstr(table.data, "byId: ata-Samsung_SSD_S1\n"));
	assert_non_null(strstr(table.data, "content: empty\n      is what iso.disk says\n"));
	assert_non_null(strstr(table.data, "not taken: the boot medium\n"));
	assert_null(strstr(table.data, "sdc1"));
}

static void a_description_survives_json(void **state)
{
	CLEANUP_DEVICES struct byoh_devices devices = { 0 }, again = { 0 };
	CLEANUP_BUFFER struct byoh_buffer first = { 0 }, second = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	describe(SDA ", " STICK ", " CONFIG_STICK, &devices);
	assert_int_equal(byoh_devices_json(&devices, &first, &err), 0);
	assert_int_equal(byoh_devices_parse(first.data, first.size, "json", &again, &err), 0);
	assert_int_equal(byoh_devices_json(&again, &second, &err), 0);
	assert_string_equal(first.data, second.data);
	assert_string_equal(again.items[0].by_path.items[0], "pci-0000:00:1f.2-ata-1");
}

static void refuse_description(const char *text, const char *expected)
{
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_true(byoh_devices_parse(text, strlen(text), "devices", &devices, &err) < 0);
	assert_non_null(strstr(err.message, expected));
	assert_int_equal(devices.count, 0);
}

static void a_wrong_description_is_refused(void **state)
{
	(void)state;
	refuse_description("{}", "is a list");
	refuse_description("[{}]", "name");
	refuse_description("[{name: a/b}]", "no name of a device");
	refuse_description("[{name: a}, {name: a}]", "twice");
	refuse_description("[{name: a, kind: disc}]", "\"disc\" is unknown");
	refuse_description("[{name: a, slaves: [[b]]}]", "texts only");
}

/*
 * Layout
 */

static char *script_of(const char *device, const char *iso, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of(iso);
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_buffer script = { 0 };

	describe(device, &devices);
	if (byoh_layout_script(&devices.items[0], &config->iso, &script, err) < 0) {
		byoh_buffer_release(&script);
		return NULL;
	}
	return script.data;
}

static void a_disk_is_divided(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_FREE char *script = script_of("{name: sda, size: 21474836480}", "mode: inspect", &err); /* 20 GiB */
	CLEANUP_FREE char *data = script_of("{name: sda, size: 21474836480}", "data: {mount: /srv/data, size: 5Gi}", &err);
	CLEANUP_FREE char *small = script_of("{name: sda, size: 2147483648}", "mode: inspect", &err);

	(void)state;
	assert_string_equal(script, "label: gpt\n"
				    "start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=\"byoh-bios\"\n"
				    "size=512MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"byoh-esp\"\n"
				    "size=15869MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=\"byoh-unfinished\"\n");
	assert_non_null(strstr(data, "size=10749MiB, type=4F68"));
	assert_non_null(strstr(data, "size=5120MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"byoh-data\"\n"));
	assert_non_null(strstr(small, "size=1533MiB, type=4F68")); /* nothing kept free */
	assert_null(script_of("{name: sda, size: 1500000000}", "mode: inspect", &err));
	assert_non_null(strstr(err.message, "at least 1024 for the system"));
	assert_null(script_of("{name: sda, size: 21474836480}", "data: {mount: /srv/data, size: 1P}", &err));
}

static void partitions_have_the_kernels_names(void **state)
{
	static const char *const names[][2] = {
		{ "/dev/sda", "/dev/sda3" },		{ "/dev/vdb", "/dev/vdb3" },	   { "/dev/nvme0n1", "/dev/nvme0n1p3" },
		{ "/dev/mmcblk0", "/dev/mmcblk0p3" }, { "/dev/loop7", "/dev/loop7p3" }, { "/dev/sdaa", "/dev/sdaa3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_BUFFER struct byoh_buffer name = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_int_equal(byoh_layout_partition(names[i][0], 3, &name, &err), 0);
		assert_string_equal(name.data, names[i][1]);
	}
}

static void fstab_goes_by_uuid(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = config_of("data: {mount: /srv/data, size: 5Gi}");
	CLEANUP_BUFFER struct byoh_buffer fstab = { 0 };
	struct byoh_layout_ids ids, others;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_layout_make_ids(&ids, &err), 0);
	assert_int_equal(byoh_layout_make_ids(&others, &err), 0);
	assert_string_not_equal(ids.root, others.root);
	assert_int_equal(strlen(ids.root), 36);
	assert_int_equal(strlen(ids.esp), 9);
	assert_int_equal(byoh_layout_fstab(&ids, &config->iso, &fstab, &err), 0);
	assert_non_null(strstr(fstab.data, ids.root));
	assert_non_null(strstr(fstab.data, " /srv/data ext4 "));
	/* A slow machine shows the partition late; as nobody waits for it, no shorter time than any device's is of use. */
	assert_non_null(strstr(fstab.data, " /boot/efi vfat umask=0077,nofail 0 "));
}

/*
 * Reading a system
 */

static void put_disk(const struct test_root *root, const char *way, const char *name, const char *number, const char *sectors)
{
	char path[256], target[256];

	snprintf(target, sizeof(target), "../devices/%s/block/%s", way, name);
	snprintf(path, sizeof(path), "/sys/devices/%s/block/%s/dev", way, name);
	test_root_put(root, path, number, 0644);
	snprintf(path, sizeof(path), "/sys/devices/%s/block/%s/size", way, name);
	test_root_put(root, path, sectors, 0644);
	snprintf(path, sizeof(path), "/sys/devices/%s/block/%s/removable", way, name);
	test_root_put(root, path, "0\n", 0644);
	snprintf(path, sizeof(path), "/sys/block/%s", name);
	test_root_put_link(root, path, target);
}

static void a_system_is_read(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	const struct byoh_device *sda, *part, *nvme, *dm;

	put_disk(root, "pci0/ata1/host0/target0", "sda", "8:0\n", "1000\n");
	test_root_put(root, "/sys/devices/pci0/ata1/host0/target0/block/sda/sda1/dev", "8:1\n", 0644);
	test_root_put(root, "/sys/devices/pci0/ata1/host0/target0/block/sda/sda1/partition", "1\n", 0644);
	test_root_put(root, "/sys/devices/pci0/ata1/host0/target0/block/sda/sda1/size", "500\n", 0644);
	test_root_put(root, "/run/udev/data/b8:0",
		      "S:disk/by-id/ata-X_1\nS:disk/by-path/pci-1\nE:ID_SERIAL_SHORT=X1\nE:ID_MODEL=X\nE:ID_WWN=0x5\n"
		      "E:ID_PART_TABLE_TYPE=gpt\nE:ID_PART_TABLE_UUID=AA\nE:ID_BUS=ata\n", 0644);
	test_root_put(root, "/run/udev/data/b8:1",
		      "S:disk/by-id/ata-X_1-part1\nE:ID_SERIAL_SHORT=X1\nE:ID_PART_TABLE_UUID=AA\nE:ID_FS_TYPE=ext4\n"
		      "E:ID_FS_LABEL_ENC=my\\x20disk\nE:ID_PART_ENTRY_NAME=byoh-root\n", 0644);
	put_disk(root, "pci1/nvme/nvme0", "nvme0n1", "259:0\n", "2000\n");
	test_root_put(root, "/sys/devices/pci1/nvme/nvme0/block/nvme0n1/device/serial", "N 1   \n", 0644);
	put_disk(root, "virtual", "dm-0", "253:0\n", "400\n");
	test_root_put(root, "/sys/devices/virtual/block/dm-0/slaves/sda1", "", 0644);
	put_disk(root, "pci2/host1", "sr0", "11:0\n", "0\n");
	test_root_put(root, "/proc/self/mountinfo",
		      "22 1 253:0 / /srv/my\\040data rw - ext4 /dev/mapper/x rw\n23 1 0:30 / /mnt rw - btrfs /dev/nvme0n1 rw\n", 0644);
	test_root_put(root, "/proc/swaps", "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n", 0644);

	if (byoh_devices_read(root->fd, &devices, &err) < 0)
		fail_msg("%s", err.message);
	sda = byoh_devices_find(&devices, "sda");
	part = byoh_devices_find(&devices, "sda1");
	nvme = byoh_devices_find(&devices, "nvme0n1");
	dm = byoh_devices_find(&devices, "dm-0");
	assert_non_null(sda);
	assert_non_null(part);
	assert_non_null(nvme);
	assert_non_null(dm);
	assert_null(byoh_devices_find(&devices, "sr0"));
	assert_int_equal(sda->kind, BYOH_DEVICE_DISK);
	assert_int_equal(sda->transport, BYOH_TRANSPORT_SATA);
	assert_int_equal(sda->size, 512000);
	assert_string_equal(sda->serial, "X1");
	assert_string_equal(sda->table_id, "AA");
	assert_string_equal(sda->by_id.items[0], "ata-X_1");
	assert_string_equal(sda->by_path.items[0], "pci-1");
	assert_false(sda->blank); /* no device to look at */
	assert_string_equal(part->parent, "sda");
	assert_string_equal(part->fs_label, "my disk");
	assert_string_equal(part->part_label, "byoh-root");
	assert_null(part->serial);
	assert_true(part->swap);
	assert_int_equal(nvme->transport, BYOH_TRANSPORT_NVME);
	assert_string_equal(nvme->serial, "N 1");
	assert_string_equal(nvme->mounts.items[0], "/mnt");
	assert_int_equal(dm->kind, BYOH_DEVICE_OTHER);
	assert_string_equal(dm->slaves.items[0], "sda1");
	assert_string_equal(dm->mounts.items[0], "/srv/my data");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_situation_ends_as_it_should),
		cmocka_unit_test(a_second_look_has_to_find_the_same_disk),
		cmocka_unit_test(what_is_ours_is_told_apart),
		cmocka_unit_test(the_table_tells_all),
		cmocka_unit_test(a_description_survives_json),
		cmocka_unit_test(a_wrong_description_is_refused),
		cmocka_unit_test(a_disk_is_divided),
		cmocka_unit_test(partitions_have_the_kernels_names),
		cmocka_unit_test(fstab_goes_by_uuid),
		cmocka_unit_test_setup_teardown(a_system_is_read, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
