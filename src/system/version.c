/* SPDX-License-Identifier: MIT */
/* The only file that is compiled again when nothing but the revision has changed. */
#include "version.h"

#include "build-version.h" /* written by the Makefile */

const char bms_version[] = BUILD_VERSION;
const char bms_revision[] = BUILD_REVISION;
