/*
 * BLAKE2b through OpenSSL. The algorithm is fetched once and kept with its context: a fetch per hash would cost several
 * times the hash itself. The context is the one piece of process-wide state in this folder; it holds no data between
 * calls and belongs to the loop thread.
 */
#include "placement/ring_hash.h"

#include <openssl/evp.h>

#include "runtime/base/assert.h"

static EVP_MD_CTX *kept_ctx;
static EVP_MD *kept_md;

static void prepare(void)
{
    kept_md = EVP_MD_fetch(NULL, "BLAKE2B-512", NULL);
    kept_ctx = EVP_MD_CTX_new();
    tr_assert(
        kept_md !=
        NULL); /* part of OpenSSL's default provider: absent only if that is broken or memory is out */
    tr_assert(kept_ctx != NULL);
}

uint64_t tr_ring_hash(struct tr_slice bytes)
{
    if (kept_ctx == NULL) {
        prepare();
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    int ok = EVP_DigestInit_ex2(kept_ctx, kept_md, NULL);
    ok &= EVP_DigestUpdate(kept_ctx, bytes.ptr, bytes.len);
    ok &= EVP_DigestFinal_ex(kept_ctx, digest, &digest_len);
    tr_assert(ok == 1);
    tr_assert(digest_len >= sizeof(uint64_t));
    uint64_t hash = 0;
    for (unsigned i = 0; i < sizeof(hash); i++) {
        hash |= (uint64_t)digest[i] << (8 * i);
    }
    return hash;
}
