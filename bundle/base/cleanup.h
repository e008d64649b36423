/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that release themselves when their name goes out of scope; ownership moves by TAKE_*. */
#ifndef BYOH_BASE_CLEANUP_H
#define BYOH_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void byoh_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void byoh_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd); /* never retried: on Linux the descriptor is gone even after EINTR */
}

static inline void byoh_cleanup_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void byoh_cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define CLEANUP_FREE CLEANUP(byoh_cleanup_free)
#define CLEANUP_FD CLEANUP(byoh_cleanup_fd)
#define CLEANUP_FILE CLEANUP(byoh_cleanup_file)
#define CLEANUP_DIR CLEANUP(byoh_cleanup_dir)

#define TAKE_PTR(p) ({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })
#define TAKE_FD(fd) ({ int taken_ = (fd); (fd) = -1; taken_; })

/* Returns what the call returned if it failed. For writers that are nothing but a list of calls. */
#define TRY(call)                      \
	do {                           \
		int try_r_ = (call);   \
		if (try_r_ < 0)        \
			return try_r_; \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
