/* SPDX-License-Identifier: Apache-2.0 */
/* Services: how they stand, what they are started with, what they said last. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "installer/steps/kubeadm-join.h"

#define JOURNAL_LINES                                                                              \
	"1000" /* a kubelet that refuses a flag prints its three hundred flags each time */
#define RECENT_SECONDS 120

/*
 * The journal's text: "[   88.577974] host kubelet[238]: message", further lines of a message are
 * indented.
 */

struct line {
	double at;	/* -1: it continues the one before */
	bool systemd;
	const char *message;
	size_t length;
};

static struct line read_line(const char *text, size_t length)
{
	struct line line = { .at = -1, .message = text, .length = length };
	const char *colon, *bracket;
	double at;
	int end = 0;

	if (sscanf(text, "[%lf]%n", &at, &end) != 1 || !end || (size_t)end >= length)
		return line;
	colon = memmem(text + end, length - (size_t)end, ": ", 2);
	bracket = colon && colon[-1] == ']'
			  ? memrchr(text + end, '[', (size_t)(colon - text) - (size_t)end)
			  : colon;
	if (!colon || !bracket)
		return line;
	line.at = at;
	line.systemd = bracket - text > 8 && strncmp(bracket - 8, " systemd", 8) == 0;
	line.message = colon + 2;
	line.length = length - (size_t)(colon + 2 - text);
	return line;
}

static bool is_start(const struct line *line)
{
	return line->systemd && (strncmp(line->message, "Started ", 8) == 0 ||
				 strncmp(line->message, "Starting ", 9) == 0);
}

/* Type=notify says both, one behind the other. */
static const char *find_start(const char *text, unsigned int runs)
{
	const char *starts[2] = { text, text };
	bool after_start = false;

	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n");
		struct line line = read_line(at, length);

		if (is_start(&line) &&
		    !(after_start && strncmp(line.message, "Started ", 8) == 0)) {
			starts[0] = starts[1];
			starts[1] = at;
		}
		if (line.at >= 0)
			after_start = is_start(&line) && strncmp(line.message, "Starting ", 9) == 0;
		at += length + (at[length] == '\n');
	}
	return starts[runs == 1];
}

int byoh_journal_cut(const char *text, bool failing, double now, unsigned int seconds,
		     struct byoh_buffer *ret, struct byoh_error *err)
{
	bool recent = true;
	int rc = 0;

	for (const char *at = find_start(text, failing ? 2 : 1); *at && rc == 0;) {
		size_t length = strcspn(at, "\n");
		struct line line = read_line(at, length);

		if (line.at >= 0)
			recent = !seconds || line.at + seconds >= now;
		if (recent)
			rc = byoh_buffer_printf(ret, err, "%.*s\n", (int)line.length, line.message);
		at += length + (at[length] == '\n');
	}
	return rc;
}

static double monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int gather_log(const char *name, bool failing, struct byoh_unit_evidence *ret,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, log = { 0 };
	const char *const argv[] = { "journalctl",
				     "--quiet",
				     "--no-pager",
				     "--all",
				     "--boot",
				     "--output=short-monotonic",
				     "--lines=" JOURNAL_LINES,
				     "--unit",
				     name,
				     NULL };
	bool good;
	int rc = byoh_gather_output(argv, 120, &text, &good, err);

	if (rc < 0 || !good)
		return rc;
	/* What a service that fails said last counts however long ago; one that runs may have got
	 * over it. */
	rc = byoh_journal_cut(byoh_buffer_text(&text), failing, monotonic_now(),
			      failing ? 0 : RECENT_SECONDS, &log, err);
	if (rc == 0 && log.size)
		ret->log = TAKE_PTR(log.data);
	return rc;
}

static int gather_definition(const char *name, struct byoh_unit_evidence *ret,
			     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *const argv[] = { "systemctl", "cat", "--no-pager", "--", name, NULL };
	bool good;
	int rc = byoh_gather_output(argv, 60, &text, &good, err);

	if (rc == 0 && good && text.size)
		ret->definition = TAKE_PTR(text.data);
	return rc;
}

/* "Name=value" lines, as `systemctl show` prints them. */
static double property(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtod(at + strlen(name), NULL) : 0;
}

static int gather_uptime(const char *name, struct byoh_unit_evidence *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *const argv[] = { "systemctl",
				     "show",
				     "--property=ActiveState,ExecMainStartTimestampMonotonic,NRestarts",
				     "--",
				     name,
				     NULL };
	bool good;
	int rc = byoh_gather_output(argv, 60, &text, &good, err);
	const char *lines = byoh_buffer_text(&text);
	double since = property(lines, "ExecMainStartTimestampMonotonic=") / 1e6, now = monotonic_now();

	ret->up_seconds = since > 0 && since < now && strstr(lines, "ActiveState=active\n") ?
				  (uint64_t)(now - since) :
				  0;
	ret->restarts = (uint64_t)property(lines, "NRestarts=");
	return rc;
}

/* One that systemd has just started once more is up, and nobody knows for how long: the next seconds tell. */
static int await_steady(const char *name, struct byoh_unit_evidence *unit, struct byoh_error *err)
{
	const struct timespec second = { .tv_sec = 1 };
	uint64_t last = 0;
	int rc = 0;

	for (int i = 0; i <= BYOH_STEADY_SECONDS && rc == 0 && unit->restarts; i++) {
		/* Down again, or steady. */
		if (unit->up_seconds < last || unit->up_seconds >= BYOH_STEADY_SECONDS)
			break;
		last = unit->up_seconds;
		if (nanosleep(&second, NULL) < 0)
			break; /* somebody does not want to wait */
		rc = gather_uptime(name, unit, err);
	}
	return rc;
}

/* It says so once, and may have said a thousand lines since. Where journalctl has no patterns there is the log's end
 * alone. */
static int gather_claim(struct byoh_evidence *evidence, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char since[64];
	const char *const argv[] = { "journalctl",
				     "--quiet",
				     "--no-pager",
				     "--boot",
				     "--output=cat",
				     "--lines=1",
				     since,
				     "--grep=bootstrapped",
				     "--unit",
				     byoh_doctor_unit_name(BYOH_DOCTOR_AGENT),
				     NULL };
	struct stat st;
	bool good;
	int rc;

	if (byoh_host_stat(evidence->host->root_fd, BYOH_KUBEADM_REQUEST, &st, NULL) < 0)
		return 0;
	evidence->kubeadm_join_config = true;
	if (!evidence->host->systemd_running)
		return 0;
	snprintf(since, sizeof(since), "--since=@%lld", (long long)st.st_mtime);
	rc = byoh_gather_output(argv, 120, &text, &good, err);
	if (rc == 0 && good && text.size)
		evidence->claim_said = strndup(text.data, strcspn(text.data, "\n"));
	return rc;
}

/* The states have been asked for already. */
static const char *state_of(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit)
{
	const char *name = unit == BYOH_DOCTOR_AGENT ? "agent" : byoh_doctor_unit_name(unit);

	for (size_t i = 0; i < evidence->node.service_count; i++)
		if (strcmp(evidence->node.services[i].name, name) == 0)
			return evidence->node.services[i].state;
	return NULL;
}

int byoh_gather_units(struct byoh_evidence *evidence, struct byoh_error *err)
{
	int rc = 0;

	for (enum byoh_doctor_unit i = 0; i < BYOH_DOCTOR_UNITS && rc == 0; i++) {
		struct byoh_unit_evidence *unit = &evidence->units[i];
		const char *name = byoh_doctor_unit_name(i);
		bool running;

		unit->state = state_of(evidence, i);
		if (!unit->state || !evidence->host->systemd_running)
			continue;
		running = byoh_unit_runs(evidence, i);
		if (running)
			rc = gather_uptime(name, unit, err);
		if (rc == 0 && running)
			rc = await_steady(name, unit, err);
		if (rc == 0)
			rc = gather_log(name, !running || unit->up_seconds < BYOH_STEADY_SECONDS, unit, err);
		if (rc == 0)
			rc = gather_definition(name, unit, err);
	}
	return rc < 0 ? rc : gather_claim(evidence, err);
}
