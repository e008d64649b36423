/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about the host, gathered once and then only read. With --root, facts come from files below that
 * root alone: nothing of the running host is looked at.
 */
#ifndef BYOH_INSTALLER_HOST_H
#define BYOH_INSTALLER_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config.h"

/* What containerd.existing: adopt left as it was, a path a line. */
#define BYOH_ADOPTED_PATH "/var/lib/byoh/adopted"

/* Below a root: what a machine is that the root is made for, while it is being made ("serial X", "uuid X", "mac X"). */
#define BYOH_MACHINE_FILE "/run/byoh-machine"

struct byoh_outside;

struct byoh_swap {
	char *device; /* as /proc/swaps names it */
	char *type;   /* "partition", "file" */
	bool zram;
	int priority;
};

struct byoh_host {
	/* The root that is worked on. */
	char *root;	/* "/" or the argument of --root, absolute */
	int root_fd;	/* O_PATH | O_DIRECTORY */
	bool live;	/* root is the running host */
	bool booting;	/* this run is a part of the boot: it may not wait for units that wait for it */
	struct byoh_outside *outside; /* the helper outside of the empty network namespace; NULL below --root */

	/* Known for any root. */
	char *os_id, *os_version_id, *os_pretty_name; /* os-release; "" where unknown */
	char *hostname;		/* of the running host, or /etc/hostname below a root; "" if none */
	char *machine_id;	/* "" if none or "uninitialized" */
	bool has_systemd;	/* installed below root */
	bool usr_local_unit_dir_ok;
	bool has_iptables;	/* an iptables that is not ours is in the root's PATH */
	bool has_resolved;	/* systemd-resolved: its resolv.conf exists (live) or its unit is enabled (root) */
	bool carries_release;	/* of ours */
	char *adopted;		/* paths that an earlier run took over as they were, a line each; "" if none */
	char *containerd_path;	/* a containerd or docker not ours: its binary or unit, NULL if none */
	char *containerd_program, *containerd_unit; /* of that containerd, NULL if none */
	char *containerd_version;	/* "1.6.20~ds1-1"; "" if it cannot be told */
	bool containerd_version_is_floor; /* it is that or newer: more cannot be told without running it */
	char *docker_path;	/* its program or unit, NULL if none */
	bool docker_active;	/* live host only */
	bool selinux_enabled, selinux_enforcing;

	/* Known for a live host only; zero or empty below --root. */
	char *kernel_release;
	uint64_t memory_bytes;
	unsigned int cores;
	bool systemd_running;	/* PID 1 is systemd */
	unsigned int systemd_version; /* 252; 0 if unknown */
	char *own_unit;		/* the service that this process is of; NULL if none */
	bool cgroup_v2;
	char *cgroup_controllers; /* text of /sys/fs/cgroup/cgroup.controllers */
	size_t swap_count;
	struct byoh_swap *swaps;
	struct byoh_machine_identity identity;
};

/* root "/" or NULL gathers a live host. outside is borrowed and may be NULL. */
BYOH_MUST_CHECK int byoh_host_gather(const char *root, struct byoh_outside *outside,
				     struct byoh_host **ret, struct byoh_error *err);
void byoh_host_free(struct byoh_host *host);
void byoh_host_freep(struct byoh_host **host);
#define CLEANUP_HOST __attribute__((cleanup(byoh_host_freep)))

/* Whether this run is a process of that unit: to stop it would be to stop itself, and to wait for it to wait for
 * ever. */
bool byoh_host_is_part_of(const struct byoh_host *host, const char *unit);

/* A program in the root's usual PATH folders; false below a root where it is missing. */
bool byoh_host_has_program(const struct byoh_host *host, const char *name);

/* Is a path below /usr/local one that a release of ours brought, rather than what was there before? */
bool byoh_host_is_ours(const struct byoh_host *host, const char *path);
/* The first program of that name in the usual folders that is not ours; *ret is NULL if there is none. */
BYOH_MUST_CHECK int byoh_host_foreign_program(const struct byoh_host *host, const char *name, char **ret,
					      struct byoh_error *err);

/*
 * Reading below the root as a process inside of it would: links are followed and end inside. For facts
 * only; what is changed goes through bundle/base/path.h, which follows none.
 */

/* The path without links, for byoh_open_beneath and its relations. -ENOENT, -ELOOP, ... */
BYOH_MUST_CHECK int byoh_host_resolve(int root_fd, const char *path, struct byoh_buffer *ret,
				      struct byoh_error *err);
BYOH_MUST_CHECK int byoh_host_open(int root_fd, const char *path, int flags, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_host_read(int root_fd, const char *path, size_t max, struct byoh_buffer *ret,
				   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_host_stat(int root_fd, const char *path, struct stat *ret, struct byoh_error *err);
/* Does it exist at the end of its links? */
bool byoh_host_exists(int root_fd, const char *path);

#endif
