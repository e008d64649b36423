/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server that misbehaves on request, for the tests of fetching. One request a connection, one
 * process a request.
 *
 *   http-server FOLDER LOG
 *
 * Prints the port of 127.0.0.1 that it listens on, serves until it is killed, and adds a line for
 * each request to LOG: "METHOD PATH range=VALUE auth=VALUE", "-" where there is none.
 *
 *   /ranges/FILE    with ranges, as a good server does
 *   /plain/FILE     without: always the whole, 200
 *   /cut/FILE       with ranges, but each answer breaks off halfway
 *   /cutplain/FILE  without ranges, and each answer breaks off halfway
 *   /wrong/FILE     with its first byte changed
 *   /shifted/FILE   answers a range with another one, then (no range asked) with the whole
 *   /flaky/FILE     503 once, then as /ranges (state: FOLDER/flaky.FILE)
 *   /twice/FILE     with ranges; the first two answers break off after 700,000 bytes (state: FOLDER/twice.FILE.N)
 *   /twiceplain/FILE  the same without ranges
 *   /other/FILE     the same, and every answer but the first is of other bytes
 *   /exchanged/FILE  the same as /twice, and every answer but the first says another length of the whole
 *   /latelength/FILE  the same as /twice, and the first answer is chunked: only the others tell the length of the whole
 *   /star/FILE      the same as /twice, and only the first answer tells it: the others say "*"
 *   /longer/FILE    with a byte behind its end
 *   /shorter/FILE   without its last byte
 *   /stuck/FILE     nothing behind the first 700,000 bytes, ever
 *   /redirect/FILE  302 to /ranges/FILE
 *   /loop           302 to itself
 *   /missing        404
 *   /token...       {"token": "good"} (a count of them is in LOG)
 *   http://...      asked as a proxy: the path is answered as its own; CONNECT is refused with a 502
 *   /v2/...         a registry that wants "Bearer good": FOLDER/registry/v2/...; blobs are a
 *                   redirect to /ranges on the name "localhost", another host than asked
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	char method[8], path[1024], range[64], authorization[256];
	int fd;
};

static const char *folder, *log_path;
static int port;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n <= 0)
			exit(0);
		bytes += n;
		size -= (size_t)n;
	}
}

static void __attribute__((format(printf, 2, 3))) send_text(int fd, const char *fmt, ...)
{
	char text[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	send_all(fd, text, strlen(text));
}

static void send_empty(int fd, const char *status, const char *header)
{
	send_text(fd, "HTTP/1.1 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", status,
		  header);
	exit(0);
}

static void copy_header(const char *line, const char *name, char *ret, size_t size)
{
	if (strncasecmp(line, name, strlen(name)) == 0)
		snprintf(ret, size, "%.*s", (int)strcspn(line + strlen(name), "\r\n"),
			 line + strlen(name));
}

static void read_request(struct request *request)
{
	FILE *in = fdopen(dup(request->fd), "r");
	char line[4096];

	if (!in || !fgets(line, sizeof(line), in) ||
	    sscanf(line, "%7s %1023s", request->method, request->path) != 2)
		exit(0);
	strcpy(request->range, "-");
	strcpy(request->authorization, "-");
	while (fgets(line, sizeof(line), in) && *line != '\r' && *line != '\n') {
		copy_header(line, "Range: ", request->range, sizeof(request->range));
		copy_header(line, "Authorization: ", request->authorization,
			    sizeof(request->authorization));
	}
	fclose(in);
}

static void write_log(const struct request *request)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	dprintf(fd, "%s %s range=%s auth=%s\n", request->method, request->path, request->range,
		request->authorization);
	close(fd);
}

/* A proxy is asked for "http://host/path". */
static void drop_host(struct request *request)
{
	const char *path = strncmp(request->path, "http://", 7) == 0 ? strchr(request->path + 7, '/') : NULL;

	if (path)
		memmove(request->path, path, strlen(path) + 1);
}

static char *load(const char *name, size_t *ret_size)
{
	char path[2048], *bytes;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes || read(fd, bytes, (size_t)st.st_size) != st.st_size)
		die(path);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

enum how { RANGES = 1, CUT = 2, WRONG = 4, SHIFTED = 8, TWICE = 16, OTHER = 32, EXCHANGED = 64, LONGER = 128,
	   SHORTER = 256, STUCK = 512, CHUNKED = 1024, STAR = 2048 };

#define PIECE 700000

/* How many answers there were before: each leaves a mark. */
static int count_answers(const char *name)
{
	char mark[2048];
	int n = 0, fd;

	do {
		snprintf(mark, sizeof(mark), "%s/twice.%s.%d", folder, name, n);
		fd = open(mark, O_WRONLY | O_CREAT | O_EXCL, 0644);
	} while (fd < 0 && n++ < 100);
	return n;
}

static void send_head(const struct request *request, int how, size_t from, size_t size, size_t whole)
{
	char total[32] = "*";

	if (!(how & STAR))
		snprintf(total, sizeof(total), "%zu", whole);
	if (how & RANGES)
		send_text(request->fd, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%zu/%s\r\n",
			  how & SHIFTED ? from + 1 : from, size - 1, total);
	else
		send_text(request->fd, "HTTP/1.1 200 OK\r\n");
	if (how & CHUNKED) /* one chunk, which breaks off */
		send_text(request->fd, "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%zx\r\n", size);
	else
		send_text(request->fd, "Content-Length: %zu\r\nConnection: close\r\n\r\n", size - from);
}

static void send_file(const struct request *request, const char *name, int how)
{
	size_t size = 0, from = 0, sent;
	char *bytes = load(name, &size);
	int before = bytes && (how & TWICE) ? count_answers(name) : 0;
	bool ranged = (how & RANGES) && strncmp(request->range, "bytes=", 6) == 0;

	if (!bytes)
		send_empty(request->fd, "404 Not Found", "");
	if (how & WRONG)
		bytes[0] ^= 1;
	if (how & LONGER)
		bytes[size++] = 'x'; /* load has room for it */
	if (how & SHORTER)
		size--;
	for (size_t i = PIECE; (how & OTHER) && before && i < size; i++)
		bytes[i] ^= 1;
	if (ranged)
		from = strtoul(request->range + 6, NULL, 10);
	if (ranged && from >= size)
		send_empty(request->fd, "416 Range Not Satisfiable", "");
	send_head(request, ranged ? how & ~CHUNKED : how & ~RANGES, from, size,
		  (how & EXCHANGED) && before ? size + 1 : size);
	sent = how & CUT ? (size - from) / 2 : size - from;
	/* The last bytes come at last, or a file that is halved each time would never end. */
	if ((how & CUT) && (how & RANGES) && size - from < 200000)
		sent = size - from;
	if ((((how & TWICE) && before < 2) || (how & STUCK)) && sent > PIECE)
		sent = PIECE;
	if ((how & STUCK) && from)
		sent = 0;
	send_all(request->fd, bytes + from, sent);
	exit(0);
}

static void send_flaky(const struct request *request, const char *name)
{
	char mark[2048];
	int fd;

	snprintf(mark, sizeof(mark), "%s/flaky.%s", folder, name);
	fd = open(mark, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd >= 0)
		send_empty(request->fd, "503 Service Unavailable", "");
	send_file(request, name, RANGES);
}

static void send_registry(const struct request *request)
{
	const char *blob = strstr(request->path, "/blobs/sha256:");
	char header[512], name[1200];

	if (strcmp(request->authorization, "Bearer good") != 0) {
		snprintf(header, sizeof(header),
			 "WWW-Authenticate: Bearer "
			 "realm=\"http://127.0.0.1:%d/token\",service=\"the service\"\r\n",
			 port);
		send_empty(request->fd, "401 Unauthorized", header);
	}
	if (blob) {
		snprintf(header, sizeof(header),
			 "Location: http://localhost:%d/ranges/registry/blobs/%s\r\n", port,
			 blob + strlen("/blobs/sha256:"));
		send_empty(request->fd, "307 Temporary Redirect", header);
	}
	snprintf(name, sizeof(name), "registry%s", request->path);
	send_file(request, name, 0);
}

static void answer(const struct request *request)
{
	static const struct {
		const char *prefix;
		int how;
	} ways[] = {
		{ "/ranges/", RANGES },	       { "/plain/", 0 },
		{ "/cut/", RANGES | CUT },     { "/cutplain/", CUT },
		{ "/wrong/", RANGES | WRONG }, { "/shifted/", RANGES | SHIFTED },
		{ "/twice/", RANGES | TWICE }, { "/twiceplain/", TWICE },
		{ "/other/", RANGES | TWICE | OTHER }, { "/exchanged/", RANGES | TWICE | EXCHANGED },
		{ "/longer/", RANGES | LONGER }, { "/shorter/", RANGES | SHORTER },
		{ "/latelength/", RANGES | TWICE | CHUNKED }, { "/star/", RANGES | TWICE | STAR },
		{ "/stuck/", RANGES | STUCK },
	};
	char header[1200];

	if (strcmp(request->method, "CONNECT") == 0)
		send_empty(request->fd, "502 Bad Gateway", "");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strncmp(request->path, ways[i].prefix, strlen(ways[i].prefix)) == 0)
			send_file(request, request->path + strlen(ways[i].prefix), ways[i].how);
	if (strncmp(request->path, "/flaky/", 7) == 0)
		send_flaky(request, request->path + 7);
	if (strncmp(request->path, "/redirect/", 10) == 0) {
		snprintf(header, sizeof(header), "Location: /ranges/%s\r\n", request->path + 10);
		send_empty(request->fd, "302 Found", header);
	}
	if (strcmp(request->path, "/loop") == 0)
		send_empty(request->fd, "302 Found", "Location: /loop\r\n");
	if (strncmp(request->path, "/token", 6) == 0) {
		send_text(request->fd, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: "
				       "close\r\n\r\n"
				       "{\"token\": \"good\"}");
		exit(0);
	}
	if (strncmp(request->path, "/v2/", 4) == 0)
		send_registry(request);
	send_empty(request->fd, "404 Not Found", "");
}

static int listen_locally(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 64) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		die("listening");
	port = ntohs(address.sin_port);
	printf("%d\n", port);
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	int listener;

	if (argc != 3)
		return 2;
	folder = argv[1];
	log_path = argv[2];
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_locally();
	for (;;) {
		struct request request = { .fd = accept(listener, NULL, NULL) };

		if (request.fd < 0)
			continue;
		if (fork() == 0) {
			close(listener);
			read_request(&request);
			write_log(&request);
			drop_host(&request);
			answer(&request);
			exit(0);
		}
		close(request.fd);
	}
}
