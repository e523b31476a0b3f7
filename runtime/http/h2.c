/* HTTP/2 is not spoken yet: the preface ends the connection, upgrades are not followed. */
#include "runtime/http/conn.h"

void http_conn_become_h2(struct http_conn *conn)
{
    http_conn_finish(conn);
}

bool http_conn_upgrade_h2(struct http_conn *conn)
{
    (void)conn;
    return false;
}

bool http_h2_is_upgrade(const struct http_exchange *ex)
{
    (void)ex;
    return false;
}
