/* SPDX-License-Identifier: MIT */
/* The version (from the Makefile, its one place) and the revision that this binary was built from.
 */
#ifndef BMS_VERSION_H
#define BMS_VERSION_H

extern const char bms_version[];  /**< "1.2.3" */
extern const char bms_revision[]; /**< as `git describe` tells, or "unknown" */

#endif
