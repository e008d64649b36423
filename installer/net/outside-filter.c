/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter that leaves AF_UNIX as the only family of sockets. */
#include "installer/net/outside-protocol.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/seccomp-filter.h"

#define IO_URING_SETUP 425 /* the same on every architecture; missing in older headers */

/* Both architectures are little-endian: the low half of an argument comes first, and the kernel
 * takes the family as an int. */
static const struct sock_filter filter[] = {
	/* 32-bit programs have a socketcall(2), which would slip through */
	BPF_NATIVE_CALLS_ONLY,
	/* a ring opens sockets without the system call */
	BPF_IF_EQUAL(IO_URING_SETUP),
	BPF_ANSWER(SECCOMP_RET_ERRNO | EPERM),
	BPF_UNLESS_EQUAL(__NR_socket),
	BPF_ANSWER(SECCOMP_RET_ALLOW),
	BPF_LOAD(args[0]),
	BPF_IF_EQUAL(AF_UNIX),
	BPF_ANSWER(SECCOMP_RET_ALLOW),
	BPF_ANSWER(SECCOMP_RET_ERRNO | EACCES),
};

/* Without privilege the kernel wants no_new_privs. With it we go without: programs that we start
 * must work as from a shell, SELinux transitions included. */
int byoh_outside_load_filter(void)
{
	int rc = byoh_seccomp_load(filter, ARRAY_SIZE(filter));

	if (rc != -EACCES)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL))
		return -errno;
	return byoh_seccomp_load(filter, ARRAY_SIZE(filter));
}
