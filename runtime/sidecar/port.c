/* The stable port's hash. */
#include "runtime/sidecar/port.h"

#include <openssl/sha.h>

#define PORT_FIRST 47300U
#define PORTS_LEN  18235U

uint16_t tr_port_of_text(struct tr_slice text)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)text.ptr, text.len, digest);
    const unsigned number = digest[0] | (unsigned)digest[1] << 8;
    return (uint16_t)(PORT_FIRST + number % PORTS_LEN);
}
