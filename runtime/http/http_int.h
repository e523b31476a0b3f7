/* What the files of this folder share beside http.h: building header lists piece by piece, and writing single lines. */
#ifndef TR_HTTP_HTTP_INT_H
#define TR_HTTP_HTTP_INT_H

#include "runtime/http/http.h"

/* Begin an entry at the end of the list, to be filled by the two below; the name comes whole before the value. */
struct tr_http_field *http_headers_open(struct tr_http_headers *headers);
void http_headers_more_name(struct tr_http_headers *headers, struct tr_slice piece);
void http_headers_more_value(struct tr_http_headers *headers, struct tr_slice piece);
/* Cut blanks off the end of the last entry's value. */
void http_headers_trim_value(struct tr_http_headers *headers);

/* One line, made harmless as tr_http_headers_write() does. */
void http_header_write(struct tr_slice name, struct tr_slice value, struct tr_buf *out);

#endif
