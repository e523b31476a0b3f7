/* The store in memory keeps the contract. */
#include "tests/unit/state/store_contract.h"

static void open_mem(struct store_test *t)
{
    t->store = tr_store_mem_new(t->loop);
}

int main(void)
{
    return store_contract_run("state.in-memory", open_mem);
}
