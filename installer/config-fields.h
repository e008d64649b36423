/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the config: fields as rows of a table, and what the parts of the parser share. */
#ifndef BYOH_INSTALLER_CONFIG_FIELDS_H
#define BYOH_INSTALLER_CONFIG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/yaml.h"
#include "installer/config.h"

#define BYOH_CONFIG_MAX_SIZE ((size_t)1 << 20)
#define BYOH_CONFIG_MAX_ITEMS 256 /* of one list or map that a person writes */

#define BYOH_DEFAULT_POD_CIDR "10.244.0.0/16"
#define BYOH_DEFAULT_SERVICE_CIDR "10.96.0.0/12"

#define BYOH_MODE(mode) (1U << (mode))
#define BYOH_MODES_ALL 0U
#define BYOH_MODES_WITH_KUBELET_FLAGS (BYOH_MODE(BYOH_JOIN_KUBEADM) | BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP))
#define BYOH_MODES_JOINING (BYOH_MODE(BYOH_JOIN_AGENT) | BYOH_MODES_WITH_KUBELET_FLAGS)

struct byoh_config_reader {
	const struct byoh_yaml *doc;
	struct byoh_config *config; /* what is being filled */
	const char *directory;	    /* of the files that the config names; NULL: none may be named */
	bool without_files;	    /* the entry of another machine: its files need not be here */
	bool token_may_come;	    /* a token's file that is not there is no token yet */
};

enum byoh_field_type {
	BYOH_FIELD_OTHER,   /* allowed here, read elsewhere */
	BYOH_FIELD_STRING,  /* char * */
	BYOH_FIELD_SECRET,  /* char *, never shown in a message */
	BYOH_FIELD_BOOL,    /* bool */
	BYOH_FIELD_NUMBER,  /* uint64_t, min to max */
	BYOH_FIELD_CHOICE,  /* an enum: the index in choices */
	BYOH_FIELD_STRINGS, /* struct byoh_strings */
	BYOH_FIELD_PAIRS,   /* struct byoh_pairs */
};

struct byoh_field {
	const char *key;
	enum byoh_field_type type;
	size_t offset;			 /* of the value in the struct that is filled */
	bool (*valid)(const char *text); /* STRING, SECRET, STRINGS (each), PAIRS (each value); NULL: not empty */
	bool (*valid_key)(const char *text); /* PAIRS */
	const char *form;		 /* "\"KEY\" must be FORM" */
	const char *const *choices;	 /* ends with NULL */
	uint64_t min, max;
	unsigned int modes;		 /* where it has an effect; BYOH_MODES_ALL */
	const char *without_effect;	 /* why not, in the other modes */
};

/* Reads the fields of map into the struct at target; every other key is an error. A NULL map is fine. */
BYOH_MUST_CHECK int byoh_config_fields(const struct byoh_config_reader *reader,
				       const struct byoh_yaml_node *map, const struct byoh_field *fields,
				       size_t count, void *target, struct byoh_error *err);

/* The node of the key itself, for messages about it. */
const struct byoh_yaml_node *byoh_config_key_node(const struct byoh_yaml_node *map, const char *key);
/* map[key] that is present and not null, or NULL. */
const struct byoh_yaml_node *byoh_config_get(const struct byoh_yaml_node *map, const char *key);
/* Fails at the key if it is there and has no effect in the config's join mode. */
BYOH_MUST_CHECK int byoh_config_check_effect(const struct byoh_config_reader *reader,
					     const struct byoh_yaml_node *map, const char *key,
					     unsigned int modes, const char *why, struct byoh_error *err);

BYOH_MUST_CHECK int byoh_config_copy(const char *text, char **ret, struct byoh_error *err);

/* The file that node names, at most max bytes; relative to the config's folder, and beside the config
 * where it is not there. Secrets: the buffer is wiped by whoever releases it. */
BYOH_MUST_CHECK int byoh_config_file_read(const struct byoh_config_reader *reader,
					  const struct byoh_yaml_node *node, size_t max,
					  struct byoh_buffer *ret, struct byoh_error *err);

bool byoh_config_file_is_missing(const struct byoh_config_reader *reader, const struct byoh_yaml_node *node);

/* The sections. Each takes its mapping, NULL where absent. */
BYOH_MUST_CHECK int byoh_config_read_cluster(const struct byoh_config_reader *reader,
					     const struct byoh_yaml_node *map, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_config_read_kube_proxy(const struct byoh_config_reader *reader,
						const struct byoh_yaml_node *map, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_config_read_node(const struct byoh_config_reader *reader,
					  const struct byoh_yaml_node *map, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_config_read_registries(const struct byoh_config_reader *reader,
						const struct byoh_yaml_node *map, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_config_read_cni(const struct byoh_config_reader *reader,
					 const struct byoh_yaml_node *map, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_config_read_management(const struct byoh_config_reader *reader,
						const struct byoh_yaml_node *map, struct byoh_error *err);
void byoh_config_release_management(struct byoh_management *management);
BYOH_MUST_CHECK int byoh_config_read_iso(const struct byoh_config_reader *reader,
					 const struct byoh_yaml_node *map, struct byoh_error *err);
/* iso.network */
BYOH_MUST_CHECK int byoh_config_read_iso_network(const struct byoh_config_reader *reader,
						 const struct byoh_yaml_node *map, struct byoh_error *err);
bool byoh_is_host_names(const char *text); /* separated by single spaces */
/* All of them, from the root of a document or of a merged one. */
BYOH_MUST_CHECK int byoh_config_read_sections(const struct byoh_config_reader *reader,
					      const struct byoh_yaml_node *root, struct byoh_error *err);
/* Fills what is still empty with the defaults. */
BYOH_MUST_CHECK int byoh_config_set_defaults(struct byoh_config *config, struct byoh_error *err);

/* A mapping laid over another one, without changing either: machines over the top level. */
struct byoh_config_overlay {
	struct byoh_yaml_node **nodes; /* what the overlay made itself */
	size_t count;
};
void byoh_config_overlay_release(struct byoh_config_overlay *overlay);
BYOH_MUST_CHECK int byoh_config_merge(struct byoh_config_overlay *overlay,
				      const struct byoh_yaml_node *base, const struct byoh_yaml_node *over,
				      const struct byoh_yaml_node **ret, struct byoh_error *err);
/* Does an entry of `machines:` name this machine? Checks the entry's own keys and its `match`. A NULL
 * identity matches nothing. */
BYOH_MUST_CHECK int byoh_config_machine_matches(const struct byoh_yaml *doc,
						const struct byoh_yaml_node *entry,
						const struct byoh_machine_identity *identity, bool *ret,
						struct byoh_error *err);

#endif
