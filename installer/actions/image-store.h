/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BYOH_INSTALLER_ACTIONS_IMAGE_STORE_H
#define BYOH_INSTALLER_ACTIONS_IMAGE_STORE_H

#include <stdbool.h>

/* Does containerd answer? Where it does not, nobody knows which images it has. */
bool byoh_image_store_answers(void);

#endif
