/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlan-port TAP ID OWN PEER: a switch's port that carries one VLAN, between TAP, which it makes, and a machine that
 * sends its frames to the socket OWN and takes them at PEER. What the machine sends without the tag goes nowhere. A
 * program, since the kernel of who runs the tests may know no VLANs.
 *
 * Returns when the port is there; what carries its frames goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ADDRESSES 12 /* bytes of a frame in front of its tag */
#define TAG 4
#define FRAME_MAX 65536

static int open_tap(const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ? -1 : fd;
}

static int set_name(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address->sun_path, path);
	return 0;
}

static int open_socket(const char *path)
{
	struct sockaddr_un own;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || set_name(&own, path) < 0 || (unlink(path) < 0 && errno != ENOENT))
		return -1;
	return bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ? -1 : fd;
}

/* A frame that has the tag loses it. */
static void from_machine(int machine, int tap, unsigned int id)
{
	uint8_t frame[FRAME_MAX];
	ssize_t size = recv(machine, frame, sizeof(frame), 0);

	if (size < ADDRESSES + TAG || frame[12] != 0x81 || frame[13] != 0 || ((frame[14] & 15U) << 8 | frame[15]) != id)
		return;
	memmove(frame + ADDRESSES, frame + ADDRESSES + TAG, (size_t)size - ADDRESSES - TAG);
	(void)!write(tap, frame, (size_t)size - TAG);
}

/* A machine that is off loses what is sent to it, as on any wire. */
static void to_machine(int tap, int machine, unsigned int id, const struct sockaddr_un *peer)
{
	uint8_t frame[FRAME_MAX];
	ssize_t size = read(tap, frame, sizeof(frame) - TAG);

	if (size < ADDRESSES)
		return;
	memmove(frame + ADDRESSES + TAG, frame + ADDRESSES, (size_t)size - ADDRESSES);
	memcpy(frame + ADDRESSES, (const uint8_t[TAG]){ 0x81, 0, (uint8_t)(id >> 8), (uint8_t)id }, TAG);
	(void)!sendto(machine, frame, (size_t)size + TAG, MSG_DONTWAIT, (const struct sockaddr *)peer, sizeof(*peer));
}

static void carry(int tap, int machine, unsigned int id, const struct sockaddr_un *peer)
{
	struct pollfd ends[] = { { .fd = tap, .events = POLLIN }, { .fd = machine, .events = POLLIN } };

	while (poll(ends, 2, -1) > 0 || errno == EINTR) {
		if (ends[0].revents)
			to_machine(tap, machine, id, peer);
		if (ends[1].revents)
			from_machine(machine, tap, id);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un peer;
	unsigned int id = argc == 5 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	int tap, machine;

	if (id < 1 || id > 4094) {
		fputs("vlan-port TAP ID OWN PEER\n", stderr);
		return 2;
	}
	tap = open_tap(argv[1]);
	machine = open_socket(argv[3]);
	if (tap < 0 || machine < 0 || set_name(&peer, argv[4]) < 0 || daemon(1, 0) < 0) {
		perror("vlan-port");
		return 1;
	}
	carry(tap, machine, id, &peer);
	return 1;
}
