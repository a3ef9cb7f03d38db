/* SPDX-License-Identifier: MIT */
/* The style sheet of the page. */
#ifndef BMS_EXPORT_PAGE_STYLE_H
#define BMS_EXPORT_PAGE_STYLE_H

extern const char page_style[];

#endif
