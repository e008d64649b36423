/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends share: the forms of keys, names and values, and whole messages. */
#include "installer/net/outside-protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static bool only(const char *text, const char *allowed, size_t max)
{
	size_t length = strlen(text);

	return length > 0 && length <= max && strspn(text, allowed) == length;
}

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* No empty, "." or ".." part: nothing climbs out of /proc/sys/net. */
static bool parts_are_names(const char *path)
{
	for (size_t length; ; path += length + 1) {
		length = strcspn(path, "/");
		if (length == 0 || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[length])
			return true;
	}
}

/* As sysctl(8) reads keys: the first separator tells which of "." and "/" separates, the other one
 * stands for itself ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"). */
bool byoh_outside_sysctl_path(const char *key, char ret[BYOH_OUTSIDE_KEY_MAX + 1])
{
	bool dots;

	if (!only(key, LETTERS_AND_DIGITS "_.-/", BYOH_OUTSIDE_KEY_MAX))
		return false;
	dots = key[strcspn(key, "./")] == '.';
	for (size_t i = 0; i <= strlen(key); i++)
		ret[i] = !dots ? key[i] : key[i] == '.' ? '/' : key[i] == '/' ? '.' : key[i];
	return !strncmp(ret, "net/", 4) && parts_are_names(ret);
}

bool byoh_outside_value_ok(const char *value)
{
	size_t length = strlen(value);

	if (length == 0 || length > BYOH_OUTSIDE_VALUE_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (value[i] != '\t' && (value[i] < ' ' || value[i] > '~'))
			return false;
	return true;
}

bool byoh_outside_name_ok(const char *name)
{
	return only(name, LETTERS_AND_DIGITS "_", BYOH_OUTSIDE_NAME_MAX);
}

bool byoh_outside_url_path_ok(const char *path)
{
	return path[0] == '/' &&
	       only(path, LETTERS_AND_DIGITS "/-._~?=&%", BYOH_OUTSIDE_URL_PATH_MAX);
}

static int milliseconds_until(const struct timespec *deadline)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 +
	       (deadline->tv_nsec - now.tv_nsec) / 1000000;
	return left < 0 ? 0 : (int)left;
}

int byoh_outside_receive(int fd, void *ret, size_t size, unsigned int seconds)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += seconds;
	for (size_t done = 0; done < size;) {
		struct pollfd one = { .fd = fd, .events = POLLIN };
		int ready = poll(&one, 1, seconds ? milliseconds_until(&deadline) : -1);
		ssize_t got;

		if (ready == 0)
			return -ETIMEDOUT;
		got = ready < 0 ? -1 : recv(fd, (char *)ret + done, size - done, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EPIPE;
		done += (size_t)got;
	}
	return 0;
}

int byoh_outside_send(int fd, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t sent = send(fd, (const char *)bytes + done, size - done, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		done += (size_t)sent;
	}
	return 0;
}
