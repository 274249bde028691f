/* The device's key, and the cryptography over mbedTLS: 2.28, or 3 where its names differ. */
#include <string.h>

#include <mbedtls/aes.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include "ltl_internal.h"

#define AES_BLOCK 16

static struct {
    enum { NO_KEY, ECC_KEY, AES_KEY } kind;
    mbedtls_ecdsa_context ecc;
    mbedtls_aes_context aes;
} key;

void ltlWipe(void *p, size_t len) { mbedtls_platform_zeroize(p, len); }

void ltlCryptoRelease(void)
{
    if (key.kind == ECC_KEY)
        mbedtls_ecdsa_free(&key.ecc);
    if (key.kind == AES_KEY)
        mbedtls_aes_free(&key.aes);
    ltlWipe(&key, sizeof key);
}

int ltlCryptoSetEcc(const unsigned char *scalar, size_t len)
{
    int refusals = ltlHeapRefusals();
    ltlCryptoRelease();
    mbedtls_ecdsa_init(&key.ecc);
    key.kind = ECC_KEY;
    if (len == LTL_DIGEST_SIZE && mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &key.ecc, scalar, len) == 0)
        return LTL_OK;
    ltlCryptoRelease();
    return ltlHeapRefusals() > refusals ? LTL_E_MEMORY : LTL_E_KEY;
}

int ltlCryptoSetAes(const unsigned char *bytes, size_t len)
{
    ltlCryptoRelease();
    if (len != 16 && len != 24 && len != 32)
        return LTL_E_KEY;
    mbedtls_aes_init(&key.aes);
    key.kind = AES_KEY;
    if (mbedtls_aes_setkey_enc(&key.aes, bytes, (unsigned)len * 8) == 0)
        return LTL_OK;
    ltlCryptoRelease();
    return LTL_E_KEY;
}

int ltlCryptoDigest(const unsigned char *data, size_t len, unsigned char digest[LTL_DIGEST_SIZE])
{
#if MBEDTLS_VERSION_MAJOR < 3
    int failed = mbedtls_sha256_ret(data, len, digest, 0);
#else
    int failed = mbedtls_sha256(data, len, digest, 0);
#endif
    return failed ? LTL_E_DIGEST : LTL_OK;
}

/* The padded digest, three blocks, in ECB mode. That is ID2's choice; a digest has no two equal blocks. */
static int signAes(const unsigned char digest[LTL_DIGEST_SIZE], unsigned char *signature, int *len)
{
    int at;
    memcpy(signature, digest, LTL_DIGEST_SIZE);
    memset(signature + LTL_DIGEST_SIZE, AES_BLOCK, AES_BLOCK);
    for (at = 0; at < LTL_DIGEST_SIZE + AES_BLOCK; at += AES_BLOCK)
        if (mbedtls_aes_crypt_ecb(&key.aes, MBEDTLS_AES_ENCRYPT, signature + at, signature + at) != 0)
            return LTL_E_SIGN;
    *len = LTL_DIGEST_SIZE + AES_BLOCK;
    return LTL_OK;
}

/* Deterministic ECDSA (RFC 6979): a poor random generator cannot reveal the key. */
static int signEcc(const unsigned char digest[LTL_DIGEST_SIZE], unsigned char *signature, int *len, LtlRandomSource random, void *context)
{
    unsigned char der[MBEDTLS_ECDSA_MAX_LEN]; /* mbedTLS 2 wants room for its largest curve */
    size_t derLen = 0;
    int refusals = ltlHeapRefusals();
#if MBEDTLS_VERSION_MAJOR < 3
    int failed = mbedtls_ecdsa_write_signature(&key.ecc, MBEDTLS_MD_SHA256, digest, LTL_DIGEST_SIZE, der, &derLen, random, context);
#else
    int failed = mbedtls_ecdsa_write_signature(&key.ecc, MBEDTLS_MD_SHA256, digest, LTL_DIGEST_SIZE, der, sizeof der, &derLen, random, context);
#endif
    if (failed)
        return ltlHeapRefusals() > refusals ? LTL_E_MEMORY : LTL_E_SIGN;
    if (derLen > LTL_SIGNATURE_MAX)
        return LTL_E_SIGN;
    memcpy(signature, der, derLen);
    *len = (int)derLen;
    return LTL_OK;
}

int ltlCryptoSign(const unsigned char digest[LTL_DIGEST_SIZE], unsigned char *signature, int *len, LtlRandomSource random, void *context)
{
    switch (key.kind) {
    case ECC_KEY:
        return signEcc(digest, signature, len, random, context);
    case AES_KEY:
        return signAes(digest, signature, len);
    case NO_KEY:
        break;
    }
    return LTL_E_SIGN;
}
