/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: linux/landlock.h and Documentation/userspace-api/landlock.rst, seccomp(2). */
#include "bundle/base/confine.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/seccomp-filter.h"

/* The same numbers on every architecture; older headers lack some. */
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446
#define LANDLOCK_VERSION_FLAG 1
#define LANDLOCK_PATH_BENEATH 1

#define RIGHT(number) ((uint64_t)1 << (number))
#define EXECUTE RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define REMOVE_DIRECTORY RIGHT(4)
#define REMOVE_FILE RIGHT(5)
#define MAKE_DIRECTORY RIGHT(7)
#define MAKE_REGULAR RIGHT(8)
#define MAKE_LINK RIGHT(12)
#define MAKE_ANY (0x7f * RIGHT(6)) /* 6 to 12: devices, directories, files, sockets, fifos, links */
#define REFER RIGHT(13)		   /* since version 2; before that no file moves to another folder at all */
#define TRUNCATE RIGHT(14)	   /* since version 3 */

struct ruleset_attributes { /* struct landlock_ruleset_attr, its first version */
	uint64_t handled;
};

struct path_beneath { /* struct landlock_path_beneath_attr */
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

static int allow(int ruleset, uint64_t rights, int folder)
{
	const struct path_beneath rule = { rights, folder };

	return syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0) ? -errno : 0;
}

/* 0, -ENOSYS where the kernel has none that is of use, another failure. */
static int restrict_writing(const int *folders, size_t count)
{
	long version = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION_FLAG);
	struct ruleset_attributes attributes = { EXECUTE | WRITE_FILE | REMOVE_DIRECTORY | REMOVE_FILE | MAKE_ANY |
						 REFER };
	CLEANUP_FD int ruleset = -1;
	uint64_t allowed;
	int r = 0;

	if (version < 2)
		return -ENOSYS;
	if (version >= 3)
		attributes.handled |= TRUNCATE;
	allowed = attributes.handled & (WRITE_FILE | REMOVE_DIRECTORY | REMOVE_FILE | MAKE_DIRECTORY | MAKE_REGULAR |
					MAKE_LINK | REFER | TRUNCATE);
	ruleset = (int)syscall(LANDLOCK_CREATE_RULESET, &attributes, sizeof(attributes), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < count && r == 0; i++)
		r = allow(ruleset, allowed, folders[i]);
	if (r == 0 && syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
		r = -errno;
	return r;
}

#define REFUSE(number) BPF_IF_EQUAL(number), BPF_ANSWER(SECCOMP_RET_ERRNO | EPERM)
/* From first to last. Everything newer than what we know is refused with what libraries expect of an old kernel. */
#define UNKNOWN_FROM 452

static const struct sock_filter filter[] = {
	BPF_NATIVE_CALLS_ONLY,
	BPF_IF_FROM(UNKNOWN_FROM),
	BPF_ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
	/* programs */
	REFUSE(__NR_execve),
	REFUSE(__NR_execveat),
	/* other processes */
	REFUSE(__NR_ptrace),
	REFUSE(__NR_process_vm_readv),
	REFUSE(__NR_process_vm_writev),
	REFUSE(__NR_kill),
	REFUSE(434 /* pidfd_open */),
	REFUSE(424 /* pidfd_send_signal */),
	REFUSE(438 /* pidfd_getfd */),
	/* namespaces, mounts, roots */
	REFUSE(__NR_unshare),
	REFUSE(__NR_setns),
	REFUSE(__NR_mount),
	REFUSE(__NR_umount2),
	REFUSE(__NR_pivot_root),
	REFUSE(__NR_chroot),
	REFUSE(428 /* open_tree */),
	REFUSE(429 /* move_mount */),
	REFUSE(430 /* fsopen */),
	REFUSE(431 /* fsconfig */),
	REFUSE(432 /* fsmount */),
	REFUSE(433 /* fspick */),
	REFUSE(442 /* mount_setattr */),
	REFUSE(__NR_open_by_handle_at),
	/* the kernel itself */
	REFUSE(__NR_init_module),
	REFUSE(__NR_finit_module),
	REFUSE(__NR_delete_module),
	REFUSE(__NR_kexec_load),
	REFUSE(__NR_reboot),
	REFUSE(__NR_swapon),
	REFUSE(__NR_swapoff),
	REFUSE(__NR_sethostname),
	REFUSE(__NR_settimeofday),
	REFUSE(__NR_clock_settime),
	REFUSE(__NR_bpf),
	REFUSE(__NR_perf_event_open),
	REFUSE(__NR_userfaultfd),
	REFUSE(425 /* io_uring_setup */),
	REFUSE(__NR_add_key),
	REFUSE(__NR_request_key),
	REFUSE(__NR_keyctl),
	/* nodes and rights that no bundle has */
	REFUSE(__NR_mknodat),
	REFUSE(__NR_setxattr),
	REFUSE(__NR_lsetxattr),
	REFUSE(__NR_fsetxattr),
	/* the network, and whoever listens on a local socket */
	REFUSE(__NR_socket),
	REFUSE(__NR_connect),
	REFUSE(__NR_bind),
	REFUSE(__NR_listen),
	BPF_ANSWER(SECCOMP_RET_ALLOW),
};

int byoh_confine(const int *folders, size_t count, struct byoh_error *err)
{
	int lacks = 0, r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL))
		return byoh_fail_errno(err, "cannot give up new privileges");
	r = restrict_writing(folders, count);
	if (r == -ENOSYS || r == -EOPNOTSUPP)
		lacks |= BYOH_CONFINE_NO_LANDLOCK;
	else if (r < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -r, "cannot confine itself with Landlock (error %d)", -r);
	r = byoh_seccomp_load(filter, ARRAY_SIZE(filter));
	if (r == -EINVAL || r == -ENOSYS)
		lacks |= BYOH_CONFINE_NO_SECCOMP;
	else if (r < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -r, "cannot load its filter of system calls (error %d)", -r);
	return lacks;
}
