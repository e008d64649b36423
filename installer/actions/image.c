/* SPDX-License-Identifier: Apache-2.0 */
/* Container images into containerd's namespace k8s.io, where the kubelet looks, by `ctr images import`. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/run.h"

#define SOCKET "/run/containerd/containerd.sock" /* ctr's own default */
#define IMPORT_TIMEOUT 3600			 /* seconds; a large image on a slow disk */
#define PINNED_LABEL "io.cri-containerd.pinned=pinned"

#define CTR "ctr", "--connect-timeout", "10s", "-n", "k8s.io", "images"

/* The digest that the reference names now; "" if containerd does not have it. */
static int find_image(const char *ref, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	CLEANUP_FREE char *filter = NULL;
	struct byoh_run list = { .output = &output };
	const char *line;
	size_t length = strlen(ref);
	int r;

	if (asprintf(&filter, "name==%s", ref) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	list.argv = (const char *const[]){ CTR, "list", filter, NULL };
	r = byoh_run_checked(&list, err);
	if (r < 0)
		return r;
	/* REF TYPE DIGEST SIZE PLATFORMS LABELS */
	for (line = byoh_buffer_text(&output); line; line = strchr(line, '\n')) {
		const char *digest;

		line += *line == '\n';
		if (strncmp(line, ref, length) != 0 || line[length] != ' ')
			continue;
		digest = strstr(line, " sha256:");
		return digest ? byoh_buffer_add(ret, digest + 1, strcspn(digest + 1, " \n"), err) : 0;
	}
	return 0;
}

static int check_image(const struct byoh_action_context *context, struct byoh_action *action,
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE];

	(void)context;
	(void)err;
	action->state = BYOH_STATE_ABSENT;
	/* Where containerd does not run yet an action before starts it. */
	if (access(SOCKET, F_OK) < 0 || find_image(action->subject, &found, NULL) < 0 || !found.size)
		return 0;
	byoh_digest_hex(&action->image->digest, hex);
	action->state = strcmp(byoh_buffer_text(&found) + strlen("sha256:"), hex) == 0 ?
				BYOH_STATE_SAME : BYOH_STATE_DIFFERENT;
	return 0;
}

static int keep_image(const struct byoh_action_context *context, const struct byoh_action *action,
		      struct byoh_before *before, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	int r = find_image(action->subject, &found, err);

	(void)context;
	if (r < 0 || !found.size)
		return r;
	before->existed = true;
	return byoh_before_set(&before->value, byoh_buffer_text(&found), err);
}

struct writer {
	const struct byoh_action_context *context;
	const struct byoh_image *image;
	int fd;
	int result;
	struct byoh_error failure;
};

static void *write_archive(void *argument)
{
	struct writer *writer = argument;

	writer->result = byoh_image_archive_write(writer->context, writer->image, writer->fd,
						  &writer->failure);
	close(writer->fd);
	return NULL;
}

/* A thread that feeds the pipe. Signals stay the main thread's, and an importer that dies early is EPIPE
 * and no SIGPIPE. */
static int start_writer(struct writer *writer, pthread_t *ret, struct byoh_error *err)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(ret, NULL, write_archive, writer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, r, "cannot start a thread");
	return 0;
}

/* ctr before 1.7 has no --label. */
static bool knows_label(void)
{
	CLEANUP_BUFFER struct byoh_buffer help = { 0 };
	const char *const argv[] = { "ctr", "images", "import", "--help", NULL };
	const struct byoh_run run = { .argv = argv, .output = &help };
	int status;

	return byoh_run(&run, &status, NULL) == 0 && strstr(byoh_buffer_text(&help), "--label");
}

static int import(const struct byoh_action_context *context, const struct byoh_action *action,
		  bool label, struct byoh_error *err)
{
	const char *const plain[] = { CTR, "import", "-", NULL };
	const char *const pinned[] = { CTR, "import", "--label", PINNED_LABEL, "-", NULL };
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct writer writer = { .context = context, .image = action->image };
	struct byoh_run run = { .argv = label ? pinned : plain, .output = &output,
				.timeout_seconds = IMPORT_TIMEOUT };
	pthread_t thread;
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return byoh_fail_errno(err, "cannot make a pipe");
	writer.fd = ends[1];
	r = start_writer(&writer, &thread, err);
	if (r < 0) {
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	run.input_fd = ends[0];
	r = byoh_run_checked(&run, err);
	close(ends[0]);
	pthread_join(thread, NULL);
	/* A broken pipe only tells that the importer gave up: its own words say why. */
	if (writer.result < 0 && (r == 0 || writer.result != -EPIPE)) {
		if (err)
			*err = writer.failure;
		r = writer.result;
	}
	return r;
}

static int apply_image(const struct byoh_action_context *context, const struct byoh_action *action,
		       uint64_t number, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	(void)number;
	r = import(context, action, action->pinned && knows_label(), err);
	if (r == 0)
		r = find_image(action->subject, &found, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "cannot import the image %s", action->subject);
	byoh_digest_hex(&action->image->digest, hex);
	if (!strstr(byoh_buffer_text(&found), hex))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
				 "containerd imported %s as %s instead of sha256:%s", action->subject,
				 found.size ? byoh_buffer_text(&found) : "nothing", hex);
	return 0;
}

static int revert_image(const struct byoh_action_context *context, const struct byoh_before *before,
			struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	int r;

	(void)context;
	/* A reference that named another image before cannot be turned back: its content may be collected
	 * by now. Both images are the operator's own bytes, and pods name what they want by the reference. */
	if (before->existed || access(SOCKET, F_OK) < 0)
		return 0;
	r = find_image(before->subject, &found, err);
	if (r < 0 || !found.size)
		return r;
	return byoh_run_simple(err, CTR, "remove", before->subject, NULL);
}

const struct byoh_action_ops byoh_image_ops = {
	.check = check_image, .keep = keep_image, .apply = apply_image, .revert = revert_image,
};
