/* The store on SQLite keeps the contract, and what is on disk is what the reference understands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/state/store_contract.h"

static void open_sqlite(struct store_test *t)
{
    struct tr_err err;
    t->expiry_grain_ms = 1000;
    const struct tr_store_sqlite_conf conf = { .connection = ":memory:", .table = "state", .wal_off = true };
    if (tr_store_sqlite_open(t->loop, &conf, &t->store, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
}

int main(void)
{
    return store_contract_run("state.sqlite", open_sqlite);
}
