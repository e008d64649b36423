/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal WAIT SEND COMMAND...    runs it on a terminal of its own; when it has written WAIT, SEND is typed. What it writes
 * goes to standard output. At the end a line "echo on" or "echo off" tells how it left the terminal. Its exit code.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int be_command(int terminal, char **argv)
{
	setsid();
	ioctl(terminal, TIOCSCTTY, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(terminal, fd);
	execvp(argv[0], argv);
	return 127;
}

int main(int argc, char **argv)
{
	int controller = posix_openpt(O_RDWR | O_NOCTTY), terminal, status = 0;
	char seen[65536] = "";
	size_t length = 0;
	struct termios modes;
	pid_t child;
	int sent = 0;

	if (argc < 4 || controller < 0 || grantpt(controller) || unlockpt(controller))
		return 126;
	terminal = open(ptsname(controller), O_RDWR | O_NOCTTY);
	child = fork();
	if (child == 0)
		_exit(be_command(terminal, argv + 3));
	for (;;) {
		struct pollfd one = { .fd = controller, .events = POLLIN };
		pid_t ended = waitpid(child, &status, WNOHANG);
		int ready = poll(&one, 1, 100);
		ssize_t n = ready > 0 ? read(controller, seen + length, sizeof(seen) - 1 - length) : 0;

		if (n > 0) {
			(void)!write(STDOUT_FILENO, seen + length, (size_t)n);
			length += (size_t)n;
			seen[length] = '\0';
		}
		if (!sent && strstr(seen, argv[1])) {
			(void)!write(controller, argv[2], strlen(argv[2]));
			sent = 1;
		}
		if (ended == child && n <= 0)
			break;
	}
	printf("\necho %s\n", tcgetattr(terminal, &modes) == 0 && (modes.c_lflag & ECHO) ? "on" : "off");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
