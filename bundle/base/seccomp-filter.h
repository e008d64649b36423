/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for filters of system calls, and their loading. Sources: seccomp(2), linux/filter.h,
 * Documentation/userspace-api/seccomp_filter.rst.
 */
#ifndef BYOH_BASE_SECCOMP_FILTER_H
#define BYOH_BASE_SECCOMP_FILTER_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif

#define BPF_LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define BPF_ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* The next instruction is for a loaded value that is (is not, is at least) k; else it is skipped. */
#define BPF_IF_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), 0, 1)
#define BPF_UNLESS_EQUAL(k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), 1, 0)
#define BPF_IF_FROM(k) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(k), 0, 1)

/* What each filter begins with: another ABI has other numbers for the same calls. The number of the call is
 * loaded after it. */
#if defined(__x86_64__)
#define BPF_X32_BIT 0x40000000U
#define BPF_NATIVE_CALLS_ONLY                                                                \
	BPF_LOAD(arch), BPF_UNLESS_EQUAL(AUDIT_ARCH_X86_64), BPF_ANSWER(SECCOMP_RET_KILL_PROCESS), \
		BPF_LOAD(nr), BPF_IF_FROM(BPF_X32_BIT), BPF_ANSWER(SECCOMP_RET_ERRNO | EPERM)
#elif defined(__aarch64__)
#define BPF_NATIVE_CALLS_ONLY                                                                 \
	BPF_LOAD(arch), BPF_UNLESS_EQUAL(AUDIT_ARCH_AARCH64), BPF_ANSWER(SECCOMP_RET_KILL_PROCESS), \
		BPF_LOAD(nr)
#else
#error "the filters of system calls are written for x86_64 and aarch64"
#endif

/* 0 or -errno: -EACCES without no_new_privs and privilege, -EINVAL and -ENOSYS where the kernel has none. */
static inline int byoh_seccomp_load(const struct sock_filter *filter, size_t count)
{
	const struct sock_fprog program = { (unsigned short)count, (struct sock_filter *)filter };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

#endif
