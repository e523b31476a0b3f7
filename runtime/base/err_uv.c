/* libuv's errors as ours. */
#include "runtime/base/loop_uv.h"

enum tr_code tr_uv_code(int status)
{
    switch (status) {
    case 0:
        return TR_OK;
    case UV_ECANCELED:
        return TR_CANCELED;
    case UV_EINVAL:
    case UV_ENAMETOOLONG:
        return TR_INVALID;
    case UV_ETIMEDOUT:
        return TR_DEADLINE;
    case UV_ENOENT:
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
        return TR_NOT_FOUND;
    case UV_EADDRINUSE:
    case UV_EEXIST:
        return TR_EXISTS;
    case UV_EACCES:
    case UV_EPERM:
        return TR_PERMISSION;
    case UV_ECONNREFUSED:
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
    case UV_EAI_AGAIN:
        return TR_UNAVAILABLE;
    case UV_EOF:
        return TR_EOF;
    default:
        return TR_IO;
    }
}

const char *tr_uv_text(int status)
{
    switch (status) {
    case UV_EHOSTUNREACH:
        return "no route to host"; /* libuv has its own words; Go prints the system's */
    case UV_EOF:
        return "EOF";
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
        return "no such host";
    default:
        return uv_strerror(
            status); /* allocates (and leaks) only for numbers that libuv does not know */
    }
}
