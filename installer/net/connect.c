/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/net/connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/net/outside-protocol.h"

#define CONNECT_MILLISECONDS 3000 /* to each address */

void byoh_target_release(struct byoh_target *target)
{
	curl_free(target->host);
	curl_free(target->port);
	*target = (struct byoh_target){ 0 };
}

bool byoh_target_of(const char *url, struct byoh_target *ret)
{
	CURLU *parts = curl_url();
	bool whole = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		     curl_url_get(parts, CURLUPART_HOST, &ret->host, 0) == CURLUE_OK &&
		     curl_url_get(parts, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
	size_t length;

	curl_url_cleanup(parts);
	if (!whole)
		return false;
	length = strlen(ret->host);
	if (ret->host[0] == '[' && ret->host[length - 1] == ']') {
		memmove(ret->host, ret->host + 1, length - 2);
		ret->host[length - 2] = '\0';
	}
	return true;
}

static int connect_one(const struct addrinfo *address)
{
	CLEANUP_FD int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd one = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int failure = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return TAKE_FD(fd);
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&one, 1, CONNECT_MILLISECONDS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size))
		return -errno;
	return failure ? -failure : TAKE_FD(fd);
}

int byoh_connect(const struct byoh_target *target, const char *server, struct byoh_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *addresses = NULL;
	int fd = -EHOSTUNREACH, rc = getaddrinfo(target->host, target->port, &hints, &addresses);

	if (rc)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EADDRNOTAVAIL, "cannot find %.200s: %s", server,
				 gai_strerror(rc));
	for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
		fd = connect_one(address);
	freeaddrinfo(addresses);
	return fd >= 0 ? fd : byoh_fail(err, BYOH_ERROR_SYSTEM, -fd, "cannot reach %.200s: %s", server,
					strerror(-fd));
}

int byoh_connect_shut_in(int parent, struct byoh_error *err)
{
	int rc = byoh_outside_give_up_rights(parent);

	if (rc == 0)
		rc = byoh_outside_load_filter();
	return rc < 0 ? byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "cannot give up rights: %s", strerror(-rc)) : 0;
}

static curl_socket_t give_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	int *fd = context;

	(void)purpose;
	(void)address;
	return *fd < 0 ? CURL_SOCKET_BAD : TAKE_FD(*fd);
}

static int say_connected(void *context, curl_socket_t fd, curlsocktype purpose)
{
	(void)context;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

bool byoh_connect_only(CURL *easy, const struct byoh_target *target, int *fd, struct curl_slist **ret_resolve)
{
	CLEANUP_FREE char *resolve = NULL;

	*ret_resolve = NULL;
	/* An address of IPv6 is no name: curl looks for none, and cannot read one there. */
	if (!strchr(target->host, ':')) {
		if (asprintf(&resolve, "%s:%s:127.0.0.1", target->host, target->port) < 0)
			return false;
		*ret_resolve = curl_slist_append(NULL, resolve);
		curl_easy_setopt(easy, CURLOPT_RESOLVE, *ret_resolve);
	}
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, give_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fd);
	return curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, say_connected) == CURLE_OK;
}
