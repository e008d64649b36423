/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made for one test, so that none of them ever runs out. */
#ifndef BYOH_TESTS_CERTIFICATES_H
#define BYOH_TESTS_CERTIFICATES_H

#include <stdbool.h>

/* A self-signed certificate as PEM (malloc), with O=organization where that is not NULL. */
char *test_certificate(bool ca, const char *organization);
/* The same, valid from begin to end, in seconds from now. */
char *test_certificate_between(bool ca, const char *organization, long begin, long end);
/* A private key as PEM (malloc). */
char *test_private_key(void);
/* The pin of a certificate (BYOH_PIN_SIZE bytes). */
void test_pin_of(const char *pem, char *ret);
/* Base64 on one line (malloc). */
char *test_base64(const char *text);

#endif
