/* SPDX-License-Identifier: Apache-2.0 */
/* What API servers and CNI plugins have written, in the places where a few words of it count. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/join-answer.h"
#include "installer/pod-cidr.h"
#include "tests/fuzz/fuzz.h"

static void look_for_request(const char *text, size_t size)
{
	const struct byoh_request_wanted wanted = { .signer = "kubernetes.io/kube-apiserver-client-kubelet",
						    .common_name = "system:node:n", .username = "system:bootstrap:a" };
	const struct byoh_buffer body = { .data = (char *)text, .size = size };
	struct byoh_join_look look = { .reason = BYOH_JOIN_STARTED };
	CLEANUP_BUFFER struct byoh_buffer sentence = { 0 }, command = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_join_look_answer(&look, &body, &wanted, &err) < 0) {
		require(err.message[0]);
		return;
	}
	require(strlen(look.csr.name) < sizeof(look.csr.name) && strlen(look.csr.reason) < sizeof(look.csr.reason));
	require(byoh_join_sentence(&look, &sentence, NULL) == 0);
	require(byoh_join_approve_command(&look, &command, NULL) == 0);
	/* It goes to a terminal, and from there into a shell. */
	for (size_t i = 0; i < command.size; i++)
		require((unsigned char)command.data[i] >= ' ' && !strchr("'\"`$;&|<>\\", command.data[i]));
}

static void look_for_range(const char *text, size_t size)
{
	char range[64];

	if (byoh_pod_cidr_of_flannel(text, range, sizeof(range)) == 0)
		require(strlen(range) < sizeof(range));
	if (byoh_pod_cidr_of_cni(text, size, range, sizeof(range)) == 0)
		require(strlen(range) < sizeof(range));
	if (byoh_pod_cidr_of_headcni(text, size, range, sizeof(range)) == 0)
		require(strlen(range) < sizeof(range));
	if (byoh_pod_cidr_of_node(text, size, range, sizeof(range)) == 0)
		require(strlen(range) < sizeof(range));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	look_for_request(text, size);
	look_for_range(text, size);
	return 0;
}
