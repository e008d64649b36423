/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_SIZE ((size_t)16 << 10)

bool byoh_prompt_is_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* Stopped or dumped half-way the shell would be left without an echo. */
static int hide(struct termios *ret_before, struct byoh_error *err)
{
	struct termios hidden;

	if (tcgetattr(STDIN_FILENO, ret_before) < 0)
		return byoh_fail_errno(err, "cannot set up the terminal");
	hidden = *ret_before;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	hidden.c_lflag |= ICANON | ISIG;
	hidden.c_cc[VSUSP] = hidden.c_cc[VQUIT] = _POSIX_VDISABLE;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) < 0 ? byoh_fail_errno(err, "cannot set up the terminal") : 0;
}

/* Signals come through only while nothing else is done, so that none is missed before a wait. */
static int wait_for_input(const atomic_bool *cancel, const sigset_t *mask, struct byoh_error *err)
{
	struct pollfd one = { .fd = STDIN_FILENO, .events = POLLIN };

	while (!atomic_load(cancel)) {
		if (ppoll(&one, 1, NULL, mask) >= 0)
			return 0;
		if (errno != EINTR)
			return byoh_fail_errno(err, "cannot wait for the terminal");
	}
	return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
}

static int read_line(const atomic_bool *cancel, const sigset_t *mask, struct byoh_buffer *ret, struct byoh_error *err)
{
	char line[1024];
	ssize_t n;
	int rc = 0;

	do {
		rc = wait_for_input(cancel, mask, err);
		if (rc < 0)
			break;
		n = read(STDIN_FILENO, line, sizeof(line));
		if (n > 0)
			rc = byoh_buffer_add(ret, line, (size_t)n, err);
	} while (rc == 0 && n > 0 && line[n - 1] != '\n' && ret->size < LINE_MAX_SIZE);
	explicit_bzero(line, sizeof(line));
	while (rc == 0 && ret->size && strchr("\r\n", ret->data[ret->size - 1]))
		ret->data[--ret->size] = '\0';
	return rc;
}

int byoh_prompt_secret(const char *question, const atomic_bool *cancel, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct termios before;
	sigset_t held, mask;
	int rc = hide(&before, err);

	if (rc < 0)
		return rc;
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigprocmask(SIG_BLOCK, &held, &mask);
	fputs(question, stderr);
	fflush(stderr);
	rc = read_line(cancel, &mask, ret, err);
	/* What was typed behind the line is no business of the shell. */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return rc;
}
