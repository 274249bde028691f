/*
 * Key files, the same as those of the Go package and of `ltl device keygen`: a P-256 private key in PEM (PKCS #8 or
 * SEC 1, not encrypted), or an AES key as 32, 48 or 64 hexadecimal digits with space around them, or as its bare 16, 24
 * or 32 bytes.
 */
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>

#include "ltl_internal.h"

static const unsigned char oidEcPublicKey[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01};
static const unsigned char oidP256[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};

#define CONSTRUCTED (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define PARAMETERS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 0)

/* Moves *p behind the object identifier at it, which must be want. */
static int expectOid(unsigned char **p, const unsigned char *end, const unsigned char *want, size_t wantLen)
{
    size_t len = 0;
    if (mbedtls_asn1_get_tag(p, end, &len, MBEDTLS_ASN1_OID) != 0 || len != wantLen || memcmp(*p, want, len) != 0)
        return LTL_E_KEY;
    *p += len;
    return LTL_OK;
}

/* Enters a sequence with the version that it must begin with; *end becomes the sequence's. */
static int enter(unsigned char **p, const unsigned char **end, int wantVersion)
{
    size_t len = 0;
    int version = -1;
    if (mbedtls_asn1_get_tag(p, *end, &len, CONSTRUCTED) != 0)
        return LTL_E_KEY;
    *end = *p + len;
    if (mbedtls_asn1_get_int(p, *end, &version) != 0 || version != wantVersion)
        return LTL_E_KEY;
    return LTL_OK;
}

/* ECPrivateKey of RFC 5915. The curve may be left out where it was named before. */
static int parseSec1(unsigned char *p, const unsigned char *end, int curveIsKnown)
{
    unsigned char *scalar;
    size_t len = 0, scalarLen = 0;
    if (enter(&p, &end, 1) != LTL_OK || mbedtls_asn1_get_tag(&p, end, &scalarLen, MBEDTLS_ASN1_OCTET_STRING) != 0)
        return LTL_E_KEY;
    scalar = p;
    p += scalarLen;
    if (mbedtls_asn1_get_tag(&p, end, &len, PARAMETERS) == 0) {
        if (expectOid(&p, p + len, oidP256, sizeof oidP256) != LTL_OK)
            return LTL_E_KEY;
    } else if (!curveIsKnown) {
        return LTL_E_KEY;
    }
    return ltlCryptoSetEcc(scalar, scalarLen);
}

/* PrivateKeyInfo of RFC 5208. */
static int parsePkcs8(unsigned char *p, const unsigned char *end)
{
    size_t len = 0;
    if (enter(&p, &end, 0) != LTL_OK || mbedtls_asn1_get_tag(&p, end, &len, CONSTRUCTED) != 0)
        return LTL_E_KEY;
    if (expectOid(&p, end, oidEcPublicKey, sizeof oidEcPublicKey) != LTL_OK || expectOid(&p, end, oidP256, sizeof oidP256) != LTL_OK)
        return LTL_E_KEY;
    if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_OCTET_STRING) != 0)
        return LTL_E_KEY;
    return parseSec1(p, p + len, 1);
}

/* The first place of the text word at or after i, or len. */
static size_t find(const unsigned char *text, size_t len, size_t i, const char *word)
{
    size_t n = strlen(word);
    for (; i + n <= len; i++)
        if (memcmp(text + i, word, n) == 0)
            return i;
    return len;
}

/* Takes over the key between the lines begin and end. LTL_E_KEY when they are not there. */
static int parsePem(unsigned char *text, size_t len, const char *begin, const char *end, int pkcs8)
{
    unsigned char der[LTL_KEY_FILE_MAX];
    size_t from = find(text, len, 0, begin), to, derLen = 0;
    int code = LTL_E_KEY;
    if (from == len)
        return LTL_E_KEY;
    from += strlen(begin);
    to = find(text, len, from, end);
    if (to < len && mbedtls_base64_decode(der, sizeof der, &derLen, text + from, to - from) == 0)
        code = pkcs8 ? parsePkcs8(der, der + derLen) : parseSec1(der, der + derLen, 0);
    ltlWipe(der, sizeof der);
    return code;
}

static int isSpace(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Takes over an AES key in hexadecimal digits. LTL_E_KEY when it is none. */
static int parseHex(const unsigned char *text, size_t len)
{
    unsigned char bytes[32];
    size_t i;
    int code;
    while (len > 0 && isSpace(text[len - 1]))
        len--;
    while (len > 0 && isSpace(text[0])) {
        text++;
        len--;
    }
    if (len % 2 != 0 || len / 2 > sizeof bytes)
        return LTL_E_KEY;
    for (i = 0; i < len; i++) {
        int digit = ltlTextHexDigit(text[i]);
        if (digit < 0)
            break;
        bytes[i / 2] = (unsigned char)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    code = i == len ? ltlCryptoSetAes(bytes, len / 2) : LTL_E_KEY;
    ltlWipe(bytes, sizeof bytes);
    return code;
}

int ltlKeyParse(unsigned char *text, size_t len)
{
    static const char pkcs8[] = "-----BEGIN PRIVATE KEY-----", pkcs8End[] = "-----END PRIVATE KEY-----";
    static const char sec1[] = "-----BEGIN EC PRIVATE KEY-----", sec1End[] = "-----END EC PRIVATE KEY-----";
    int code;
    if (find(text, len, 0, "-----BEGIN ") < len) {
        code = parsePem(text, len, pkcs8, pkcs8End, 1);
        if (code == LTL_E_KEY)
            code = parsePem(text, len, sec1, sec1End, 0);
    } else {
        code = parseHex(text, len);
        if (code == LTL_E_KEY)
            code = ltlCryptoSetAes(text, len);
    }
    ltlWipe(text, len);
    return code;
}
