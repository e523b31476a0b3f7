/* What all channels share. See app.h. */
#include "runtime/app/app.h"

void tr_app_call_fini(struct tr_app_call *call)
{
    tr_http_headers_fini(&call->headers_out);
    tr_buf_fini(&call->content_type_out);
    tr_buf_fini(&call->body_out);
    tr_buf_fini(&call->failure);
}
