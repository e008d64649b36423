/* SPDX-License-Identifier: Apache-2.0 */
/* iso.network as files of systemd-networkd (systemd.network(5), systemd.netdev(5)). All but the check is pure. */
#ifndef BYOH_INSTALLER_DISK_NETWORK_FILES_H
#define BYOH_INSTALLER_DISK_NETWORK_FILES_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config-iso.h"

#define BYOH_NETWORK_FOLDER "/etc/systemd/network"

/* A port that is named once by its name and once by its address would get two files, and networkd takes the first: with the
 * ports below /sys of the root that is BYOH_ERROR_CONFIG. Names that it does not know are nobody's. */
BYOH_MUST_CHECK int byoh_network_check_ports(int root_fd, const struct byoh_iso *iso, struct byoh_error *err);

/* Calls put with the path and text of each file. What put returns other than 0 ends it, and is returned. */
BYOH_MUST_CHECK int byoh_network_files(const struct byoh_iso *iso,
				       int (*put)(void *context, const char *path, const char *text, struct byoh_error *err),
				       void *context, struct byoh_error *err);
/* /etc/resolv.conf; "" where no server is given. */
BYOH_MUST_CHECK int byoh_network_resolv_conf(const struct byoh_iso *iso, struct byoh_buffer *ret, struct byoh_error *err);

#endif
