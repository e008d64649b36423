/* SPDX-License-Identifier: Apache-2.0 */
/* A description of a machine's disks: whatever stands in it, no disk is chosen that is in use or that holds anything. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/disk/disk-choice.h"
#include "installer/disk/layout.h"
#include "tests/fuzz/fuzz.h"

static void try_match(const struct byoh_devices *devices, struct byoh_disk_match match)
{
	const struct byoh_iso iso = { .has_disk = true, .disk = match };
	CLEANUP_BUFFER struct byoh_buffer table = { 0 }, script = { 0 };
	struct byoh_disk_choice choice;
	struct byoh_error err = BYOH_ERROR_INIT;
	char why[320];

	require(byoh_disk_table(devices, &iso, &table, &err) == 0);
	byoh_disk_choose(devices, &iso, &choice);
	require((choice.outcome == BYOH_DISK_CHOSEN) == !choice.sentence[0]);
	if (choice.outcome != BYOH_DISK_CHOSEN)
		return;
	byoh_disk_unfit(devices, &match, choice.disk, why, sizeof(why));
	require(!why[0] && choice.disk->kind == BYOH_DEVICE_DISK && !choice.disk->mounts.count && !choice.disk->swap);
	require(choice.unfinished || (choice.disk->blank && !choice.disk->fs_type && !choice.disk->table_type));
	require(!byoh_disk_installation(devices, choice.disk));
	if (byoh_layout_script(choice.disk, &iso, &script, &err) < 0)
		require(err.kind == BYOH_ERROR_CONFIG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_devices_parse((const char *)data, size, "fuzz", &devices, &err) < 0) {
		require(err.kind == BYOH_ERROR_FORMAT && err.message[0]);
		return 0;
	}
	require(byoh_devices_json(&devices, &text, &err) == 0);
	try_match(&devices, (struct byoh_disk_match){ .min_size = 1 });
	try_match(&devices, (struct byoh_disk_match){ .serial = (char *)"S1" });
	try_match(&devices, (struct byoh_disk_match){ .by_id = (char *)"ata-S1", .removable = true });
	return 0;
}
