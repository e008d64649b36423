/* SPDX-License-Identifier: Apache-2.0 */
/* Plans made from hand-made configs, hosts, manifests and indexes, and questions to them. Shared by
 * several tests, of which none needs every helper. */
#ifndef BYOH_TESTS_UNIT_STEPS_FIXTURE_H
#define BYOH_TESTS_UNIT_STEPS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/steps-internal.h"
#include "installer/steps/steps.h"

#define MAX_FILES 32

static struct fixture {
	struct byoh_config config;
	struct byoh_host host;
	struct byoh_manifest manifest;
	struct byoh_index index;
	struct byoh_file files[MAX_FILES];
	struct byoh_component components[4];
	struct byoh_image images[4];
	struct byoh_plan_input input;
	struct byoh_plan *plan;
	struct byoh_error error;
	char root[64];
} f;

static inline struct byoh_buffer as_buffer(const char *text)
{
	return (struct byoh_buffer){ .data = (char *)text, .size = strlen(text) };
}

static inline int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	strcpy(f.root, "/tmp/byoh-steps-XXXXXX");
	assert_non_null(mkdtemp(f.root));
	f.host.root = f.root;
	f.host.root_fd = open(f.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(f.host.root_fd >= 0);
	f.host.has_systemd = true;
	f.host.has_iptables = true;
	f.host.usr_local_unit_dir_ok = true;
	f.config.join_mode = BYOH_JOIN_NONE;
	f.config.kube_proxy.manage = true;
	f.config.containerd.root = (char *)"/var/lib/containerd";
	f.config.agent.namespace_name = (char *)"default";
	f.config.agent.metrics = (char *)"0";
	f.manifest.name = (char *)"worker";
	f.manifest.version = (char *)"1.0";
	f.manifest.components = f.components;
	f.manifest.images = f.images;
	f.index.files = f.files;
	f.input = (struct byoh_plan_input){
		.config = &f.config, .host = &f.host, .manifest = &f.manifest, .index = &f.index,
	};
	return 0;
}

static inline int tear_down(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int parent = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	byoh_plan_free(f.plan);
	close(f.host.root_fd);
	assert_int_equal(byoh_remove_tree(parent, strrchr(f.root, '/') + 1, &err), 0);
	close(parent);
	return 0;
}

/* What the bundle brings */

static inline int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct byoh_file *)a)->path, ((const struct byoh_file *)b)->path);
}

static inline void bring_typed(const char *path, enum byoh_file_type type)
{
	assert_true(f.index.file_count < MAX_FILES);
	f.files[f.index.file_count++] = (struct byoh_file){
		.path = path, .target = type == BYOH_FILE_SYMLINK ? "elsewhere" : "", .type = type,
		.mode = 0755, .size = type == BYOH_FILE_REGULAR ? 10 : 0,
	};
	qsort(f.files, f.index.file_count, sizeof(f.files[0]), compare_files);
}

static inline void bring(const char *path)
{
	bring_typed(path, BYOH_FILE_REGULAR);
}

static inline void component(const char *name, const char *version)
{
	f.components[f.manifest.component_count++] = (struct byoh_component){
		.name = (char *)name, .version = (char *)version,
	};
}

static inline void image(const char *ref)
{
	f.images[f.manifest.image_count++].ref = (char *)ref;
}

static inline void bring_node(const char *containerd, const char *kubernetes)
{
	bring("usr/local/sbin/byoh-install");
	bring("usr/local/bin/containerd");
	bring("usr/local/bin/kubelet");
	bring("usr/local/bin/kube-proxy");
	bring("usr/local/bin/byoh-hostagent");
	component("containerd", containerd);
	f.manifest.kubernetes = (char *)kubernetes;
	image("registry.example/tools:1");
	image("registry.example/pause:3.10");
}

static inline void know_cluster(void)
{
	f.config.cluster.server = (char *)"https://10.0.0.1:6443";
	f.config.cluster.ca = as_buffer("-----BEGIN CERTIFICATE-----\nMAA=\n"
					"-----END CERTIFICATE-----\n");
	f.config.cluster.token = (char *)"abcdef.0123456789abcdef";
	f.config.cluster.pod_cidr = (char *)"10.244.0.0/16";
	f.config.cluster.service_cidr = (char *)"10.96.0.0/12";
	f.config.cluster.dns = (char *)"10.96.0.10";
}

/* What lies on the host */

static inline void host_file(const char *path, const char *text, mode_t mode)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (folder[0])
		assert_int_equal(byoh_make_directories(f.host.root_fd, folder, 0755, &err), 0);
	assert_int_equal(byoh_write_file(f.host.root_fd, path, text, strlen(text), mode, &err), 0);
}

/* The plan */

static inline void plan(void)
{
	int rc;

	byoh_plan_free(f.plan);
	f.plan = NULL;
	rc = byoh_plan_make(&f.input, &f.plan, &f.error);
	if (rc)
		fail_msg("no plan: %s", f.error.message);
}

static inline void plan_fails(enum byoh_error_kind kind, const char *words)
{
	assert_true(byoh_plan_make(&f.input, &f.plan, &f.error) < 0);
	assert_null(f.plan);
	assert_int_equal(f.error.kind, kind);
	if (!strstr(f.error.message, words))
		fail_msg("\"%s\" says nothing of \"%s\"", f.error.message, words);
}

static inline size_t count_actions(enum byoh_action_kind kind, const char *subject)
{
	size_t count = 0;

	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			count += action->kind == kind &&
				 (!subject || !strcmp(action->subject, subject));
		}
	return count;
}

/* NULL if the plan has none */
static inline const struct byoh_action *find(enum byoh_action_kind kind, const char *subject)
{
	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (action->kind == kind && !strcmp(action->subject, subject))
				return action;
		}
	return NULL;
}

static inline const struct byoh_action *get(enum byoh_action_kind kind, const char *subject)
{
	const struct byoh_action *action = find(kind, subject);

	if (!action)
		fail_msg("the plan has no action for %s", subject);
	return action;
}

static inline const char *text_of(const char *path)
{
	return byoh_buffer_text(&get(BYOH_ACTION_FILE, path)->content);
}

static inline void has_text(const char *path, const char *words)
{
	if (!strstr(text_of(path), words))
		fail_msg("%s says nothing of \"%s\":\n%s", path, words, text_of(path));
}

static inline void lacks_text(const char *path, const char *words)
{
	if (strstr(text_of(path), words))
		fail_msg("%s says \"%s\"", path, words);
}

static inline void links_to(const char *path, const char *target)
{
	assert_string_equal(get(BYOH_ACTION_LINK, path)->value, target);
}

/* Where in the plan an action stands */
static inline size_t place_of(enum byoh_action_kind kind, const char *subject)
{
	size_t place = 0;

	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++, place++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (action->kind == kind && !strcmp(action->subject, subject))
				return place;
		}
	fail_msg("the plan has no action for %s", subject);
	return 0;
}

#define UNITS "/usr/local/lib/systemd/system/"
#define WANTED "/etc/systemd/system/multi-user.target.wants/"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
