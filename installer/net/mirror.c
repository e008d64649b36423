/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's end: asks for the bytes from an offset on, and asks again where the connection broke. */
#include "installer/net/mirror.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/stream.h"
#include "installer/net/mirror-protocol.h"
#include "installer/net/outside-protocol.h"

#define CA_MAX ((size_t)1 << 20)
#define LOOK_MS 200	   /* how soon Ctrl-C is heard */
#define TRIES 5		   /* without a byte of progress */
#define FIRST_WAIT_MS 250  /* doubled each time */
#define SILENCE_SECONDS 90 /* longer than the child lets the server be silent */
#define TEXT_MAX 600

struct byoh_mirror {
	char *url;
	struct byoh_buffer ca;
	bool has_ca;
	int fd; /* to the helper */
	pid_t pid;
	struct byoh_mirror_watch watch;
	int stream;	   /* records of the connection; -1: there is none */
	uint32_t left;	   /* bytes of the DATA record that has begun */
	uint64_t position; /* of the next byte that comes */
	uint64_t best;	   /* the furthest there was: tries count while it stands still */
	uint64_t whole;	   /* by the first answer that said it; BYOH_READER_SIZE_UNKNOWN: none has */
	bool answered;
	unsigned int tries;
	char reason[TEXT_MAX]; /* why the last connection ended */
};

bool byoh_mirror_is_url(const char *text)
{
	return strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
}

static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

/* Not echoed where it may hold a secret. */
static int check_url(const char *text, struct byoh_error *err)
{
	CURLU *url = curl_url();
	bool valid = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
	bool secret = valid && (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) ||
				has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT));

	curl_url_cleanup(url);
	if (!valid || strpbrk(text, "@?#"))
		secret = secret || strpbrk(text, "@?#");
	if (secret)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "a mirror's URL has no user, password, query or fragment: everybody on this host could read them");
	if (!valid || text[strlen(text) - 1] == '/')
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "\"%.200s\" names no file on a mirror: https://HOST[:PORT]/PATH/X.bundle", text);
	return 0;
}

static void end_helper(struct byoh_mirror *mirror)
{
	byoh_cleanup_fd(&mirror->fd);
	byoh_cleanup_fd(&mirror->stream);
	mirror->fd = mirror->stream = -1;
	if (mirror->pid <= 0)
		return;
	kill(mirror->pid, SIGKILL);
	while (waitpid(mirror->pid, NULL, 0) < 0 && errno == EINTR)
		;
	mirror->pid = 0;
}

void byoh_mirror_free(struct byoh_mirror *mirror)
{
	if (!mirror)
		return;
	end_helper(mirror);
	byoh_buffer_release(&mirror->ca);
	free(mirror->url);
	free(mirror);
}

static void free_mirror(struct byoh_mirror **mirror)
{
	byoh_mirror_free(*mirror);
}

static int start_helper(struct byoh_mirror *mirror, struct byoh_error *err)
{
	struct byoh_outside_answer hello;
	pid_t parent = getpid();
	int rc, ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return byoh_fail_errno(err, "cannot make a pair of sockets");
	mirror->fd = ends[0];
	mirror->pid = fork();
	if (mirror->pid == 0) {
		close(ends[0]);
		byoh_mirror_serve(ends[1], parent, mirror->url, mirror->has_ca ? &mirror->ca : NULL);
	}
	close(ends[1]);
	if (mirror->pid < 0)
		return byoh_fail_errno(err, "cannot start the helper for the mirror");
	rc = byoh_outside_receive(mirror->fd, &hello, sizeof(hello), BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc == 0)
		rc = hello.status;
	return rc < 0 ? byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "the helper for the mirror did not start: %s",
				  strerror(-rc)) : 0;
}

int byoh_mirror_start(const char *url, const char *ca, struct byoh_mirror **ret, struct byoh_error *err)
{
	CLEANUP(free_mirror) struct byoh_mirror *mirror = calloc(1, sizeof(*mirror));
	int r = check_url(url, err);

	if (r < 0)
		return r;
	if (!mirror || !(mirror->url = strdup(url)))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	mirror->fd = mirror->stream = -1;
	mirror->whole = BYOH_READER_SIZE_UNKNOWN;
	mirror->has_ca = ca;
	r = ca ? byoh_read_named_file(ca, CA_MAX, &mirror->ca, err) : 0;
	if (r == 0 && ca && !strstr(byoh_buffer_text(&mirror->ca), "-----BEGIN CERTIFICATE-----"))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--mirror-ca %s: no certificate (PEM) in it", ca);
	if (r == 0)
		r = start_helper(mirror, err);
	if (r == 0)
		*ret = TAKE_PTR(mirror);
	return r;
}

static bool is_cancelled(const struct byoh_mirror *mirror)
{
	return mirror->watch.cancel && atomic_load(mirror->watch.cancel);
}

static int interrupted(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
}

static int wait_for(const struct byoh_mirror *mirror, int fd, unsigned int milliseconds)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	for (unsigned int waited = 0; waited < milliseconds; waited += LOOK_MS) {
		int ready = poll(fd >= 0 ? &one : NULL, fd >= 0, LOOK_MS);

		if (is_cancelled(mirror))
			return -EINTR;
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

/* What there is, at most size bytes; -EPIPE at the end. */
static ssize_t take_some(const struct byoh_mirror *mirror, void *ret, size_t size)
{
	ssize_t n;
	int r = wait_for(mirror, mirror->stream, SILENCE_SECONDS * 1000);

	if (r < 0)
		return r;
	n = recv(mirror->stream, ret, size, 0);
	return n > 0 ? n : n < 0 && errno != ECONNRESET ? -errno : -EPIPE;
}

static int take_all(const struct byoh_mirror *mirror, void *ret, size_t size)
{
	char *next = ret;

	while (size) {
		ssize_t n = take_some(mirror, next, size);

		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return (int)n;
		next += n;
		size -= (size_t)n;
	}
	return 0;
}

static int receive_descriptor(int from)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec one = { &byte, 1 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *head;
	ssize_t n;
	int fd;

	do {
		n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	head = n == 1 ? CMSG_FIRSTHDR(&message) : NULL;
	if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int)))
		return n < 0 ? -errno : -EPIPE;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static int begin_connection(struct byoh_mirror *mirror, struct byoh_error *err)
{
	int rc = byoh_outside_send(mirror->fd, &mirror->position, sizeof(mirror->position));

	mirror->left = 0;
	if (rc == 0)
		mirror->stream = receive_descriptor(mirror->fd);
	if (rc == 0 && mirror->stream < 0)
		rc = mirror->stream;
	return rc < 0 ? byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "the helper for the mirror is gone") : 0;
}

static void end_connection(struct byoh_mirror *mirror)
{
	byoh_cleanup_fd(&mirror->stream);
	mirror->stream = -1;
}

/* Tries are counted anew with each byte that goes further than ever. */
static int wait_and_retry(struct byoh_mirror *mirror, struct byoh_error *err)
{
	char done[32], message[TEXT_MAX + 200];

	end_connection(mirror);
	if (mirror->tries++ >= TRIES)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO,
				 "it broke off at byte %llu, and %d more tries came no further: %s; run it again when "
				 "the mirror is well",
				 (unsigned long long)mirror->position, TRIES, mirror->reason);
	snprintf(message, sizeof(message), "the mirror broke off at %s (byte %llu): %s; going on there",
		 byoh_format_size(mirror->position, done), (unsigned long long)mirror->position, mirror->reason);
	if (mirror->watch.note)
		mirror->watch.note(mirror->watch.context, message);
	if (wait_for(mirror, -1, FIRST_WAIT_MS << (mirror->tries - 1)) == -EINTR)
		return interrupted(err);
	return begin_connection(mirror, err);
}

/* An answer need not tell the length of the whole: chunked, or a range of "*". */
static int take_head(struct byoh_mirror *mirror, uint64_t whole, struct byoh_error *err)
{
	mirror->answered = true;
	if (whole == UINT64_MAX)
		return 0;
	if (mirror->whole != BYOH_READER_SIZE_UNKNOWN && mirror->whole != whole)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ESTALE,
				 "the file on the mirror was exchanged while it was read: it had %llu bytes and has %llu",
				 (unsigned long long)mirror->whole, (unsigned long long)whole);
	mirror->whole = whole;
	return 0;
}

static int take_failure(struct byoh_mirror *mirror, const struct byoh_mirror_record *record, struct byoh_error *err)
{
	uint32_t size = record->size < sizeof(mirror->reason) ? record->size : sizeof(mirror->reason) - 1;

	if (take_all(mirror, mirror->reason, size) < 0)
		size = 0;
	mirror->reason[size] = '\0';
	byoh_make_printable(mirror->reason);
	if (record->number == BYOH_MIRROR_STRANGER)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "who answers does not prove itself by the CA%s: %s",
				 mirror->has_ca ? " of --mirror-ca" : "s of this host; name the site's with --mirror-ca FILE",
				 mirror->reason);
	if (record->number == BYOH_MIRROR_FINAL || (record->number == BYOH_MIRROR_NOBODY && !mirror->answered))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s", mirror->reason);
	return wait_and_retry(mirror, err);
}

/* Up to the next byte of the file. */
static int next_record(struct byoh_mirror *mirror, struct byoh_error *err)
{
	struct byoh_mirror_record record;
	int r = take_all(mirror, &record, sizeof(record));

	if (r == -EINTR)
		return interrupted(err);
	if (r < 0 || record.size > BYOH_MIRROR_RECORD_MAX) {
		snprintf(mirror->reason, sizeof(mirror->reason), "%s",
			 r == -ETIMEDOUT ? "it has been silent for too long" : "the connection broke down");
		return wait_and_retry(mirror, err);
	}
	switch (record.type) {
	case BYOH_MIRROR_HEAD:
		return take_head(mirror, record.number, err);
	case BYOH_MIRROR_DATA:
		mirror->left = record.size;
		return 0;
	case BYOH_MIRROR_END:
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENODATA, "the file ends early, at byte %llu",
				 (unsigned long long)mirror->position);
	default:
		return take_failure(mirror, &record, err);
	}
}

static void note_progress(struct byoh_mirror *mirror, size_t size)
{
	mirror->left -= (uint32_t)size;
	mirror->position += size;
	if (mirror->position <= mirror->best)
		return;
	mirror->best = mirror->position;
	mirror->tries = 0;
}

static int take_bytes(struct byoh_mirror *mirror, char *ret, size_t size, struct byoh_error *err)
{
	while (size) {
		ssize_t n;
		int r;

		if (!mirror->left) {
			r = next_record(mirror, err);
			if (r < 0)
				return r;
			continue;
		}
		n = take_some(mirror, ret, size < mirror->left ? size : mirror->left);
		if (n == -EINTR)
			return interrupted(err);
		if (n < 0 && n != -EAGAIN) {
			snprintf(mirror->reason, sizeof(mirror->reason), "the connection broke down");
			r = wait_and_retry(mirror, err);
			if (r < 0)
				return r;
		}
		if (n <= 0)
			continue;
		note_progress(mirror, (size_t)n);
		ret += n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_mirror(void *context, void *ret, size_t size, uint64_t offset, uint64_t *ret_whole,
		       struct byoh_error *err)
{
	struct byoh_mirror *mirror = context;
	int r = 0;

	/* Over what nobody wants: a connection that begins behind it. */
	if (mirror->stream >= 0 && offset != mirror->position)
		end_connection(mirror);
	if (mirror->stream < 0) {
		mirror->position = mirror->best = offset;
		r = begin_connection(mirror, err);
	}
	if (r == 0)
		r = take_bytes(mirror, ret, size, err);
	*ret_whole = mirror->whole;
	return r;
}

int byoh_mirror_open(struct byoh_mirror *mirror, const struct byoh_mirror_watch *watch, struct byoh_reader **ret,
		     struct byoh_error *err)
{
	const struct byoh_stream_source source = { .read = read_mirror, .context = mirror };

	mirror->watch = *watch;
	return byoh_stream_open(&source, ret, err);
}
