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

/* One line of `ctr images list`: REF TYPE DIGEST SIZE PLATFORMS LABELS. */
struct listed_image {
	const char *ref, *digest; /* not terminated */
	size_t ref_size, digest_size;
	bool pinned;
};

/* The next image of the list at *next; false at its end. */
static bool next_image(const char **next, struct listed_image *ret)
{
	while (**next) {
		const char *line = *next;
		size_t length = strcspn(line, "\n");
		const char *digest = memmem(line, length, " sha256:", strlen(" sha256:"));

		*next = line + length + (line[length] == '\n');
		if (!digest)
			continue;
		*ret = (struct listed_image){ line, digest + 1, strcspn(line, " "), strcspn(digest + 1, " \n"),
					      memmem(line, length, PINNED_LABEL, strlen(PINNED_LABEL)) };
		return true;
	}
	return false;
}

static bool is_text(const char *bytes, size_t size, const char *text)
{
	return size == strlen(text) && memcmp(bytes, text, size) == 0;
}

static int list_images(struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *const argv[] = { CTR, "list", NULL };
	const struct byoh_run run = { .argv = argv, .output = ret };

	return byoh_run_checked(&run, err);
}

/* The digest that the reference names now; "" if containerd does not have it. ret_pinned may be NULL. */
static int find_image(const char *ref, struct byoh_buffer *ret, bool *ret_pinned, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct listed_image image;
	const char *next;
	int r = list_images(&output, err);

	if (r < 0)
		return r;
	next = byoh_buffer_text(&output);
	while (next_image(&next, &image)) {
		if (!is_text(image.ref, image.ref_size, ref))
			continue;
		if (ret_pinned)
			*ret_pinned = image.pinned;
		return byoh_buffer_add(ret, image.digest, image.digest_size, err);
	}
	return 0;
}

/* A name may outlive its content: `ctr images check` says "complete (4/4)", "incomplete (3/4)" or
 * "unavailable (0/?)". A ctr that cannot tell is believed. */
static bool is_complete(const char *ref)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	CLEANUP_FREE char *filter = NULL;
	const char *argv[] = { CTR, "check", NULL, NULL };
	const struct byoh_run run = { .argv = argv, .output = &output };

	if (asprintf(&filter, "name==%s", ref) < 0)
		return true;
	argv[ARRAY_SIZE(argv) - 2] = filter;
	if (byoh_run_checked(&run, NULL) < 0)
		return true;
	return !strstr(byoh_buffer_text(&output), "incomplete (") &&
	       !strstr(byoh_buffer_text(&output), "unavailable (");
}

static int check_image(const struct byoh_action_context *context, struct byoh_action *action,
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE];
	bool pinned = false;

	(void)err;
	if (byoh_action_wants(action, "removed")) {
		bool there = access(SOCKET, F_OK) == 0 &&
			     find_image(action->subject, &found, NULL, NULL) == 0 && found.size;

		action->state = there ? BYOH_STATE_DIFFERENT : BYOH_STATE_SAME;
		return 0;
	}
	action->state = BYOH_STATE_ABSENT;
	/* Where containerd does not run yet an action before starts it. */
	if (access(SOCKET, F_OK) < 0 || find_image(action->subject, &found, &pinned, NULL) < 0 || !found.size)
		return 0;
	byoh_digest_hex(&action->image->digest, hex);
	action->state = strcmp(byoh_buffer_text(&found) + strlen("sha256:"), hex) == 0 &&
					(pinned || !action->pinned) &&
					(!context->thorough || is_complete(action->subject)) ?
				BYOH_STATE_SAME : BYOH_STATE_DIFFERENT;
	return 0;
}

static int keep_image(const struct byoh_action_context *context, const struct byoh_action *action,
		      struct byoh_before *before, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	int r = find_image(action->subject, &found, NULL, err);

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
				.timeout_seconds = IMPORT_TIMEOUT, .cancel = context->cancel };
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

/* Such a containerd does not heed the label, but keeps it, and a newer one heeds it after the upgrade. */
static void pin_later(const struct byoh_action_context *context, const char *ref)
{
	const char *const argv[] = { CTR, "label", ref, PINNED_LABEL, NULL };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_run_checked(&(struct byoh_run){ .argv = argv }, &err) < 0)
		byoh_observer_warn(context->observer, "%s", err.message);
}

static int add_image(const struct byoh_action_context *context, const struct byoh_action *action,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE];
	bool label = action->pinned && knows_label();
	int r;

	r = import(context, action, label, err);
	if (r == 0)
		r = find_image(action->subject, &found, NULL, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "cannot import the image %s", action->subject);
	byoh_digest_hex(&action->image->digest, hex);
	if (action->pinned && !label)
		pin_later(context, action->subject);
	if (!strstr(byoh_buffer_text(&found), hex))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
				 "containerd imported %s as %s instead of sha256:%s", action->subject,
				 found.size ? byoh_buffer_text(&found) : "nothing", hex);
	return 0;
}

/* containerd's CRI gives each image a second name, its id. It goes with the last of the others. */
static int remove_ids(const char *digest, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	struct listed_image image;
	char id[BYOH_DIGEST_HEX_SIZE + 7] = "";
	const char *next;
	int r = list_images(&output, err);

	if (r < 0)
		return r;
	next = byoh_buffer_text(&output);
	while (next_image(&next, &image)) {
		if (!is_text(image.digest, image.digest_size, digest))
			continue;
		if (strncmp(image.ref, "sha256:", 7) != 0 || image.ref_size >= sizeof(id))
			return 0;
		memcpy(id, image.ref, image.ref_size);
		id[image.ref_size] = '\0';
	}
	return id[0] ? byoh_run_simple(err, CTR, "remove", id, NULL) : 0;
}

static int remove_image(const char *ref, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };
	int r = find_image(ref, &found, NULL, err);

	if (r < 0 || !found.size)
		return r;
	r = byoh_run_simple(err, CTR, "remove", ref, NULL);
	return r < 0 ? r : remove_ids(byoh_buffer_text(&found), err);
}

static int apply_image(const struct byoh_action_context *context, const struct byoh_action *action,
		       uint64_t number, struct byoh_error *err)
{
	(void)number;
	return byoh_action_wants(action, "removed") ? remove_image(action->subject, err) :
						      add_image(context, action, err);
}

/* A reference that named other content before cannot be turned back from the notes alone: that content may be
 * collected by now. The bundle of its release has it, and `repair` takes it from there. */
static void tell_renamed(const struct byoh_action_context *context, const struct byoh_before *before)
{
	CLEANUP_BUFFER struct byoh_buffer found = { 0 };

	if (find_image(before->subject, &found, NULL, NULL) == 0 && before->value &&
	    strcmp(byoh_buffer_text(&found), before->value) != 0)
		byoh_observer_warn(context->observer, "the image %s is not what it was: `byoh-install repair` "
				   "imports it again", before->subject);
}

static int revert_image(const struct byoh_action_context *context, const struct byoh_before *before,
			struct byoh_error *err)
{
	if (access(SOCKET, F_OK) < 0)
		return 0;
	if (!before->existed)
		return remove_image(before->subject, err);
	tell_renamed(context, before);
	return 0;
}

const struct byoh_action_ops byoh_image_ops = {
	.check = check_image, .keep = keep_image, .apply = apply_image, .revert = revert_image,
};
