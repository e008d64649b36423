/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot medium does when it has started: look, or install as its configuration says. Without a configuration that
 * asks for it nothing is written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/disk/disk-choice.h"
#include "installer/disk/lay-down.h"
#include "installer/disk/layout.h"
#include "installer/disk/live.h"
#include "installer/disk/network-files.h"
#include "installer/disk/quiet.h"
#include "installer/host-internal.h"
#include "installer/log.h"
#include "installer/report.h"
#include "installer/run.h"
#include "installer/verbs/verbs.h"

#define NEXT "/run/byoh/next" /* the word that the unit obeys */
#define MEDIUM_MARK BYOH_LIVE_MEDIUM "/.disk/byoh"

struct boot {
	struct byoh_session *session;
	struct byoh_live_config live;
	struct byoh_devices devices;
	struct byoh_disk_choice choice;
	bool looks_only; /* told so by the argument or the kernel's command line */
};

static void release_boot(struct boot *boot)
{
	byoh_live_config_release(&boot->live);
	byoh_devices_release(&boot->devices);
}

/*
 * Waiting
 */

static uint64_t now(void *context)
{
	struct timespec time;

	(void)context;
	clock_gettime(CLOCK_BOOTTIME, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static bool look_at_devices(void *context, uint64_t *ret)
{
	const struct byoh_session *session = context;

	return byoh_quiet_look(session->host->root_fd, ret);
}

static bool rest(void *context)
{
	const struct timespec pause = { .tv_nsec = 500000000 };
	const struct byoh_session *session = context;

	nanosleep(&pause, NULL);
	return !session->cancel || !atomic_load(session->cancel);
}

/* Before the configuration is looked for, which may be on a stick that is slow to appear. */
static int await_devices(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_quiet_world world = { now, look_at_devices, rest, session };

	if (!session->host->live || !byoh_host_exists(session->host->root_fd, "/sys/class/block"))
		return 0;
	byoh_report_line(session, "byoh: waiting until no disk and no stick appears for %d s, %d s at most", BYOH_QUIET_FOR_MS / 1000,
			 BYOH_QUIET_LONGEST_MS / 1000);
	switch (byoh_quiet_await(&world)) {
	case BYOH_QUIET_CANCELLED:
		return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	case BYOH_QUIET_NEVER:
		byoh_report_warning("disks or sticks still come and go; what is there now counts");
		break;
	case BYOH_QUIET:
		break;
	}
	return 0;
}

/*
 * Looking
 */

static int read_devices(const struct boot *boot, struct byoh_devices *ret, struct byoh_error *err)
{
	const struct byoh_session *session = boot->session;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *file = session->options.devices;

	if (!file)
		return byoh_devices_read(session->host->root_fd, ret, err);
	TRY(byoh_read_named_file(file, BYOH_DEVICES_SIZE_MAX, &text, err));
	return byoh_devices_parse(byoh_buffer_text(&text), text.size, file, ret, err);
}

static void tell_lines(const struct byoh_session *session, char *text)
{
	char *rest = text, *line;

	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			byoh_report_line(session, "%s", line);
}

/* Of SMBIOS, in the words that `machines:` and a supplier use. */
static void tell_machine(const struct boot *boot)
{
	const struct byoh_host *host = boot->session->host;
	CLEANUP_FREE char *vendor = byoh_host_word(host->root_fd, "/sys/class/dmi/id/sys_vendor");
	CLEANUP_FREE char *product = byoh_host_word(host->root_fd, "/sys/class/dmi/id/product_name");

	byoh_report_line(boot->session, "machine: %s %s, serial %s, uuid %s, %u cores, %llu MiB of memory, started by %s",
			 vendor && *vendor ? vendor : "-", product && *product ? product : "-",
			 host->identity.serial ? host->identity.serial : "-", host->identity.uuid ? host->identity.uuid : "-",
			 host->cores, (unsigned long long)(host->memory_bytes >> 20),
			 byoh_host_exists(host->root_fd, "/sys/firmware/efi") ? "UEFI" : "BIOS");
	for (size_t i = 0; i < host->identity.macs.count; i++)
		byoh_report_line(boot->session, "network port: %s", host->identity.macs.items[i]);
}

static const struct byoh_iso *iso_of(const struct boot *boot)
{
	static const struct byoh_iso none;

	return boot->live.config ? &boot->live.config->iso : &none;
}

static int tell_disks(struct boot *boot, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer table = { 0 };

	TRY(byoh_disk_table(&boot->devices, iso_of(boot), &table, err));
	byoh_report_line(boot->session, "disks:");
	tell_lines(boot->session, table.data);
	return 0;
}

static int tell_script(struct boot *boot, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer script = { 0 };

	TRY(byoh_layout_script(boot->choice.disk, iso_of(boot), &script, err));
	byoh_report_line(boot->session, "sfdisk /dev/%s:", boot->choice.disk->name);
	tell_lines(boot->session, script.data);
	return 0;
}

/* What `install` would do, as far as the configuration says anything of it. */
static int tell_choice(struct boot *boot, struct byoh_error *err)
{
	const struct byoh_iso *iso = iso_of(boot);

	byoh_disk_choose(&boot->devices, iso, &boot->choice);
	if (boot->choice.outcome == BYOH_DISK_INSTALLED)
		byoh_report_line(boot->session, "byoh: installed already: %s on /dev/%s", boot->choice.id, boot->choice.disk->name);
	else if (boot->choice.outcome == BYOH_DISK_REFUSED && iso->has_disk)
		byoh_report_line(boot->session, "byoh: refused: %s", boot->choice.sentence);
	else if (boot->choice.outcome == BYOH_DISK_CHOSEN)
		byoh_report_line(boot->session, "byoh: disk /dev/%s", boot->choice.disk->name);
	return boot->choice.outcome == BYOH_DISK_CHOSEN ? tell_script(boot, err) : 0;
}

/* A configuration that is wrong is no reason not to show what there is. */
static int look(struct boot *boot, struct byoh_error *err)
{
	const struct byoh_session *session = boot->session;
	int r = byoh_live_config_find(session, &boot->live, err);

	if (boot->live.config)
		byoh_report_line(session, "byoh: configuration from %s", boot->live.where);
	else if (r == 0)
		byoh_report_line(session, "byoh: no configuration");
	tell_machine(boot);
	if (r < 0)
		err = NULL; /* the first one counts */
	if (read_devices(boot, &boot->devices, err) < 0 || tell_disks(boot, err) < 0)
		return r < 0 ? r : -EIO;
	if (r == 0)
		r = byoh_network_check_ports(session->host->root_fd, iso_of(boot), err);
	return r < 0 ? r : tell_choice(boot, err);
}

static int tell_json(const struct boot *boot, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	if (!boot->session->options.json)
		return 0;
	TRY(byoh_devices_json(&boot->devices, &text, err));
	return byoh_report_result(&text, err);
}

static int inspect(struct boot *boot, struct byoh_error *err)
{
	const struct byoh_iso *iso = iso_of(boot);

	if (iso->mode == BYOH_ISO_INSTALL && boot->looks_only)
		byoh_report_line(boot->session, "the configuration says install; this start only looks");
	byoh_report_line(boot->session, "byoh: inspected, nothing was written");
	return tell_json(boot, err);
}

/*
 * Installing
 */

/* Certificates would be of the future. */
static void set_clock(const struct boot *boot)
{
	const struct byoh_host *host = boot->session->host;
	struct byoh_error ignored = BYOH_ERROR_INIT;
	struct timespec time_of_medium = { 0 };
	struct stat st;

	if (!host->live || iso_of(boot)->clock == BYOH_ISO_CLOCK_KEEP ||
	    byoh_host_stat(host->root_fd, MEDIUM_MARK, &st, NULL) < 0 || time(NULL) >= st.st_mtime)
		return;
	time_of_medium.tv_sec = st.st_mtime;
	if (clock_settime(CLOCK_REALTIME, &time_of_medium) < 0) {
		byoh_report_warning("the clock shows a time before this medium was made, and cannot be set: %s", strerror(errno));
		return;
	}
	byoh_report_line(boot->session, "the clock showed a time before this medium was made; it is set to that (iso.clock)");
	if (byoh_run_simple(&ignored, "hwclock", "--systohc", "--utc", NULL) < 0)
		byoh_report_warning("the clock of the hardware cannot be set: %s", ignored.message);
}

/* Who has signed the release and the configuration, and whether that is enough: the installer would refuse it all the same,
 * when the disk has been emptied. */
static int check_trust(struct boot *boot, struct byoh_error *err)
{
	TRY(byoh_session_open_bundle(boot->session, NULL, err));
	boot->session->options.config = boot->live.path;
	return byoh_session_load_config(boot->session, err);
}

static int say_next(const struct boot *boot, struct byoh_error *err)
{
	static const char *const words[] = { "reboot\n", "poweroff\n", "stay\n" };
	const char *word = words[iso_of(boot)->after];
	int root_fd = boot->session->host->root_fd;

	TRY(byoh_make_directories(root_fd, "/run/byoh", 0700, err));
	return byoh_write_file(root_fd, NEXT, word, strlen(word), 0644, err);
}

/* A disk may have dropped off meanwhile and another one have its name, or one have come that raises a doubt. */
static int look_again(void *context, struct byoh_error *err)
{
	const struct boot *boot = context;
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct byoh_disk_choice choice;
	char why[800];

	TRY(read_devices(boot, &devices, err));
	byoh_disk_choose(&devices, iso_of(boot), &choice);
	if (byoh_disk_same_choice(&boot->choice, &choice, why, sizeof(why)))
		return 0;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE,
			 "the disks are not the same any more as when one was chosen: %s; once all of them are there to stay, start "
			 "again", why);
}

static int install(struct boot *boot, struct byoh_error *err)
{
	const struct byoh_lay_down work = { .session = boot->session, .disk = boot->choice.disk, .live = &boot->live,
					    .look_again = look_again, .context = boot };
	char id[40];

	if (boot->choice.outcome == BYOH_DISK_INSTALLED) {
		byoh_report_line(boot->session, "%s", boot->choice.sentence);
		return 0;
	}
	if (boot->choice.outcome == BYOH_DISK_REFUSED)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENODEV, "%s", boot->choice.sentence);
	if (boot->session->options.devices && boot->session->host->live)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--devices describes another machine's disks: nothing is installed "
				 "by it but below --root");
	TRY(check_trust(boot, err));
	set_clock(boot);
	TRY(byoh_lay_down(&work, id, err));
	byoh_report_line(boot->session, "byoh: installed %s on /dev/%s", id, boot->choice.disk->name);
	return say_next(boot, err);
}

/* byoh.mode=inspect on the kernel's command line. */
static bool kernel_says_inspect(const struct byoh_host *host)
{
	CLEANUP_BUFFER struct byoh_buffer line = { 0 };
	char *rest, *word;

	if (byoh_host_read(host->root_fd, "/proc/cmdline", (size_t)64 << 10, &line, NULL) < 0)
		return false;
	rest = line.data;
	while (rest && (word = strsep(&rest, " \t\n")))
		if (strcmp(word, "byoh.mode=inspect") == 0)
			return true;
	return false;
}

static int decide_mode(struct boot *boot, struct byoh_error *err)
{
	const struct byoh_options *options = &boot->session->options;
	const char *word = options->argument_count ? options->arguments[0] : NULL;

	if (word && strcmp(word, "inspect") != 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "boot takes \"inspect\" or nothing; what is installed, and where, the "
				 "configuration says");
	boot->looks_only = word || kernel_says_inspect(boot->session->host);
	return 0;
}

static int check_place(const struct byoh_session *session, struct byoh_error *err)
{
	if (byoh_live_is_here(session->host))
		return 0;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
			 "this system was not started from a boot medium of ours (" MEDIUM_MARK " is not there); on a host that runs "
			 "already use install");
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(release_boot) struct boot boot = { .session = session };
	bool installs;

	TRY(byoh_session_enter_host(session, err));
	TRY(decide_mode(&boot, err));
	TRY(check_place(session, err));
	byoh_log_begin(session->host->root_fd, session->verb);
	byoh_lay_down_clear(session->host);
	TRY(await_devices(session, err));
	TRY(look(&boot, err));
	installs = !boot.looks_only && iso_of(&boot)->mode == BYOH_ISO_INSTALL;
	byoh_report_line(session, "byoh: mode %s", installs ? "install" : "inspect");
	return installs ? install(&boot, err) : inspect(&boot, err);
}

int byoh_boot_plan(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(release_boot) struct boot boot = { .session = session, .looks_only = true };

	TRY(look(&boot, err));
	return tell_json(&boot, err);
}

const struct byoh_verb byoh_verb_boot = {
	"boot", "[inspect] [--devices FILE] [--json]",
	"In the system of the boot medium: show machine and disks, and install onto a disk as the configuration says.",
	" devices ", 1, run,
};
