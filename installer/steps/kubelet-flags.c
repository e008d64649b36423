/* SPDX-License-Identifier: Apache-2.0 */
/* /var/lib/kubelet/kubeadm-flags.env: `kubeadm join` leaves flags there that a later kubelet does not know, and a
 * kubelet that meets one ends. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/ledger.h"
#include "installer/steps/steps-internal.h"

#define FLAGS_MAX ((size_t)1 << 20)

/* The first minor release without the flag. Of the last two it is known that 1.36 has them no more. */
static const struct {
	const char *name;
	unsigned int gone;
	bool value;
} flags[] = {
	{ "cadvisor-port", 12, true },
	{ "allow-privileged", 15, false },
	{ "network-plugin", 24, true },
	{ "network-plugin-mtu", 24, true },
	{ "cni-bin-dir", 24, true },
	{ "cni-cache-dir", 24, true },
	{ "cni-conf-dir", 24, true },
	{ "docker-endpoint", 24, true },
	{ "dynamic-config-dir", 24, true },
	{ "experimental-dockershim-root-directory", 24, true },
	{ "image-pull-progress-deadline", 24, true },
	{ "add-dir-header", 26, false },
	{ "alsologtostderr", 26, false },
	{ "log-backtrace-at", 26, true },
	{ "log-dir", 26, true },
	{ "log-file", 26, true },
	{ "log-file-max-size", 26, true },
	{ "logtostderr", 26, false },
	{ "one-output", 26, false },
	{ "skip-headers", 26, false },
	{ "skip-log-headers", 26, false },
	{ "stderrthreshold", 26, true },
	{ "container-runtime", 27, true },
	{ "pod-infra-container-image", 35, true },
	{ "non-masquerade-cidr", 36, true },
	{ "register-schedulable", 36, false },
};

/* The kubelet takes "_" for "-". */
static bool is_name(const char *text, size_t length, const char *name)
{
	if (strlen(name) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((text[i] == '_' ? '-' : text[i]) != name[i])
			return false;
	return true;
}

static size_t word_length(const char *text)
{
	return strcspn(text, " \t\r\n\"'");
}

/* How many bytes at text are a flag that is gone, its value and the blanks behind it included; 0: none. */
static size_t gone_flag(const char *text, unsigned int minor)
{
	size_t word = word_length(text), length;

	if (strncmp(text, "--", 2) != 0)
		return 0;
	length = strcspn(text + 2, "= \t\r\n\"'");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		size_t blanks = strspn(text + word, " \t");

		if (!is_name(text + 2, length, flags[i].name) || minor < flags[i].gone)
			continue;
		if (flags[i].value && text[2 + length] != '=' && blanks && text[word + blanks] != '-') {
			word += blanks + word_length(text + word + blanks);
			blanks = strspn(text + word, " \t");
		}
		return word + blanks;
	}
	return 0;
}

static int drop_blank(struct byoh_buffer *text)
{
	while (text->size && strchr(" \t", text->data[text->size - 1]))
		text->data[--text->size] = '\0';
	return 0;
}

int byoh_kubelet_flags_clean(const char *text, const struct byoh_kubernetes_version *version,
			     struct byoh_buffer *ret, size_t *ret_removed, struct byoh_error *err)
{
	bool comment = false;
	int r = 0;

	*ret_removed = 0;
	for (const char *at = text; *at && r == 0;) {
		bool starts = at == text || strchr(" \t\n\"'=", at[-1]);
		size_t gone;

		if (at == text || at[-1] == '\n')
			comment = *at == '#' || *at == ';';
		gone = starts && !comment ? gone_flag(at, version->minor) : 0;
		if (gone) {
			at += gone;
			++*ret_removed;
			/* the last of a line leaves the blank before it */
			if (strchr("\"'\r\n", *at))
				r = drop_blank(ret);
		} else {
			r = byoh_buffer_add(ret, at++, 1, err);
		}
	}
	return r;
}

/* What stood there before us, where nobody has changed what we made of it: a way back to an older kubelet brings
 * its flags back. *ret_ours says whether that is so. */
static int read_original(const struct byoh_plan_input *input, struct byoh_buffer *ret, mode_t *ret_mode,
			 bool *ret_ours, bool *ret_known, struct byoh_error *err)
{
	const struct byoh_origin *origin = byoh_ledger_find(input->ledger, BYOH_ACTION_FILE, BYOH_KUBEADM_FLAGS);
	char image[96];
	int r = byoh_steps_read(input->host, BYOH_KUBEADM_FLAGS, ret, ret_mode, err);

	*ret_known = origin;
	*ret_ours = false;
	if (r < 0 || !origin || !origin->before.existed)
		return r;
	r = byoh_origin_is_changed(input->host, origin, err);
	byoh_origin_image(origin, image);
	if (r || !byoh_exists_beneath(input->host->root_fd, image))
		return r < 0 ? r : 0;
	*ret_ours = true;
	ret->size = 0;
	return byoh_read_file(input->host->root_fd, image, FLAGS_MAX, ret, err);
}

int byoh_step_kubelet_flags(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, clean = { 0 };
	struct byoh_kubernetes_version version;
	bool ours, known;
	size_t removed;
	mode_t mode;
	int r;

	if (!byoh_steps_brings(input, BYOH_BIN_KUBELET) || !input->manifest->kubernetes ||
	    byoh_steps_adopts_node(input))
		return 0;
	r = read_original(input, &text, &mode, &ours, &known, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = byoh_kubernetes_version_parse(input->manifest->kubernetes, &version, err);
	if (r == 0)
		r = byoh_kubelet_flags_clean(byoh_buffer_text(&text), &version, &clean, &removed, err);
	/* Not named: what we once took out of it is given back. What kubeadm has written anew since is not. */
	if (r < 0 || (!removed && (ours || !known)))
		return r;
	r = byoh_step_file(step, BYOH_KUBEADM_FLAGS, mode & 07777, byoh_buffer_text(&clean), clean.size, NULL, err);
	return r < 0 ? r : byoh_step_sentence(step, err, "Take flags that kubelet %s does not know out of "
							 BYOH_KUBEADM_FLAGS, input->manifest->kubernetes);
}
