/* SPDX-License-Identifier: Apache-2.0 */
/* `snapshot FOLDER [TABLE]` prints a folder as text (listing.h): a line for each path with type and mode, owner,
 * digest or link target, time, extended attributes. */
#include <stdio.h>

#include "tests/fault/listing.h"

int main(int argc, char *argv[])
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	static struct listing_table table;

	if (argc != 2 && argc != 3) {
		fputs("usage: snapshot FOLDER [TABLE]\n", stderr);
		return 2;
	}
	listing_read_table(argv[2], &table);
	listing_make(argv[1], &table, &text, NULL);
	return fputs(byoh_buffer_text(&text), stdout) < 0 || fflush(stdout) ? 2 : 0;
}
