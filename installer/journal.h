/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of one transaction: /var/lib/byoh/journal/NUMBER.log. Format: docs/journal.md.
 *
 * A record is on disk before the change that it describes. A journal without a commit record is an open
 * transaction. Records hold no contents and no secrets.
 */
#ifndef BYOH_INSTALLER_JOURNAL_H
#define BYOH_INSTALLER_JOURNAL_H

#include "bundle/base/buffer.h"
#include "bundle/base/yaml.h"
#include "installer/host.h"
#include "installer/lock.h"

#define BYOH_JOURNAL_FOLDER BYOH_HOME "/journal"
#define BYOH_JOURNAL_MAX_SIZE ((size_t)32 << 20)

struct byoh_journal; /* open for writing */

/* One record in the making; errors are sticky until it is added. Starts as {0}. */
struct byoh_record {
	struct byoh_buffer text;
	int failure;
};

void byoh_record_begin(struct byoh_record *record, const char *type);
void byoh_record_string(struct byoh_record *record, const char *key, const char *value); /* not if NULL */
void byoh_record_u64(struct byoh_record *record, const char *key, uint64_t value);
void byoh_record_release(struct byoh_record *record);
/* The record as a line with its checksum, added to ret. The record is released. */
BYOH_MUST_CHECK int byoh_record_line(struct byoh_record *record, struct byoh_buffer *ret,
				     struct byoh_error *err);
#define CLEANUP_RECORD __attribute__((cleanup(byoh_record_release)))

/* Starts the next journal, its name and header on disk. The caller holds the lock. */
BYOH_MUST_CHECK int byoh_journal_create(const struct byoh_host *host, struct byoh_journal **ret,
					struct byoh_error *err);
uint64_t byoh_journal_number(const struct byoh_journal *journal);
/* Adds a record; on disk after the next byoh_journal_sync. The record is released. */
BYOH_MUST_CHECK int byoh_journal_add(struct byoh_journal *journal, struct byoh_record *record,
				     struct byoh_error *err);
BYOH_MUST_CHECK int byoh_journal_sync(struct byoh_journal *journal, struct byoh_error *err);
void byoh_journal_free(struct byoh_journal *journal);
void byoh_journal_freep(struct byoh_journal **journal);
#define CLEANUP_JOURNAL __attribute__((cleanup(byoh_journal_freep)))

/* A journal that was read: a document a record, in order. */
struct byoh_journal_text {
	size_t count;
	struct byoh_yaml **records;
	bool torn; /* the last record was incomplete and is left out */
};

/* Pure. -EBADMSG for a damaged record that whole ones follow, and for an unknown version. header is the
 * first line, its newline included. */
BYOH_MUST_CHECK int byoh_records_parse(const char *bytes, size_t size, const char *header,
				       const char *name, struct byoh_journal_text **ret,
				       struct byoh_error *err);
BYOH_MUST_CHECK int byoh_journal_parse(const char *bytes, size_t size, const char *name,
				       struct byoh_journal_text **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_journal_read(const struct byoh_host *host, uint64_t number,
				      struct byoh_journal_text **ret, struct byoh_error *err);
void byoh_journal_text_free(struct byoh_journal_text *text);
void byoh_journal_text_freep(struct byoh_journal_text **text);
#define CLEANUP_JOURNAL_TEXT __attribute__((cleanup(byoh_journal_text_freep)))

/* The type of a record: "begin", "before", ... */
const char *byoh_record_type(const struct byoh_yaml *record);
bool byoh_journal_is_committed(const struct byoh_journal_text *text);

/* The number of the newest journal, 0 if there is none. Only the newest can be open. */
BYOH_MUST_CHECK int byoh_journal_newest(const struct byoh_host *host, uint64_t *ret,
					struct byoh_error *err);
/* Takes a journal's name away; byoh_journal_sync_folder() puts that on disk. */
BYOH_MUST_CHECK int byoh_journal_unlink(const struct byoh_host *host, uint64_t number,
					struct byoh_error *err);
BYOH_MUST_CHECK int byoh_journal_sync_folder(const struct byoh_host *host, struct byoh_error *err);
/* Both: the transaction never was. */
BYOH_MUST_CHECK int byoh_journal_remove(const struct byoh_host *host, uint64_t number,
					struct byoh_error *err);

#endif
