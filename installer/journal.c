/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/digest.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"

#define HEADER "byoh-journal 1\n"
#define CHECKSUM_LENGTH 16 /* hexadecimal digits of the record's SHA-256: against accidents only */
#define JOURNAL_NAME "%08" PRIu64 ".log"

struct byoh_journal {
	int fd;
	uint64_t number;
};

void byoh_record_begin(struct byoh_record *record, const char *type)
{
	byoh_record_release(record);
	*record = (struct byoh_record){ 0 };
	record->failure = byoh_buffer_printf(&record->text, NULL, "{\"record\": \"%s\"", type);
}

void byoh_record_string(struct byoh_record *record, const char *key, const char *value)
{
	if (!value || record->failure)
		return;
	record->failure = byoh_buffer_printf(&record->text, NULL, ", \"%s\": ", key);
	if (!record->failure)
		record->failure = byoh_json_quote(&record->text, value, NULL);
}

void byoh_record_u64(struct byoh_record *record, const char *key, uint64_t value)
{
	if (!record->failure)
		record->failure =
			byoh_buffer_printf(&record->text, NULL, ", \"%s\": %" PRIu64, key, value);
}

void byoh_record_release(struct byoh_record *record)
{
	byoh_buffer_release(&record->text);
}

static int checksum(const void *bytes, size_t size, char ret[CHECKSUM_LENGTH + 1],
		    struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest digest;
	int r = byoh_digest_of(bytes, size, &digest, err);

	if (r < 0)
		return r;
	byoh_digest_hex(&digest, hex);
	memcpy(ret, hex, CHECKSUM_LENGTH);
	ret[CHECKSUM_LENGTH] = '\0';
	return 0;
}

int byoh_journal_sync_folder(const struct byoh_host *host, struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(host->root_fd, BYOH_JOURNAL_FOLDER,
					      O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		return byoh_fail_errno(err, "cannot sync %s", BYOH_JOURNAL_FOLDER);
	return 0;
}

static void journal_path(uint64_t number, char ret[static 64])
{
	snprintf(ret, 64, BYOH_JOURNAL_FOLDER "/" JOURNAL_NAME, number);
}

int byoh_journal_create(const struct byoh_host *host, struct byoh_journal **ret, struct byoh_error *err)
{
	CLEANUP_JOURNAL struct byoh_journal *journal = calloc(1, sizeof(*journal));
	char path[64];
	int r;

	if (!journal)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	journal->fd = -1;
	r = byoh_journal_newest(host, &journal->number, err);
	if (r == 0)
		r = byoh_make_directories(host->root_fd, BYOH_JOURNAL_FOLDER, 0700, err);
	if (r < 0)
		return r;
	journal_path(++journal->number, path);
	journal->fd = byoh_open_beneath(host->root_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600,
					err);
	if (journal->fd < 0)
		return journal->fd;
	r = byoh_write_all(journal->fd, HEADER, strlen(HEADER), err);
	if (r == 0)
		r = byoh_journal_sync(journal, err);
	if (r == 0)
		r = byoh_journal_sync_folder(host, err);
	if (r == 0) /* the folder itself may be new */
		r = byoh_sync_parent(host->root_fd, BYOH_JOURNAL_FOLDER, err);
	if (r < 0) {
		(void)!byoh_remove_file(host->root_fd, path, NULL);
		return byoh_error_wrap(err, r, "cannot start a journal");
	}
	*ret = TAKE_PTR(journal);
	return 0;
}

uint64_t byoh_journal_number(const struct byoh_journal *journal)
{
	return journal->number;
}

int byoh_record_line(struct byoh_record *record, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_RECORD struct byoh_record own = *record;
	char sum[CHECKSUM_LENGTH + 1];
	int r;

	*record = (struct byoh_record){ 0 };
	if (!own.failure)
		own.failure = byoh_buffer_add_string(&own.text, "}", NULL);
	if (own.failure)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -own.failure, "cannot make a journal record");
	r = checksum(own.text.data, own.text.size, sum, err);
	return r < 0 ? r : byoh_buffer_printf(ret, err, "%s %s\n", sum, byoh_buffer_text(&own.text));
}

int byoh_journal_add(struct byoh_journal *journal, struct byoh_record *record, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer line = { 0 };
	int r = byoh_record_line(record, &line, err);

	if (r == 0)
		r = byoh_write_all(journal->fd, line.data, line.size, err);
	return r < 0 ? byoh_error_wrap(err, r, "journal") : 0;
}

int byoh_journal_sync(struct byoh_journal *journal, struct byoh_error *err)
{
	return fdatasync(journal->fd) < 0 ? byoh_fail_errno(err, "cannot sync the journal") : 0;
}

void byoh_journal_free(struct byoh_journal *journal)
{
	if (!journal)
		return;
	byoh_cleanup_fd(&journal->fd);
	free(journal);
}

void byoh_journal_freep(struct byoh_journal **journal)
{
	byoh_journal_free(*journal);
}

/* NULL where the line is no whole record. */
static struct byoh_yaml *parse_line(const char *line, size_t length, const char *name)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	char sum[CHECKSUM_LENGTH + 1];

	if (length < CHECKSUM_LENGTH + 2 || line[CHECKSUM_LENGTH] != ' ')
		return NULL;
	if (checksum(line + CHECKSUM_LENGTH + 1, length - CHECKSUM_LENGTH - 1, sum, NULL) < 0 ||
	    memcmp(sum, line, CHECKSUM_LENGTH) != 0)
		return NULL;
	if (byoh_yaml_parse(line + CHECKSUM_LENGTH + 1, length - CHECKSUM_LENGTH - 1, name,
			    BYOH_ERROR_SYSTEM, &doc, NULL) < 0 ||
	    !byoh_record_type(doc))
		return NULL;
	return TAKE_PTR(doc);
}

static int add_document(struct byoh_journal_text *text, struct byoh_yaml *doc, struct byoh_error *err)
{
	struct byoh_yaml **grown = reallocarray(text->records, text->count + 1, sizeof(*grown));

	if (!grown) {
		byoh_yaml_free(doc);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	text->records = grown;
	text->records[text->count++] = doc;
	return 0;
}

static int parse_records(const char *next, size_t left, const char *name,
			 struct byoh_journal_text *text, struct byoh_error *err)
{
	for (size_t number = 1; left; number++) {
		const char *end = memchr(next, '\n', left);
		size_t length = end ? (size_t)(end - next) : left;
		struct byoh_yaml *doc = end ? parse_line(next, length, name) : NULL;
		int r;

		/* Only the last record can be torn by a power cut: those before it were synced. */
		if (doc && text->torn) {
			byoh_yaml_free(doc);
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
					 "%s: record %zu is damaged; the file system lost data, check it",
					 name, number - 1);
		}
		if (doc) {
			r = add_document(text, doc, err);
			if (r < 0)
				return r;
		} else {
			text->torn = true;
		}
		next += length + (end ? 1 : 0);
		left -= length + (end ? 1 : 0);
	}
	return 0;
}

int byoh_records_parse(const char *bytes, size_t size, const char *header, const char *name,
		       struct byoh_journal_text **ret, struct byoh_error *err)
{
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = calloc(1, sizeof(*text));
	size_t length = strlen(header);
	size_t word = strcspn(header, " ") + 1;
	int r;

	if (!text)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (size < length) { /* the run ended while it began */
		text->torn = true;
		*ret = TAKE_PTR(text);
		return 0;
	}
	if (memcmp(bytes, header, length) != 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
				 memcmp(bytes, header, word) == 0 ?
					 "%s: a newer release wrote this; use its byoh-install" :
					 "%s: this is no %.*s",
				 name, (int)(word - 1), header);
	r = parse_records(bytes + length, size - length, name, text, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(text);
	return 0;
}

int byoh_journal_parse(const char *bytes, size_t size, const char *name, struct byoh_journal_text **ret,
		       struct byoh_error *err)
{
	return byoh_records_parse(bytes, size, HEADER, name, ret, err);
}

int byoh_journal_read(const struct byoh_host *host, uint64_t number, struct byoh_journal_text **ret,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	char path[64];
	int r;

	journal_path(number, path);
	r = byoh_read_file(host->root_fd, path, BYOH_JOURNAL_MAX_SIZE, &bytes, err);
	return r < 0 ? r : byoh_journal_parse(byoh_buffer_text(&bytes), bytes.size, path, ret, err);
}

void byoh_journal_text_free(struct byoh_journal_text *text)
{
	if (!text)
		return;
	for (size_t i = 0; i < text->count; i++)
		byoh_yaml_free(text->records[i]);
	free(text->records);
	free(text);
}

void byoh_journal_text_freep(struct byoh_journal_text **text)
{
	byoh_journal_text_free(*text);
}

const char *byoh_record_type(const struct byoh_yaml *record)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(byoh_yaml_root(record), "record");

	return node && node->type == BYOH_YAML_SCALAR ? node->text : NULL;
}

bool byoh_journal_is_committed(const struct byoh_journal_text *text)
{
	bool committed = false;

	/* A commit that could not be stored safely is undone, and its record stands there all the same. */
	for (size_t i = 0; i < text->count; i++) {
		const char *type = byoh_record_type(text->records[i]);

		committed = (committed || strcmp(type, "commit") == 0) && strcmp(type, "rollback") != 0;
	}
	return committed;
}

int byoh_journal_newest(const struct byoh_host *host, uint64_t *ret, struct byoh_error *err)
{
	int fd = byoh_open_beneath(host->root_fd, BYOH_JOURNAL_FOLDER, O_RDONLY | O_DIRECTORY, 0, err);
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;

	*ret = 0;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return byoh_fail_errno(err, "cannot list %s", BYOH_JOURNAL_FOLDER);
	}
	while ((errno = 0, entry = readdir(dir))) {
		char again[64];
		uint64_t number = strtoull(entry->d_name, NULL, 10);

		snprintf(again, sizeof(again), JOURNAL_NAME, number);
		if (number > *ret && strcmp(again, entry->d_name) == 0)
			*ret = number;
	}
	return errno ? byoh_fail_errno(err, "cannot list %s", BYOH_JOURNAL_FOLDER) : 0;
}

int byoh_journal_unlink(const struct byoh_host *host, uint64_t number, struct byoh_error *err)
{
	char path[64];

	journal_path(number, path);
	return byoh_remove_file(host->root_fd, path, err);
}

int byoh_journal_remove(const struct byoh_host *host, uint64_t number, struct byoh_error *err)
{
	int r = byoh_journal_unlink(host, number, err);

	return r < 0 ? r : byoh_journal_sync_folder(host, err);
}
