/* What all channels share. See app.h. */
#include "runtime/app/app.h"

void tr_app_call_fini(struct tr_app_call *call)
{
    tr_http_headers_fini(&call->headers_out);
    tr_buf_fini(&call->content_type_out);
    tr_buf_fini(&call->body_out);
    tr_buf_fini(&call->failure);
}

void tr_app_call_reset(struct tr_app_call *call)
{
    call->err.code = TR_OK;
    call->status = 0;
    call->headers_out = (struct tr_http_headers){ 0 };
    call->content_type_out = (struct tr_buf){ 0 };
    call->body_out = (struct tr_buf){ 0 };
    call->failure = (struct tr_buf){ 0 };
    call->is_canceled = false;
}
