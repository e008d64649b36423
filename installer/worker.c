/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/confine.h"
#include "bundle/base/path.h"

#define LOOK_MS 200 /* how soon Ctrl-C is passed on */

enum message_type { MESSAGE_BYTES = 1, MESSAGE_LACKS, MESSAGE_RESULT };

/* Less than PIPE_BUF: threads write it whole. */
struct message {
	enum message_type type;
	int result; /* or what the kernel lacks */
	uint64_t done, total;
	struct byoh_error err;
};

struct byoh_worker {
	int out;
};

static void tell(const struct byoh_worker *worker, const struct message *message)
{
	ssize_t n;

	do
		n = write(worker->out, message, sizeof(*message));
	while (n < 0 && errno == EINTR);
}

void byoh_worker_bytes(void *context, uint64_t done, uint64_t total)
{
	const struct message message = { .type = MESSAGE_BYTES, .done = done, .total = total };

	tell(context, &message);
}

static int work_confined(const struct byoh_work *work, struct byoh_worker *worker, struct byoh_error *err)
{
	struct message message = { .type = MESSAGE_LACKS };

	message.result = byoh_confine(work->folders, work->folder_count, err);
	if (message.result < 0)
		return message.result;
	if (message.result)
		tell(worker, &message);
	return work->run(work->context, worker, err);
}

static _Noreturn void be_worker(const struct byoh_work *work, int out, pid_t parent)
{
	struct message message = { .type = MESSAGE_RESULT, .err = BYOH_ERROR_INIT };
	struct byoh_worker worker = { out };

	/* A worker that outlived a killed run would write into the next one's staging. */
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) || getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	message.result = work_confined(work, &worker, &message.err);
	tell(&worker, &message);
	_exit(0);
}

static void tell_lacks(const struct byoh_work *work, int lacks)
{
	if (!work->note)
		return;
	if (lacks & BYOH_CONFINE_NO_LANDLOCK)
		work->note(work->observer, "this kernel has no Landlock: what unpacks could write everywhere");
	if (lacks & BYOH_CONFINE_NO_SECCOMP)
		work->note(work->observer, "this kernel has no seccomp filters: what unpacks goes without one");
}

/* 1 for the result, 0 for any other message, -EPIPE at the end. */
static int take_message(const struct byoh_work *work, int in, struct message *ret)
{
	ssize_t n = read(in, ret, sizeof(*ret));

	if (n < 0)
		return errno == EINTR ? 0 : -EPIPE;
	if (n != (ssize_t)sizeof(*ret))
		return -EPIPE;
	if (ret->type == MESSAGE_RESULT)
		return 1;
	if (ret->type == MESSAGE_LACKS)
		tell_lacks(work, ret->result);
	else if (work->bytes)
		work->bytes(work->observer, ret->done, ret->total);
	return 0;
}

static int follow(const struct byoh_work *work, pid_t pid, int in, struct message *ret)
{
	struct pollfd look = { .fd = in, .events = POLLIN };
	bool passed_on = false;
	int r = 0;

	while (r == 0) {
		int ready = poll(&look, 1, LOOK_MS);

		if (!passed_on && work->cancel && atomic_load(work->cancel)) {
			kill(pid, SIGINT);
			passed_on = true;
		}
		if (ready > 0)
			r = take_message(work, in, ret);
	}
	return r;
}

static int finish(const struct message *message, int r, int status, struct byoh_error *err)
{
	if (r == 1) {
		if (message->result < 0 && err)
			*err = message->err;
		return message->result;
	}
	if (WIFSIGNALED(status))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "what unpacks the bundle was killed by signal %d%s",
				 WTERMSIG(status), WTERMSIG(status) == SIGKILL ? " (out of memory?)" : "");
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "what unpacks the bundle ended with status %d",
			 WEXITSTATUS(status));
}

int byoh_worker_run(const struct byoh_work *work, struct byoh_error *err)
{
	CLEANUP_FD int in = -1, out = -1;
	struct message message = { 0 };
	pid_t parent = getpid(), pid;
	int ends[2], r, status = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return byoh_fail_errno(err, "cannot make a pipe");
	in = ends[0];
	out = ends[1];
	pid = fork();
	if (pid < 0)
		return byoh_fail_errno(err, "cannot start a process that unpacks");
	if (pid == 0)
		be_worker(work, out, parent);
	close(TAKE_FD(out));
	r = follow(work, pid, in, &message);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return byoh_fail_errno(err, "cannot wait for what unpacks");
	return finish(&message, r, status, err);
}
