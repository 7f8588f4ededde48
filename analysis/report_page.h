/* The page's parts, made by report/embed.py from analysis/report/: up to the title, up to the data,
 * and the rest. */
#ifndef VPSDE_ANALYSIS_REPORT_PAGE_H
#define VPSDE_ANALYSIS_REPORT_PAGE_H

#include <stddef.h>

extern const unsigned char vpsde_html_head[], vpsde_html_body[], vpsde_html_tail[];
extern const size_t vpsde_html_head_size, vpsde_html_body_size, vpsde_html_tail_size;

#endif
