/* SPDX-License-Identifier: Apache-2.0 */
/* The host's name, the names that it knows without a name server, and where it gets the time. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"

#define BEGIN_LINE "# byoh-install: begin\n"
#define END_LINE "# byoh-install: end\n"

int byoh_step_host_name(const struct byoh_plan_input *input, struct byoh_step *step,
			struct byoh_error *err)
{
	const char *name = input->config->host.hostname;
	CLEANUP_FREE char *line = NULL;
	int rc;

	if (!name)
		return 0;
	rc = byoh_steps_one_line(name, "host.hostname", err);
	if (rc)
		return rc;
	if (asprintf(&line, "%s\n", name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_steps_text(input, step, "/etc/hostname", 0644, line, err);
	if (!rc)
		rc = byoh_step_other(step, BYOH_ACTION_HOSTNAME, name, NULL, NULL, err);
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Name the host %s", name);
}

static const char *find_line(const char *text, size_t size, const char *line)
{
	const char *at = text;

	while ((at = memmem(at, size - (size_t)(at - text), line, strlen(line)))) {
		if (at == text || at[-1] == '\n')
			return at;
		at++;
	}
	return NULL;
}

static int add_block(const struct byoh_pairs *pairs, struct byoh_buffer *ret,
		     struct byoh_error *err)
{
	int rc;

	if (ret->size && ret->data[ret->size - 1] != '\n') {
		rc = byoh_buffer_add_string(ret, "\n", err);
		if (rc)
			return rc;
	}
	rc = byoh_buffer_add_string(ret, BEGIN_LINE, err);
	for (size_t i = 0; !rc && i < pairs->count; i++) {
		rc = byoh_steps_one_line(pairs->items[i].key, "host.hosts", err);
		if (!rc)
			rc = byoh_steps_one_line(pairs->items[i].value, "host.hosts", err);
		if (!rc)
			rc = byoh_buffer_printf(ret, err, "%s %s\n", pairs->items[i].key,
						pairs->items[i].value);
	}
	return rc ? rc : byoh_buffer_add_string(ret, END_LINE, err);
}

int byoh_hosts_with(const char *text, size_t size, const struct byoh_pairs *pairs,
		    struct byoh_buffer *ret, bool *ret_had_block, struct byoh_error *err)
{
	const char *begin = find_line(text, size, BEGIN_LINE);
	const char *end = begin ? find_line(begin, size - (size_t)(begin - text), END_LINE) : NULL;
	int rc;

	*ret_had_block = end != NULL;
	if (end) {
		end += strlen(END_LINE);
		rc = byoh_buffer_add(ret, text, (size_t)(begin - text), err);
		/* In its place, so that what stands behind it stays behind it. */
		if (!rc && pairs->count)
			rc = add_block(pairs, ret, err);
		return rc ? rc : byoh_buffer_add(ret, end, size - (size_t)(end - text), err);
	}
	rc = byoh_buffer_add(ret, text, size, err);
	return rc || !pairs->count ? rc : add_block(pairs, ret, err);
}

int byoh_step_host_table(const struct byoh_plan_input *input, struct byoh_step *step,
			 struct byoh_error *err)
{
	const struct byoh_pairs *pairs = &input->config->host.hosts;
	CLEANUP_BUFFER struct byoh_buffer old = { 0 };
	CLEANUP_BUFFER struct byoh_buffer new = { 0 };
	mode_t mode = 0644;
	bool had_block;
	int rc;

	/* One that cannot be read is nobody's concern where nothing is asked of it. */
	rc = byoh_steps_read(input->host, "/etc/hosts", &old, &mode, pairs->count ? err : NULL);
	if (rc && rc != -ENOENT)
		return pairs->count ? rc : 0;
	rc = byoh_hosts_with(byoh_buffer_text(&old), old.size, pairs, &new, &had_block, err);
	if (rc || (!pairs->count && !had_block))
		return rc;
	rc = byoh_steps_file(input, step, "/etc/hosts", mode, new.data, new.size, NULL, err);
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Keep %zu addresses in /etc/hosts", pairs->count);
}

static int time_sources(const struct byoh_strings *servers, const char *head, const char *each,
			const char *tail, struct byoh_buffer *ret, struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret, head, err);

	for (size_t i = 0; !rc && i < servers->count; i++) {
		rc = byoh_steps_one_line(servers->items[i], "host.ntp", err);
		if (!rc)
			rc = byoh_buffer_printf(ret, err, "%s%s%s", each, servers->items[i], tail);
	}
	return rc;
}

/* The service reads its new source when it is restarted; a host that keeps time otherwise goes on.
 */
static int place_sources(const struct byoh_plan_input *input, struct byoh_step *step,
			 const char *path, const struct byoh_buffer *text, const char *unit,
			 struct byoh_error *err)
{
	const char *const restart_on[] = { path, NULL };
	int rc;

	rc = byoh_steps_text(input, step, path, 0644, byoh_buffer_text(text), err);
	if (!rc)
		rc = byoh_step_unit(step, unit, true, restart_on, err);
	if (!rc)
		step->actions[step->action_count - 1].optional = true;
	return rc;
}

int byoh_step_time(const struct byoh_plan_input *input, struct byoh_step *step,
		   struct byoh_error *err)
{
	const struct byoh_strings *servers = &input->config->host.ntp;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc;

	if (!servers->count)
		return 0;
	if (byoh_steps_unit_exists(input->host, "chrony.service") &&
	    byoh_steps_exists(input->host, "/etc/chrony/sources.d")) {
		rc = time_sources(servers, "", "server ", " iburst\n", &text, err);
		if (!rc)
			rc = place_sources(input, step, "/etc/chrony/sources.d/byoh.sources", &text,
					   "chrony.service", err);
	} else if (byoh_steps_unit_exists(input->host, "systemd-timesyncd.service")) {
		rc = time_sources(servers, "[Time]\nNTP=", "", " ", &text, err);
		if (!rc) {
			text.data[text.size - 1] = '\n';
			rc = place_sources(input, step, "/etc/systemd/timesyncd.conf.d/byoh.conf",
					   &text, "systemd-timesyncd.service", err);
		}
	} else {
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, ENOENT,
			"host.ntp: this host has neither chrony with /etc/chrony/sources.d nor "
			"systemd-timesyncd; leave the key out and keep the time by other means");
	}
	if (rc)
		return rc;
	return byoh_step_sentence(step, err, "Take the time from %zu servers", servers->count);
}
