/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `iso:` of byoh.yaml: what a bare machine needs that is started from the boot medium. An installation on a host that
 * runs already checks its form and passes over it, but for hosts and time servers, which are the host's.
 */
#ifndef BYOH_INSTALLER_CONFIG_ISO_H
#define BYOH_INSTALLER_CONFIG_ISO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "installer/config-types.h"

#define BYOH_ISO_LINKS_MAX 64
#define BYOH_ISO_USERS_MAX 64
#define BYOH_ISO_ROUTES_MAX 64

enum byoh_iso_mode { BYOH_ISO_INSPECT, BYOH_ISO_INSTALL };
enum byoh_iso_after { BYOH_ISO_REBOOT, BYOH_ISO_POWEROFF, BYOH_ISO_STAY };
enum byoh_iso_clock { BYOH_ISO_CLOCK_MEDIUM, BYOH_ISO_CLOCK_KEEP };
enum byoh_transport {
	BYOH_TRANSPORT_ANY, BYOH_TRANSPORT_NVME, BYOH_TRANSPORT_SATA, BYOH_TRANSPORT_SCSI, BYOH_TRANSPORT_VIRTIO,
	BYOH_TRANSPORT_USB, BYOH_TRANSPORT_MMC, BYOH_TRANSPORTS,
};
enum byoh_bond_mode {
	BYOH_BOND_ACTIVE_BACKUP, BYOH_BOND_802_3AD, BYOH_BOND_BALANCE_RR, BYOH_BOND_BALANCE_XOR, BYOH_BOND_BROADCAST,
	BYOH_BOND_BALANCE_TLB, BYOH_BOND_BALANCE_ALB,
};

/* All that is given must be the disk's; which one that is, the disk itself says, never the order of names. */
struct byoh_disk_match {
	char *by_id, *by_path; /* without their folder below /dev/disk */
	char *serial, *wwn, *model;
	enum byoh_transport transport;
	uint64_t min_size, max_size; /* bytes; 0: no bound is stated */
	bool removable;		     /* a removable one will do */
};

struct byoh_iso_route {
	char *to; /* a network, or "default" */
	char *via;
	uint64_t metric; /* 0: the kernel's own */
};

/* A network device: a port by name or MAC, a bond or a VLAN by name. */
struct byoh_iso_link {
	char *name, *mac; /* exactly one; mac in lower case with colons */
	bool dhcp;
	struct byoh_strings addresses; /* "10.0.0.21/24" */
	char *gateway;			   /* one, or "a,b" of both families; NULL: none */
	uint64_t mtu;			   /* 0: as it is */
	size_t route_count;
	struct byoh_iso_route *routes;
	uint64_t vlan_id; /* 0: no VLAN */
	char *vlan_link;  /* name or MAC of what carries it */
	enum byoh_bond_mode bond_mode;
	struct byoh_strings bond_members; /* names or MACs; empty: no bond */
};

struct byoh_iso_user {
	char *name;
	struct byoh_strings keys; /* lines of authorized_keys */
	char *password_hash;	      /* secret, as crypt(5) has it; NULL: no password */
	bool sudo;
};

struct byoh_iso {
	enum byoh_iso_mode mode;
	enum byoh_iso_after after;
	enum byoh_iso_clock clock;
	bool has_disk;
	struct byoh_disk_match disk;
	char *wipe;	 /* serial or table id of the disk whose content may go */
	char *reinstall; /* id of the installation that may be replaced */
	size_t link_count;
	struct byoh_iso_link *links;
	struct byoh_strings dns, search;
	size_t user_count;
	struct byoh_iso_user *users;
	char *keyboard;			 /* XKB layout; NULL: as it is */
	struct byoh_strings console; /* of the kernel's console=; the last one is /dev/console */
	char *data_mount;		 /* NULL: no partition for data */
	uint64_t data_size;
};

void byoh_config_release_iso(struct byoh_iso *iso);

/* "100G" (powers of 1000), "100Gi" (of 1024), or bytes; false for another form or none at all. Pure. */
bool byoh_iso_size(const char *text, uint64_t *ret);
const char *byoh_transport_name(enum byoh_transport transport); /* "nvme" */

#endif
