/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to the configured API server: GET /version. Asked by a process of its own that is forked before
 * the network is left and serves one request. It connects once, gives up its rights and shuts itself in behind
 * the filter of every other process here, and only then reads what a stranger sends.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/net/outside-protocol.h"

#define CONNECT_MILLISECONDS 3000 /* to each address */
#define TRANSFER_MILLISECONDS 5000L
#define ANSWER_MAX ((size_t)64 << 10) /* that of a real server is some 300 bytes */
#define NOBODY 65534

struct target {
	char *host, *port; /* curl's; host without brackets */
};

static void release_target(struct target *target)
{
	curl_free(target->host);
	curl_free(target->port);
}

static int split_server(const char *server, struct target *ret, struct byoh_error *err)
{
	CURLU *url = curl_url();
	bool whole = url && curl_url_set(url, CURLUPART_URL, server, 0) == CURLUE_OK &&
		     curl_url_get(url, CURLUPART_HOST, &ret->host, 0) == CURLUE_OK &&
		     curl_url_get(url, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
	size_t length;

	curl_url_cleanup(url);
	if (!whole || strncmp(server, "https://", 8) != 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "\"%.200s\" is no address of an API server",
				 server);
	length = strlen(ret->host);
	if (ret->host[0] == '[' && ret->host[length - 1] == ']') {
		memmove(ret->host, ret->host + 1, length - 2);
		ret->host[length - 2] = '\0';
	}
	return 0;
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

static int connect_server(const char *server, struct byoh_error *err)
{
	CLEANUP(release_target) struct target target = { 0 };
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *addresses = NULL;
	int fd = -EHOSTUNREACH, rc = split_server(server, &target, err);

	if (rc < 0)
		return rc;
	rc = getaddrinfo(target.host, target.port, &hints, &addresses);
	if (rc)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EHOSTUNREACH, "cannot reach %.200s: %s", server,
				 gai_strerror(rc));
	for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
		fd = connect_one(address);
	freeaddrinfo(addresses);
	return fd >= 0 ? fd : byoh_fail(err, BYOH_ERROR_SYSTEM, -fd, "cannot reach %.200s: %s", server,
					strerror(-fd));
}

/* From here on the one connection is all there is. */
static int shut_in(int parent, struct byoh_error *err)
{
	int rc;

	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
			       setresuid(NOBODY, NOBODY, NOBODY)))
		return byoh_fail_errno(err, "cannot give up rights");
	/* A change of user forgets it. */
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) || getppid() != parent)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ESRCH, "nobody waits for an answer");
	rc = byoh_outside_load_filter();
	return rc < 0 ? byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "cannot load the filter of system calls: %s",
				  strerror(-rc)) : 0;
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

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct byoh_buffer *body = context;

	if (count > ANSWER_MAX - body->size || byoh_buffer_add(body, bytes, size * count, NULL) < 0)
		return 0;
	return count;
}

struct request {
	CURL *easy;
	struct curl_slist *resolve;
};

static void release_request(struct request *request)
{
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->resolve);
}

/* The CA of the configuration and no other, no proxy, no redirect, nothing but the connection that is there:
 * whatever address it is told, curl gets that one. */
static bool set_options(struct request *request, const char *server, struct curl_blob *ca, int *fd,
			struct byoh_buffer *body, char *error_text)
{
	CLEANUP_FREE char *url = NULL, *resolve = NULL;
	CLEANUP(release_target) struct target target = { 0 };
	CURL *easy = request->easy;
	size_t length = strlen(server);

	while (length && server[length - 1] == '/')
		length--;
	if (split_server(server, &target, NULL) < 0 ||
	    asprintf(&url, "%.*s/version", (int)length, server) < 0 ||
	    asprintf(&resolve, "%s:%s:127.0.0.1", target.host, target.port) < 0)
		return false;
	request->resolve = curl_slist_append(NULL, resolve);
	curl_easy_setopt(easy, CURLOPT_RESOLVE, request->resolve);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TRANSFER_MILLISECONDS);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "byoh-install/" BYOH_VERSION);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, give_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fd);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, say_connected);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, ca) == CURLE_OK;
}

static int read_version(const struct byoh_buffer *body, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const char *version = NULL;
	int r = byoh_yaml_parse(byoh_buffer_text(body), body->size, "the answer", BYOH_ERROR_FORMAT, &doc, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "gitVersion", true, &version, err);
	if (r == 0 && (strlen(version) > 64 || version[strspn(version, "abcdefghijklmnopqrstuvwxyz"
								       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
								       "0123456789.+-_")]))
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, "the answer holds no version");
	return r < 0 ? r : byoh_buffer_add_string(ret, version, err);
}

static int get_version(const char *server, struct curl_blob *ca, int *fd, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	CLEANUP(release_request) struct request request = { .easy = curl_easy_init() };
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	char error_text[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;

	if (!request.easy || !set_options(&request, server, ca, fd, &body, error_text))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot prepare a request");
	code = curl_easy_perform(request.easy);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "who answers at %.200s does not prove itself by the configured CA: %s", server,
				 error_text);
	if (code != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, code == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT : EIO,
				 "%.200s/version: %s", server,
				 error_text[0] ? error_text : curl_easy_strerror(code));
	curl_easy_getinfo(request.easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%.200s/version answers with status %ld", server,
				 status);
	return read_version(&body, ret, err);
}

static int ask(const char *server, void *ca, size_t ca_size, int parent, struct byoh_buffer *ret,
	       struct byoh_error *err)
{
	struct curl_blob blob = { .data = ca, .len = ca_size, .flags = CURL_BLOB_NOCOPY };
	CLEANUP_FD int fd = -1;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot start libcurl");
	fd = connect_server(server, err);
	if (fd < 0)
		return fd;
	r = shut_in(parent, err);
	return r < 0 ? r : get_version(server, &blob, &fd, ret, err);
}

static int receive(int fd, char **ret, size_t *ret_size)
{
	struct byoh_outside_request request;
	int rc = byoh_outside_receive(fd, &request, sizeof(request), 0);

	if (rc < 0)
		return rc;
	if (request.operation != BYOH_OUTSIDE_API_VERSION || request.size > BYOH_OUTSIDE_API_REQUEST_MAX)
		return -EPROTO;
	*ret = calloc(1, (size_t)request.size + 1);
	if (!*ret)
		return -ENOMEM;
	*ret_size = request.size;
	return byoh_outside_receive(fd, *ret, request.size, BYOH_OUTSIDE_ANSWER_SECONDS);
}

_Noreturn void byoh_outside_serve_api(int fd, int parent)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_outside_answer head = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	char *body = NULL;
	size_t size = 0, length;

	fd = byoh_outside_settle_in(fd, parent, "byoh-api");
	if (byoh_outside_send(fd, &head, sizeof(head)) < 0 || receive(fd, &body, &size) < 0)
		_exit(0); /* most runs ask nothing */
	length = strlen(body);
	head.status = length < size ? ask(body, body + length + 1, size - length - 1, parent, &text, &err) : -EINVAL;
	if (head.status < 0) {
		text.size = 0;
		(void)!byoh_buffer_add_string(&text, err.message, NULL);
	}
	head.size = (uint32_t)text.size;
	if (byoh_outside_send(fd, &head, sizeof(head)) < 0 || byoh_outside_send(fd, text.data, head.size) < 0)
		_exit(1);
	_exit(0);
}
