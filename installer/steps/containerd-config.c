/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's configuration as a whole small file: version 2 for containerd 1.x, version 3
 * for 2.x. */
#include <string.h>

#include "installer/steps/steps-internal.h"

int byoh_toml_quote(struct byoh_buffer *ret, const char *text, struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret, "\"", err);

	for (const unsigned char *at = (const unsigned char *)text; *at && !rc; at++) {
		if (*at == '"' || *at == '\\')
			rc = byoh_buffer_printf(ret, err, "\\%c", *at);
		else if (*at < ' ' || *at == 0x7f)
			rc = byoh_buffer_printf(ret, err, "\\u%04X", *at);
		else
			rc = byoh_buffer_add(ret, at, 1, err);
	}
	return rc ? rc : byoh_buffer_add_string(ret, "\"", err);
}

/* $name stands for a value: `root = $root`. */
struct value {
	const char *name;
	const char *text; /* quoted when written; NULL: the line is left out */
	bool bare;
};

static const struct value *find_value(const struct value *values, const char *name, size_t size)
{
	for (; values->name; values++)
		if (strlen(values->name) == size && !memcmp(values->name, name, size))
			return values;
	return NULL;
}

static int add_line(const char *line, size_t size, const struct value *values,
		    struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *dollar = memchr(line, '$', size);
	const struct value *value;
	int rc;

	if (!dollar)
		return byoh_buffer_add(ret, line, size, err);
	value = find_value(values, dollar + 1, size - (size_t)(dollar - line) - 2);
	if (!value || !value->text)
		return 0;
	rc = byoh_buffer_add(ret, line, (size_t)(dollar - line), err);
	if (!rc)
		rc = value->bare ? byoh_buffer_add_string(ret, value->text, err)
				 : byoh_toml_quote(ret, value->text, err);
	return rc ? rc : byoh_buffer_add_string(ret, "\n", err);
}

static int fill(const char *template, const struct value *values, struct byoh_buffer *ret,
		struct byoh_error *err)
{
	int rc = 0;

	while (*template && !rc) {
		size_t size = strcspn(template, "\n") + 1;

		rc = add_line(template, size, values, ret, err);
		template += size;
	}
	return rc;
}

static const char version_2[] =
	"version = 2\n"
	"root = $root\n"
	"state = \"/run/containerd\"\n"
	"imports = [\"/etc/containerd/conf.d/*.toml\"]\n"
	"\n"
	"[grpc]\n"
	"  address = \"/run/containerd/containerd.sock\"\n"
	"\n"
	"[plugins.\"io.containerd.grpc.v1.cri\"]\n"
	"  sandbox_image = $sandbox\n"
	"  enable_selinux = $selinux\n"
	"\n"
	"  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
	"    bin_dir = \"" BYOH_CNI_BIN "\"\n"
	"    conf_dir = \"" BYOH_CNI_CONFIG "\"\n"
	"\n"
	"  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
	"    snapshotter = \"overlayfs\"\n"
	"    default_runtime_name = \"runc\"\n"
	"\n"
	"    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
	"      runtime_type = \"io.containerd.runc.v2\"\n"
	"\n"
	"      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
	"        SystemdCgroup = true\n"
	"        BinaryName = $runc\n"
	"\n"
	"  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
	"    config_path = \"" BYOH_CONTAINERD_CERTS "\"\n";

/* bin_dirs came with 2.1, and newer ones refuse to have both. */
static const char version_3[] =
	"version = 3\n"
	"root = $root\n"
	"state = \"/run/containerd\"\n"
	"imports = [\"/etc/containerd/conf.d/*.toml\"]\n"
	"\n"
	"[grpc]\n"
	"  address = \"/run/containerd/containerd.sock\"\n"
	"\n"
	"[plugins.'io.containerd.cri.v1.images']\n"
	"  snapshotter = \"overlayfs\"\n"
	"\n"
	"  [plugins.'io.containerd.cri.v1.images'.pinned_images]\n"
	"    sandbox = $sandbox\n"
	"\n"
	"  [plugins.'io.containerd.cri.v1.images'.registry]\n"
	"    config_path = \"" BYOH_CONTAINERD_CERTS "\"\n"
	"\n"
	"[plugins.'io.containerd.cri.v1.runtime']\n"
	"  enable_selinux = $selinux\n"
	"\n"
	"  [plugins.'io.containerd.cri.v1.runtime'.cni]\n"
	"    bin_dir = $bin_dir\n"
	"    bin_dirs = $bin_dirs\n"
	"    conf_dir = \"" BYOH_CNI_CONFIG "\"\n"
	"\n"
	"  [plugins.'io.containerd.cri.v1.runtime'.containerd]\n"
	"    default_runtime_name = \"runc\"\n"
	"\n"
	"    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n"
	"      runtime_type = \"io.containerd.runc.v2\"\n"
	"\n"
	"      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n"
	"        SystemdCgroup = true\n"
	"        BinaryName = $runc\n";

static int add_credential(struct byoh_buffer *ret, const char *key, const char *value,
			  struct byoh_error *err)
{
	int rc;

	if (!value)
		return 0;
	rc = byoh_buffer_printf(ret, err, "      %s = ", key);
	if (!rc)
		rc = byoh_toml_quote(ret, value, err);
	return rc ? rc : byoh_buffer_add_string(ret, "\n", err);
}

/* hosts.toml of containerd 1.x cannot log in, but this can stand beside config_path. */
static int add_credentials(const struct byoh_registry_config *registry, struct byoh_buffer *ret,
			   bool *ret_any, struct byoh_error *err)
{
	int rc;

	if (!registry->username && !registry->password && !registry->auth &&
	    !registry->identity_token)
		return 0;
	*ret_any = true;
	rc = byoh_buffer_add_string(
		ret, "\n    [plugins.\"io.containerd.grpc.v1.cri\".registry.configs.", err);
	if (!rc)
		rc = byoh_toml_quote(ret, registry->registry, err);
	if (!rc)
		rc = byoh_buffer_add_string(ret, ".auth]\n", err);
	if (!rc)
		rc = add_credential(ret, "username", registry->username, err);
	if (!rc)
		rc = add_credential(ret, "password", registry->password, err);
	if (!rc)
		rc = add_credential(ret, "auth", registry->auth, err);
	return rc ? rc : add_credential(ret, "identitytoken", registry->identity_token, err);
}

int byoh_containerd_config(const struct byoh_containerd_input *input, struct byoh_buffer *ret,
			   bool *ret_secret, struct byoh_error *err)
{
	bool lists = input->minor >= 1 || input->major > 2;
	const struct value values[] = {
		{ "root", input->root, false },
		{ "sandbox", input->sandbox_image, false },
		{ "selinux", input->selinux ? "true" : "false", true },
		{ "runc", input->runc, false },
		{ "bin_dir", lists ? NULL : BYOH_CNI_BIN, false },
		{ "bin_dirs", lists ? "[\"" BYOH_CNI_BIN "\"]" : NULL, true },
		{ NULL, NULL, false },
	};
	int rc;

	*ret_secret = false;
	if (input->major >= 2)
		return fill(version_3, values, ret, err);
	rc = fill(version_2, values, ret, err);
	for (size_t i = 0; !rc && i < input->registry_config_count; i++)
		rc = add_credentials(&input->registry_configs[i], ret, ret_secret, err);
	return rc;
}
