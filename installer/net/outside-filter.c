/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter that leaves AF_UNIX as the only family of sockets. */
#include "installer/net/outside-protocol.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "the filter of system calls is written for x86_64 and aarch64"
#endif

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif
#define X32_BIT 0x40000000U
#define IO_URING_SETUP 425 /* the same on every architecture; missing in older headers */

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* The next instruction is for a loaded value that is (is not) k; else it is skipped. */
#define IF_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, 1)
#define UNLESS_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 1, 0)

/* Both architectures are little-endian: the low half of an argument comes first, and the kernel
 * takes the family as an int. */
static const struct sock_filter filter[] = {
	/* another ABI has other numbers: a 32-bit socketcall(2) would slip through */
	LOAD(arch),
	UNLESS_EQUAL(NATIVE_ARCH),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
#if defined(__x86_64__)
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
	ANSWER(SECCOMP_RET_ERRNO | EPERM),
#endif
	/* a ring opens sockets without the system call */
	IF_EQUAL(IO_URING_SETUP),
	ANSWER(SECCOMP_RET_ERRNO | EPERM),
	UNLESS_EQUAL(__NR_socket),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(args[0]),
	IF_EQUAL(AF_UNIX),
	ANSWER(SECCOMP_RET_ALLOW),
	ANSWER(SECCOMP_RET_ERRNO | EACCES),
};

static int load(void)
{
	const struct sock_fprog program = {
		.len = (unsigned short)ARRAY_SIZE(filter),
		.filter = (struct sock_filter *)filter,
	};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

/* Without privilege the kernel wants no_new_privs. With it we go without: programs that we start
 * must work as from a shell, SELinux transitions included. */
int byoh_outside_load_filter(void)
{
	int rc = load();

	if (rc != -EACCES)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL))
		return -errno;
	return load();
}
