/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/support/redact.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"

#define MARK "<redacted>"
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define BASE64_URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define BOOTSTRAP_TOKEN_ID ((size_t)6) /* what is public of it */
#define BOOTSTRAP_TOKEN_SIZE ((size_t)23)
#define LINE_END "\r\n"

struct secret {
	char *bytes;
	size_t size;
};

struct byoh_redactor {
	size_t count;
	struct secret *secrets;
};

struct byoh_redactor *byoh_redactor_new(void)
{
	return calloc(1, sizeof(struct byoh_redactor));
}

void byoh_redactor_free(struct byoh_redactor *redactor)
{
	for (size_t i = 0; redactor && i < redactor->count; i++) {
		explicit_bzero(redactor->secrets[i].bytes, redactor->secrets[i].size);
		free(redactor->secrets[i].bytes);
	}
	if (redactor)
		free(redactor->secrets);
	free(redactor);
}

void byoh_redactor_freep(struct byoh_redactor **redactor)
{
	byoh_redactor_free(*redactor);
}

static bool is_known(const struct byoh_redactor *redactor, const char *bytes, size_t size)
{
	for (size_t i = 0; i < redactor->count; i++)
		if (redactor->secrets[i].size == size && memcmp(redactor->secrets[i].bytes, bytes, size) == 0)
			return true;
	return false;
}

static int add_form(struct byoh_redactor *redactor, const char *bytes, size_t size, struct byoh_error *err)
{
	struct secret *grown;

	if (size < BYOH_SECRET_MIN || is_known(redactor, bytes, size))
		return 0;
	grown = reallocarray(redactor->secrets, redactor->count + 1, sizeof(*grown));
	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	redactor->secrets = grown;
	grown[redactor->count].bytes = malloc(size);
	if (!grown[redactor->count].bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	memcpy(grown[redactor->count].bytes, bytes, size);
	grown[redactor->count++].size = size;
	return 0;
}

/* What the padding of base64 stands for may be part of a longer text: only whole groups are looked for. */
static int add_base64(struct byoh_redactor *redactor, const char *bytes, size_t size, struct byoh_error *err)
{
	int rc = 0;

	for (size_t skip = 0; skip < 3 && skip < size && rc == 0; skip++) {
		CLEANUP_SECRET_BUFFER struct byoh_buffer encoded = { 0 };
		size_t whole = (size - skip) / 3 * 3;

		/* As it stands in a text that is encoded whole, it begins at any of three places. */
		rc = byoh_base64_encode(bytes + skip, whole, &encoded, err);
		if (rc == 0 && encoded.size >= 12)
			rc = add_form(redactor, encoded.data, encoded.size, err);
	}
	return rc;
}

int byoh_redactor_add(struct byoh_redactor *redactor, const char *secret, size_t size, struct byoh_error *err)
{
	int rc;

	if (!secret)
		return 0;
	while (size && strchr(" \t\r\n", secret[size - 1]))
		size--;
	rc = add_form(redactor, secret, size, err);
	if (rc == 0 && size == BOOTSTRAP_TOKEN_SIZE && secret[BOOTSTRAP_TOKEN_ID] == '.')
		rc = add_form(redactor, secret + BOOTSTRAP_TOKEN_ID + 1, size - BOOTSTRAP_TOKEN_ID - 1, err);
	return rc < 0 || size < BYOH_SECRET_MIN ? rc : add_base64(redactor, secret, size, err);
}

/*
 * What looks like a secret. Each takes the text from `at` on and returns how many bytes of it are one; *ret_kept says
 * how many of these may stay in front.
 */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool begins(const char *at, const char *end, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(end - at) >= length && strncasecmp(at, word, length) == 0;
}

static size_t span(const char *at, const char *end, const char *set)
{
	size_t length = 0;

	while (at + length < end && at[length] && strchr(set, at[length]))
		length++;
	return length;
}

static size_t match_pem(const char *at, const char *end, size_t *ret_kept)
{
	static const char stop[] = "-----END ";
	const char *line, *behind;

	if (!begins(at, end, "-----BEGIN "))
		return 0;
	line = memchr(at, '\n', (size_t)(end - at));
	/* In a string of JSON the lines end otherwise. */
	behind = memmem(at, (size_t)(end - at), "PRIVATE KEY-----", 16);
	if (!behind || (line && behind > line))
		return 0;
	*ret_kept = (size_t)(behind + 16 - at);
	line = memmem(behind, (size_t)(end - behind), stop, strlen(stop));
	return line ? (size_t)(line - at) : (size_t)(end - at);
}

/* "-----BEGIN " in base64. Certificates stay. */
static size_t match_encoded_pem(const char *at, const char *end, size_t *ret_kept)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer plain = { 0 };
	CLEANUP_SECRET char *copy = NULL;
	size_t length;

	if (!begins(at, end, "LS0tLS1CRUdJTi"))
		return 0;
	length = span(at, end, BASE64);
	copy = strndup(at, length / 4 * 4);
	*ret_kept = 0;
	/* What cannot be decoded is taken for a key. */
	if (!copy || byoh_base64_decode(copy, &plain, NULL) < 0 || memmem(plain.data, plain.size, "PRIVATE KEY", 11))
		return length;
	return 0;
}

static size_t match_bootstrap_token(const char *at, const char *end, size_t *ret_kept)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	if (span(at, end, set) != 6 || at + 6 >= end || at[6] != '.' || span(at + 7, end, set) != 16 ||
	    (at + 23 < end && is_word(at[23])))
		return 0;
	*ret_kept = 7;
	return 23;
}

static size_t match_signed_token(const char *at, const char *end, size_t *ret_kept)
{
	size_t head, body, tail;

	if (!begins(at, end, "eyJ"))
		return 0;
	head = span(at, end, BASE64_URL);
	if (at + head >= end || at[head] != '.')
		return 0;
	body = span(at + head + 1, end, BASE64_URL);
	if (at + head + 1 + body >= end || at[head + 1 + body] != '.')
		return 0;
	tail = span(at + head + body + 2, end, BASE64_URL);
	*ret_kept = 0;
	return head > 8 && tail > 8 ? head + body + tail + 2 : 0;
}

static size_t match_authorization(const char *at, const char *end, size_t *ret_kept)
{
	static const char set[] = BASE64_URL "+/=.~:";
	size_t skipped = begins(at, end, "Bearer ") ? 7 : begins(at, end, "Basic ") ? 6 : 0;
	size_t length = skipped ? span(at + skipped, end, set) : 0;

	*ret_kept = skipped;
	return length >= 8 ? skipped + length : 0;
}

static const char *const keys[] = {
	"token", "token-secret", "password", "passwd", "auth", "identity_token", "identityToken", "identitytoken",
	"client-key-data", "secret", "authorization", "bearer", "private_key", "privateKey", "certificate-key",
	"certificateKey", "bootstrap-token", NULL,
};
/* In a file of ours `token: {value: ...}`; in a text of others "value" may be anything. */
static const char *const learned_keys[] = { "value", NULL };

/* Behind `key: `, `key = `, `--key=`; a value that begins a mapping, or a file's name, is none. */
static size_t match_key_of(const char *const *names, const char *at, const char *end, size_t *ret_kept)
{
	for (; *names; names++) {
		const char *value = at + strlen(*names);
		size_t length;

		if (!begins(at, end, *names))
			continue;
		value += value < end && strchr("\"'", *value) && *value;
		value += span(value, end, " \t");
		if (value >= end || (*value != ':' && *value != '='))
			continue;
		value++;
		value += span(value, end, " \t");
		if (value < end && (*value == '{' || *value == '[' || *value == '&'))
			continue;
		length = 0;
		while (value + length < end && !strchr(LINE_END, value[length]))
			length++;
		*ret_kept = (size_t)(value - at);
		return length ? *ret_kept + length : 0;
	}
	return 0;
}

static size_t match_key(const char *at, const char *end, size_t *ret_kept)
{
	return match_key_of(keys, at, end, ret_kept);
}

static size_t match_known(const struct byoh_redactor *redactor, const char *at, const char *end)
{
	size_t longest = 0;

	for (size_t i = 0; i < redactor->count; i++) {
		const struct secret *secret = &redactor->secrets[i];

		if (secret->size > longest && (size_t)(end - at) >= secret->size && *at == *secret->bytes &&
		    memcmp(at, secret->bytes, secret->size) == 0)
			longest = secret->size;
	}
	return longest;
}

static size_t match(const struct byoh_redactor *redactor, const char *at, const char *end, bool begins_word,
		    size_t *ret_kept)
{
	static size_t (*const words[])(const char *at, const char *end, size_t *ret_kept) = {
		match_encoded_pem, match_bootstrap_token, match_signed_token, match_authorization, match_key,
	};
	size_t length = match_pem(at, end, ret_kept);

	for (size_t i = 0; !length && begins_word && i < ARRAY_SIZE(words); i++)
		length = words[i](at, end, ret_kept);
	if (length)
		return length;
	*ret_kept = 0;
	return match_known(redactor, at, end);
}

int byoh_redact(const struct byoh_redactor *redactor, const char *text, size_t size, struct byoh_buffer *ret,
		struct byoh_error *err)
{
	const char *end = text + size, *from = text;
	int rc = 0;

	for (const char *at = text; at < end && rc == 0;) {
		bool begins_word = at == text || !is_word(at[-1]) || (at - text >= 2 && at[-1] == '-' && at[-2] == '-');
		size_t kept, length = match(redactor, at, end, begins_word, &kept);

		if (!length) {
			at++;
			continue;
		}
		rc = byoh_buffer_add(ret, from, (size_t)(at + kept - from), err);
		if (rc == 0)
			rc = byoh_buffer_add_string(ret, MARK, err);
		at = from = at + length;
	}
	return rc < 0 ? rc : byoh_buffer_add(ret, from, (size_t)(end - from), err);
}

/*
 * Learning
 */

static int learn_value(struct byoh_redactor *redactor, const char *value, size_t length, struct byoh_error *err)
{
	while (length && strchr(" \t,;}]\"'", value[length - 1]))
		length--;
	while (length && strchr("\"'", *value)) {
		value++;
		length--;
	}
	return byoh_redactor_add(redactor, value, length, err);
}

/* The body of a private key, as one piece and line by line: who prints it may break it otherwise. */
static int learn_key(struct byoh_redactor *redactor, const char *at, size_t length, struct byoh_error *err)
{
	int rc = byoh_redactor_add(redactor, at, length, err);

	for (size_t i = 0; i < length && rc == 0;) {
		size_t line = strcspn(at + i, "\n");

		if (i + line > length)
			line = length - i;
		if (line >= 32)
			rc = add_form(redactor, at + i, line, err);
		i += line + 1;
	}
	return rc;
}

/* A file that holds one line without space or colon is a token. */
static int learn_whole(struct byoh_redactor *redactor, const char *text, size_t size, struct byoh_error *err)
{
	while (size && strchr(" \t\r\n", text[size - 1]))
		size--;
	for (size_t i = 0; i < size; i++)
		if (!isgraph((unsigned char)text[i]) || text[i] == ':')
			return 0;
	return size <= BYOH_ACCOUNT_TOKEN_MAX ? byoh_redactor_add(redactor, text, size, err) : 0;
}

static size_t match_learned(const char *at, const char *end, size_t *ret_kept)
{
	size_t length = match_bootstrap_token(at, end, ret_kept);

	*ret_kept = 0;
	if (!length)
		length = match_key(at, end, ret_kept);
	return length ? length : match_key_of(learned_keys, at, end, ret_kept);
}

int byoh_redactor_learn(struct byoh_redactor *redactor, const char *text, size_t size, struct byoh_error *err)
{
	const char *end = text + size;
	int rc = learn_whole(redactor, text, size, err);

	for (const char *at = text; at < end && rc == 0;) {
		size_t kept = 0, length = match_pem(at, end, &kept);
		bool key = length > 0;

		if (!key && (at == text || !is_word(at[-1])))
			length = match_learned(at, end, &kept);
		if (!length) {
			at++;
			continue;
		}
		if (key)
			rc = learn_key(redactor, at + kept, length - kept, err);
		else
			rc = learn_value(redactor, at + kept, length - kept, err);
		at += length;
	}
	return rc;
}
