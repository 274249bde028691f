/* Helpers for ports of the SDK: signatures of secure elements, and the meaning of the return codes. */
#include <string.h>

#include "ltl_internal.h"

#define INTEGER_SIZE 32
#define DER_INTEGER 0x02
#define DER_SEQUENCE 0x30

/* Writes a positive number as a DER INTEGER, at most 35 bytes, and returns how many; 0 for the number zero. */
static size_t encodeInteger(const unsigned char *number, unsigned char *out)
{
    size_t skip = 0, pad, len;
    while (skip < INTEGER_SIZE && number[skip] == 0)
        skip++;
    if (skip == INTEGER_SIZE)
        return 0;
    pad = number[skip] >> 7; /* a leading one would make it negative */
    len = pad + INTEGER_SIZE - skip;
    out[0] = DER_INTEGER;
    out[1] = (unsigned char)len;
    out[2] = 0;
    memcpy(out + 2 + pad, number + skip, INTEGER_SIZE - skip);
    return 2 + len;
}

int ltlEncodeEcdsa(const unsigned char *rs, unsigned char *der, int size, int *derLen)
{
    unsigned char buffer[2 + 2 * (3 + INTEGER_SIZE)];
    size_t r, s;
    if (rs == NULL || der == NULL || derLen == NULL)
        return LTL_E_ARGUMENT;
    *derLen = 0;
    r = encodeInteger(rs, buffer + 2);
    if (r == 0)
        return LTL_E_SIGNATURE;
    s = encodeInteger(rs + INTEGER_SIZE, buffer + 2 + r);
    if (s == 0 || size < (int)(2 + r + s))
        return LTL_E_SIGNATURE;
    buffer[0] = DER_SEQUENCE;
    buffer[1] = (unsigned char)(r + s);
    memcpy(der, buffer, 2 + r + s);
    *derLen = (int)(2 + r + s);
    return LTL_OK;
}

const char *ltlErrorText(int code)
{
    static const char *const texts[] = {
        "success",
        "called in the wrong order: call ltlInit once before ltlGetSignature, and ltlConfigure before ltlInit",
        "no key is configured: set LTL_KEY_FILE, or call ltlConfigure with either a key file or a function that signs",
        "the IotId is missing or malformed: set LTL_IOT_ID, or call ltlConfigure; 1 to 63 letters, digits and - . _ : @",
        "the key file cannot be read: check that it is there, readable for this process, and of at most 2048 bytes",
        "the key file holds no usable key: a P-256 private key in PEM, or an AES key of 16, 24 or 32 bytes, is needed",
        "the library's fixed memory is used up: build it with a larger LTL_HEAP_SIZE",
        "an argument is NULL",
        "userData cannot be signed: it must be 1 to 2097152 bytes",
        "iotIdServiceProvider must be 1 to 64 letters, digits and - . _",
        "timestamp must be the milliseconds since 1970 as 13 digits: set the device's clock",
        "no random number could be had from the system or from the configured function",
        "signing failed: ask the secure element for the reason",
        "the configured function gave a signature that is empty, longer than 165 bytes or zero",
        "computing SHA-256 failed",
        "the lock could not be taken",
    };
    if (code > 0 || code < -(int)(sizeof texts / sizeof texts[0] - 1))
        return "not a code of this library";
    return texts[-code];
}
