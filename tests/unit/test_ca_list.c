/* SPDX-License-Identifier: Apache-2.0 */
/* A CA exchanged for another wherever it is trusted, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "tests/unit/certificates.h"

static char *a, *b, *c;

static int set_up(void **state)
{
	(void)state;
	a = test_certificate(true, "a");
	b = test_certificate(true, "b");
	c = test_certificate(true, "c");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(a);
	free(b);
	free(c);
	return 0;
}

static char *join(const char *first, const char *second, const char *third)
{
	char *text;

	assert_true(asprintf(&text, "%s%s%s", first, second, third) > 0);
	return text;
}

static struct byoh_buffer bytes(const char *text)
{
	return (struct byoh_buffer){ .data = (char *)text, .size = strlen(text) };
}

/* What becomes of text where old goes and new_ca comes; whether it changed is checked too. */
static char *exchanged(const char *text, const char *old, const char *new_ca)
{
	const struct byoh_buffer from = bytes(old), to = bytes(new_ca);
	struct byoh_buffer ret = { 0 };
	bool changed = false;

	assert_int_equal(byoh_ca_exchange(text, strlen(text), &from, &to, &ret, &changed, NULL), 0);
	assert_int_equal(changed, strcmp(byoh_buffer_text(&ret), text) != 0);
	return ret.data;
}

static void becomes(const char *text, const char *old, const char *new_ca, const char *expected)
{
	CLEANUP_FREE char *is = exchanged(text, old, new_ca);

	assert_string_equal(is, expected);
	CLEANUP_FREE char *again = exchanged(is, old, new_ca);

	assert_string_equal(again, expected);
}

static void pem_is_exchanged(void **state)
{
	CLEANUP_FREE char *a_b = join(a, b, ""), *noted = join("# ours\n", a, "# end\n"), *other = join("# ours\n", b, "# end\n");
	CLEANUP_FREE char *c_a = join(c, a, ""), *c_b = join(c, b, ""), *c_a_b = join(c, a, b);

	(void)state;
	becomes(a, a, b, b);
	becomes(noted, a, b, other);
	becomes(c_a, a, b, c_b);
	becomes(c, a, b, c);
	becomes("no certificate\n", a, b, "no certificate\n");
	/* The rotation: both first, then the new one alone. */
	becomes(a, a, a_b, a_b);
	becomes(a_b, a, a_b, a_b);
	becomes(c_a, a, a_b, c_a_b);
	becomes(a_b, a_b, b, b);
	becomes(a, a_b, b, b);
	becomes(c_a_b, a_b, b, c_b);
}

static void other_line_breaks_are_the_same_certificate(void **state)
{
	CLEANUP_FREE char *folded = malloc(2 * strlen(a) + 2);
	char *to = folded;

	(void)state;
	for (const char *at = a; *at; at++) {
		if (*at == '\n')
			*to++ = '\r';
		*to++ = *at;
	}
	*to = '\0';
	CLEANUP_FREE char *is = exchanged(folded, a, b);

	assert_null(strstr(is, folded));
	assert_ptr_equal(strstr(is, b), is);
}

static char *kubeconfig(const char *ca, const char *client)
{
	CLEANUP_FREE char *ca_data = test_base64(ca), *client_data = test_base64(client);
	char *text;

	assert_true(asprintf(&text, "clusters:\n- cluster:\n    certificate-authority-data: %s\n    server: https://x:1\n"
			     "users:\n- user:\n    client-certificate-data: %s\n", ca_data, client_data) > 0);
	return text;
}

static void an_embedded_ca_is_exchanged_and_a_client_certificate_is_not(void **state)
{
	CLEANUP_FREE char *old = kubeconfig(a, a), *expected = kubeconfig(b, a), *other = kubeconfig(c, a);

	(void)state;
	becomes(old, a, b, expected);
	becomes(other, a, b, other);
}

static void json_and_quotes_are_kubeconfigs_too(void **state)
{
	CLEANUP_FREE char *a_data = test_base64(a), *b_data = test_base64(b);
	CLEANUP_FREE char *old = join("{\"certificate-authority-data\": \"", a_data, "\", \"server\": 1}\n");
	CLEANUP_FREE char *expected = join("{\"certificate-authority-data\": \"", b_data, "\", \"server\": 1}\n");

	(void)state;
	becomes(old, a, b, expected);
	becomes("certificate-authority-data: ", a, b, "certificate-authority-data: ");
	becomes("certificate-authority-data: AAAA", a, b, "certificate-authority-data: AAAA");
	becomes("certificate-authority-data: not/base64=x\n", a, b, "certificate-authority-data: not/base64=x\n");
}

static void bundles_share_a_certificate_or_do_not(void **state)
{
	CLEANUP_FREE char *a_b = join(a, b, "");
	const struct byoh_buffer first = bytes(a), second = bytes(c), both = bytes(a_b), none = { 0 };

	(void)state;
	assert_true(byoh_ca_is_shared(&first, &both));
	assert_true(byoh_ca_is_shared(&both, &first));
	assert_false(byoh_ca_is_shared(&both, &second));
	assert_false(byoh_ca_is_shared(&none, &first));
	assert_false(byoh_ca_is_shared(&none, &none));
}

static void the_times_of_certificates_are_read(void **state)
{
	CLEANUP_FREE char *early = test_certificate_between(true, NULL, -7200, -3600), *two = join(a, early, "");
	uint64_t begin, end, now = (uint64_t)time(NULL);

	(void)state;
	assert_true(byoh_certificate_times(two, strlen(two), false, &begin, &end));
	assert_in_range(end, now + 3500, now + 3700);
	assert_true(byoh_certificate_times(two, strlen(two), true, &begin, &end));
	assert_in_range(end, now - 3700, now - 3500);
	assert_in_range(begin, now - 7300, now - 7100);
	assert_false(byoh_certificate_times(a, strlen(a) / 2, false, &begin, &end));
	assert_false(byoh_certificate_times("", 0, false, &begin, &end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pem_is_exchanged),
		cmocka_unit_test(other_line_breaks_are_the_same_certificate),
		cmocka_unit_test(an_embedded_ca_is_exchanged_and_a_client_certificate_is_not),
		cmocka_unit_test(json_and_quotes_are_kubeconfigs_too),
		cmocka_unit_test(bundles_share_a_certificate_or_do_not),
		cmocka_unit_test(the_times_of_certificates_are_read),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
