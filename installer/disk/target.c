/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/target.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/disk/accounts.h"
#include "installer/disk/network-files.h"

#define ACCOUNT_FILE_MAX ((size_t)4 << 20)

/* Makes the folders above. */
static int put_mode(int root_fd, const char *path, const char *text, mode_t mode, struct byoh_error *err)
{
	char folder[BYOH_PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (folder[0])
		TRY(byoh_make_directories(root_fd, folder, 0755, err));
	return byoh_write_file(root_fd, path, text, strlen(text), mode, err);
}

static int put(const struct byoh_target *target, const char *path, const char *text, struct byoh_error *err)
{
	return put_mode(target->root_fd, path, text, 0644, err);
}

static int put_network(void *context, const char *path, const char *text, struct byoh_error *err)
{
	return put(context, path, text, err);
}

/*
 * Identities
 */

static int remove_host_key(void *context, const char *name, struct byoh_error *err)
{
	const struct byoh_target *target = context;
	char path[BYOH_PATH_MAX];

	if (strncmp(name, "ssh_host_", strlen("ssh_host_")) != 0)
		return 0;
	snprintf(path, sizeof(path), "/etc/ssh/%.255s", name);
	return byoh_remove_file(target->root_fd, path, err);
}

/* Two machines of one image are two machines. */
static int renew_identities(const struct byoh_target *target, struct byoh_error *err)
{
	static const char *const gone[] = { "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed",
					    "/var/lib/systemd/credential.secret" };

	TRY(put(target, "/etc/machine-id", "", err)); /* an empty one is made at the first boot */
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		TRY(byoh_remove_file(target->root_fd, gone[i], err));
	return byoh_each_name(target->root_fd, "/etc/ssh", remove_host_key, (void *)target, err);
}

/* host.hostname is set by the installer like on any host; without it a name that no other machine has. */
static int name_host(const struct byoh_target *target, struct byoh_error *err)
{
	char name[80], text[256];

	if (target->config->host.hostname)
		snprintf(name, sizeof(name), "%.63s\n", target->config->host.hostname);
	else
		snprintf(name, sizeof(name), "byoh-%.8s\n", target->id);
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	TRY(put(target, "/etc/hostname", name, err));
	/* A machine without a name server knows its own name all the same: sudo asks for it. */
	snprintf(text, sizeof(text), "127.0.0.1 localhost\n127.0.1.1 %s::1 localhost ip6-localhost ip6-loopback\n", name);
	return put(target, "/etc/hosts", text, err);
}

/*
 * Accounts
 */

static int read_accounts(const struct byoh_target *target, struct byoh_accounts *ret, struct byoh_error *err)
{
	struct {
		const char *path;
		struct byoh_buffer *buffer;
	} files[] = {
		{ "/etc/passwd", &ret->passwd }, { "/etc/shadow", &ret->shadow },
		{ "/etc/group", &ret->group },	 { "/etc/gshadow", &ret->gshadow },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		/* At once, so that no copy of a secret is left behind by growing. */
		TRY(byoh_buffer_reserve(files[i].buffer, (size_t)1 << 16, err));
		TRY(byoh_read_file(target->root_fd, files[i].path, ACCOUNT_FILE_MAX, files[i].buffer, err));
	}
	return 0;
}

static int write_account_file(const struct byoh_target *target, const char *path, const struct byoh_buffer *text,
			      struct byoh_error *err)
{
	struct stat st;
	mode_t mode;

	TRY(byoh_stat_beneath(target->root_fd, path, &st, err));
	mode = st.st_mode & 07777;
	TRY(byoh_write_file(target->root_fd, path, byoh_buffer_text(text), text->size, mode, err));
	/* Group shadow reads them. */
	if (fchownat(target->root_fd, path + 1, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "%s: cannot set its owner", path);
	return 0;
}

static int write_accounts(const struct byoh_target *target, const struct byoh_accounts *accounts, struct byoh_error *err)
{
	TRY(write_account_file(target, "/etc/passwd", &accounts->passwd, err));
	TRY(write_account_file(target, "/etc/shadow", &accounts->shadow, err));
	TRY(write_account_file(target, "/etc/group", &accounts->group, err));
	return write_account_file(target, "/etc/gshadow", &accounts->gshadow, err);
}

static int give_to(const struct byoh_target *target, const char *path, uint32_t id, struct byoh_error *err)
{
	if (fchownat(target->root_fd, path + 1, id, id, AT_SYMLINK_NOFOLLOW) < 0)
		return byoh_fail_errno(err, "%s: cannot set its owner", path);
	return 0;
}

static int make_home(const struct byoh_target *target, const struct byoh_iso_user *user, const char *home, uint32_t id,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer keys = { 0 };
	char folder[128], file[160];

	snprintf(folder, sizeof(folder), "%s/.ssh", home);
	snprintf(file, sizeof(file), "%s/authorized_keys", folder);
	TRY(byoh_make_directories(target->root_fd, home, 0700, err));
	TRY(byoh_make_directories(target->root_fd, folder, 0700, err));
	for (size_t i = 0; i < user->keys.count; i++)
		TRY(byoh_buffer_printf(&keys, err, "%s\n", user->keys.items[i]));
	if (user->keys.count)
		TRY(put_mode(target->root_fd, file, keys.data, 0600, err));
	TRY(give_to(target, home, id, err));
	TRY(give_to(target, folder, id, err));
	return user->keys.count ? give_to(target, file, id, err) : 0;
}

static int add_user(const struct byoh_target *target, const struct byoh_iso_user *user, struct byoh_accounts *accounts,
		    struct byoh_error *err)
{
	char home[64], path[96], text[128];
	uint32_t id;

	TRY(byoh_accounts_add(accounts, user, &id, home, err));
	TRY(make_home(target, user, home, id, err));
	if (!user->sudo)
		return 0;
	snprintf(path, sizeof(path), "/etc/sudoers.d/byoh-%s", user->name);
	snprintf(text, sizeof(text), "%s ALL=(ALL:ALL) NOPASSWD: ALL\n", user->name);
	return put_mode(target->root_fd, path, text, 0440, err);
}

static int add_users(const struct byoh_target *target, struct byoh_error *err)
{
	const struct byoh_iso *iso = &target->config->iso;
	CLEANUP(byoh_accounts_release) struct byoh_accounts accounts = { 0 };
	const char *issue = iso->user_count ? "\\n (\\l)\n\n" :
					      "\\n (\\l)\n\nNobody can log in here: the configuration that this machine was "
					      "installed with has no iso.users.\n\n";

	TRY(put(target, "/etc/issue", issue, err));
	if (!iso->user_count)
		return 0;
	TRY(read_accounts(target, &accounts, err));
	TRY(byoh_make_directories(target->root_fd, "/home", 0755, err));
	for (size_t i = 0; i < iso->user_count; i++)
		TRY(add_user(target, &iso->users[i], &accounts, err));
	return write_accounts(target, &accounts, err);
}

/*
 * The rest
 */

static int write_network(const struct byoh_target *target, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer resolv = { 0 };

	TRY(byoh_network_files(&target->config->iso, put_network, (void *)target, err));
	TRY(byoh_network_resolv_conf(&target->config->iso, &resolv, err));
	if (!resolv.size)
		return 0;
	TRY(byoh_remove_file(target->root_fd, "/etc/resolv.conf", err)); /* it may be a link */
	return put(target, "/etc/resolv.conf", resolv.data, err);
}

static int write_keyboard(const struct byoh_target *target, struct byoh_error *err)
{
	const char *layout = target->config->iso.keyboard;
	char text[256];

	if (!layout)
		return 0;
	snprintf(text, sizeof(text), "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"%s\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n",
		 layout);
	TRY(put(target, "/etc/default/keyboard", text, err));
	snprintf(text, sizeof(text), "KEYMAP=%s\n", layout);
	return put(target, "/etc/vconsole.conf", text, err);
}

static int write_record(const struct byoh_target *target, struct byoh_error *err)
{
	char text[256];

	snprintf(text, sizeof(text), "id: %.60s\ninstaller: " BYOH_VERSION "\n", target->id);
	return put(target, "/etc/byoh-installation", text, err);
}

int byoh_target_settle(const struct byoh_target *target, struct byoh_error *err)
{
	TRY(put(target, "/etc/fstab", target->fstab, err));
	TRY(byoh_make_directories(target->root_fd, "/boot/efi", 0755, err));
	if (target->config->iso.data_mount)
		TRY(byoh_make_directories(target->root_fd, target->config->iso.data_mount, 0755, err));
	TRY(renew_identities(target, err));
	TRY(name_host(target, err));
	TRY(add_users(target, err));
	TRY(write_network(target, err));
	TRY(write_keyboard(target, err));
	return write_record(target, err);
}

int byoh_target_lend_identity(const struct byoh_target *target, struct byoh_error *err)
{
	const struct byoh_machine_identity *identity = target->identity;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (identity->serial)
		TRY(byoh_buffer_printf(&text, err, "serial %s\n", identity->serial));
	if (identity->uuid)
		TRY(byoh_buffer_printf(&text, err, "uuid %s\n", identity->uuid));
	for (size_t i = 0; i < identity->macs.count; i++)
		TRY(byoh_buffer_printf(&text, err, "mac %s\n", identity->macs.items[i]));
	return put_mode(target->root_fd, BYOH_MACHINE_FILE, byoh_buffer_text(&text), 0600, err);
}

int byoh_target_take_identity(const struct byoh_target *target, struct byoh_error *err)
{
	return byoh_remove_file(target->root_fd, BYOH_MACHINE_FILE, err);
}
