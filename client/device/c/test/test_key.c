/* Key files, cryptography and the heap, seen from inside. usage: test_key DIRECTORY */
#include "test.h"

/* The P-256 key of RFC 6979, A.2.5, in both forms of PEM, and with the name of the curve before it as openssl writes it. */
#define SEC1 \
    "-----BEGIN EC PRIVATE KEY-----\n" \
    "MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n" \
    "AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8\n" \
    "maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n" \
    "-----END EC PRIVATE KEY-----\n"
#define PKCS8 \
    "-----BEGIN PRIVATE KEY-----\r\n" \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgya+p2EW6dRZrXCFX\r\n" \
    "Z7HWk05Qw9s26JsSe4piKxIPZyGhRANCAARg/tS6JVqdMclh63TGNW1owEm4kjth\r\n" \
    "+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZ\r\n" \
    "-----END PRIVATE KEY-----\r\n"
#define CURVE "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
#define P384 \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAAAAAAAAAAAAAAAAAA\n" \
    "AAAAya+p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyGhZANiAAQHwjDSC1rL\n" \
    "hOJ1EkXP6mxmKJK8+EhqAYEnql4WBJpv3Yq1Mm0PabW3COtZWrTtbvZVd7DbO8vU\n" \
    "oKhDBuAzbvZcO3mUn4c7WzTRtmj+60QUOiW/4HncS+w26C6HrmQkGek=\n" \
    "-----END PRIVATE KEY-----\n"

static char keyPath[4096];

static int source(void *context, unsigned char *out, size_t len)
{
    (void)context;
    return ltlPortRandom(out, len);
}

static int noRandom(void *context, unsigned char *out, size_t len)
{
    (void)context;
    (void)out;
    (void)len;
    return -1;
}

#ifndef LTL_TEST_CHECKED
/* Whether the bytes lie anywhere in memory. */
static int holds(const unsigned char *from, const unsigned char *to, const unsigned char *bytes, size_t len)
{
    for (; (size_t)(to - from) >= len; from++)
        if (memcmp(from, bytes, len) == 0)
            return 1;
    return 0;
}
#endif

static int parse(const void *text, size_t len)
{
    unsigned char *copy = (unsigned char *)exact(text, len);
    int code = ltlKeyParse(copy, len);
    CHECK(allZero((char *)copy, len)); /* the text of a key does not stay */
    free(copy);
    return code;
}

/* The auth codes that are published for ID2's client: with and without a challenge, with and without further text. */
static void publishedVectors(void)
{
    static const char challenge[] = "55B83408399FA660F05C82E4F25333DC";
    static const struct {
        const char *stamp, *extra, *want;
    } vectors[] = {
        {challenge, "", "4sx4q/vZtJeBciBhpfzBwLaw7kXg4s2mmZxSoehsKtyXnA1nt3r97vPi1Bnh6fF1"},
        {challenge, "abcd1234", "PdEkTetZVHtD3+o64apuEnsgzwkqbJMfTJSMaHTSYFKXnA1nt3r97vPi1Bnh6fF1"},
        {VECTOR_TIMESTAMP, "", "8WFAQalYm+5++M4OKMtH2JOqsvOlS67rsX9ccSRpvWSXnA1nt3r97vPi1Bnh6fF1"},
        {VECTOR_TIMESTAMP, "abcd1234", "3vxizdS0JVOKSqnsR8VsZd0xUnL7Uo2S4ojSgXnoxI6XnA1nt3r97vPi1Bnh6fF1"},
    };
    size_t i;
    CHECK(parse(VECTOR_KEY, strlen(VECTOR_KEY)) == LTL_OK);
    for (i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[256] = VECTOR_ID VECTOR_RANDOM, got[256] = "";
        unsigned char digest[LTL_DIGEST_SIZE], signature[LTL_SIGNATURE_MAX];
        int len = 0;
        strcat(text, vectors[i].stamp);
        strcat(text, vectors[i].extra);
        CHECK(ltlCryptoDigest((unsigned char *)text, strlen(text), digest) == LTL_OK);
        CHECK(ltlCryptoSign(digest, signature, &len, source, NULL) == LTL_OK);
        CHECK(len == 48);
        got[ltlTextBase64(signature, (size_t)len, got)] = '\0';
        CHECK(strcmp(got, vectors[i].want) == 0);
    }
    ltlCryptoRelease();
}

/* RFC 6979 gives one signature for a key and a digest. */
static void deterministicEcdsa(void)
{
    static const char *const forms[] = {SEC1, PKCS8, CURVE SEC1, "# a note before it\n" PKCS8,
                                        "-----BEGIN PRIVATE KEY-----\nMEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdnsdaTTlDD2zbomxJ7imIrEg9nIQ==\n-----END PRIVATE KEY-----\n"};
    static const unsigned char rs[64] = {
        0xEF, 0xD4, 0x8B, 0x2A, 0xAC, 0xB6, 0xA8, 0xFD, 0x11, 0x40, 0xDD, 0x9C, 0xD4, 0x5E, 0x81, 0xD6, 0x9D, 0x2C, 0x87, 0x7B, 0x56, 0xAA,
        0xF9, 0x91, 0xC3, 0x4D, 0x0E, 0xA8, 0x4E, 0xAF, 0x37, 0x16, 0xF7, 0xCB, 0x1C, 0x94, 0x2D, 0x65, 0x7C, 0x41, 0xD4, 0x36, 0xC7, 0xA1,
        0xB6, 0xE2, 0x9F, 0x65, 0xF3, 0xE9, 0x00, 0xDB, 0xB9, 0xAF, 0xF4, 0x06, 0x4D, 0xC4, 0xAB, 0x2F, 0x84, 0x3A, 0xCD, 0xA8};
    unsigned char want[72], digest[LTL_DIGEST_SIZE];
    int wantLen = 0;
    size_t i;
    CHECK(ltlEncodeEcdsa(rs, want, sizeof want, &wantLen) == LTL_OK);
    CHECK(wantLen == 72);
    CHECK(ltlCryptoDigest((const unsigned char *)"sample", 6, digest) == LTL_OK);
    for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        unsigned char signature[LTL_SIGNATURE_MAX];
        int len = 0;
        CHECK(parse(forms[i], strlen(forms[i])) == LTL_OK);
        CHECK(ltlCryptoSign(digest, signature, &len, source, NULL) == LTL_OK);
        CHECK(len == wantLen && memcmp(signature, want, (size_t)len) == 0);
        CHECK(ltlCryptoSign(digest, signature, &len, noRandom, NULL) == LTL_E_SIGN);
        ltlCryptoRelease();
    }
    CHECK(ltlHeapInUse() == 0);
}

/* Every form of an AES key is the same key. */
static void formsOfAesKeys(void)
{
    static const struct {
        const char *text;
        size_t len;
        int code;
    } forms[] = {
        {VECTOR_KEY, 32, LTL_OK},
        {" \t2122232425262728292A2B2C2D2E2F30\r\n", 36, LTL_OK},
        {"\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f\x30", 16, LTL_OK},
        {VECTOR_KEY "2122232425262728", 48, LTL_OK},
        {VECTOR_KEY VECTOR_KEY, 64, LTL_OK},
        {"the key is of 24 bytes !", 24, LTL_OK},
        {"and this has 32 bytes, not digits", 32, LTL_OK},
        {VECTOR_KEY, 31, LTL_E_KEY},
        {VECTOR_KEY, 30, LTL_E_KEY},
        {VECTOR_KEY "21", 34, LTL_E_KEY},
        {VECTOR_KEY VECTOR_KEY "2122", 68, LTL_E_KEY},
        {VECTOR_KEY "212223242526272g", 48, LTL_E_KEY},
        {"", 0, LTL_E_KEY},
        {"\n", 1, LTL_E_KEY},
    };
    unsigned char digest[LTL_DIGEST_SIZE] = {1, 2, 3}, first[LTL_SIGNATURE_MAX], signature[LTL_SIGNATURE_MAX];
    int len = 0;
    size_t i;
    for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        CHECK(parse(forms[i].text, forms[i].len) == forms[i].code);
        len = 0;
        CHECK((ltlCryptoSign(digest, signature, &len, source, NULL) == LTL_OK) == (forms[i].code == LTL_OK));
        if (i == 0)
            memcpy(first, signature, sizeof first);
        if (i == 1 || i == 2)
            CHECK(memcmp(first, signature, 48) == 0);
        if (i > 2 && forms[i].code == LTL_OK)
            CHECK(memcmp(first, signature, 48) != 0);
        ltlCryptoRelease();
    }
}

static void unusableKeys(void)
{
    static const char *const texts[] = {
        P384,
        CURVE,
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n",
        "-----BEGIN EC PRIVATE KEY-----\n\xFF\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMFkw\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN ",
        /* no curve */
        "-----BEGIN EC PRIVATE KEY-----\nMCUCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2ch\n-----END EC PRIVATE KEY-----\n",
        /* version 2 */
        "-----BEGIN EC PRIVATE KEY-----\nMDECAQIEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49AwEH\n-----END EC PRIVATE KEY-----\n",
        /* 31 bytes */
        "-----BEGIN EC PRIVATE KEY-----\nMDACAQEEH6+p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyGgCgYIKoZIzj0DAQc=\n-----END EC PRIVATE KEY-----\n",
        /* the curve secp256k1 */
        "-----BEGIN EC PRIVATE KEY-----\nMC4CAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAcGBSuBBAAK\n-----END EC PRIVATE KEY-----\n",
        /* version 1 of PKCS #8 */
        "-----BEGIN PRIVATE KEY-----\nMEECAQEwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdnsdaTTlDD2zbomxJ7imIrEg9nIQ==\n-----END PRIVATE KEY-----\n",
        /* another algorithm */
        "-----BEGIN PRIVATE KEY-----\nMD0CAQAwDwYDK2VuBggqhkjOPQMBBwQnMCUCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2ch\n-----END PRIVATE KEY-----\n",
        /* the scalars 0 and n */
        "-----BEGIN EC PRIVATE KEY-----\nMDECAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAoAoGCCqGSM49AwEH\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nMDECAQEEIP////8AAAAA//////////+85vqtpxeehPO5ysL8YyVRoAoGCCqGSM49AwEH\n-----END EC PRIVATE KEY-----\n",
    };
    unsigned char digest[LTL_DIGEST_SIZE] = {0}, signature[LTL_SIGNATURE_MAX];
    int len = 0;
    size_t i, n;
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK(parse(texts[i], strlen(texts[i])) == LTL_E_KEY);
        CHECK(ltlCryptoSign(digest, signature, &len, source, NULL) == LTL_E_SIGN);
    }
    /* A key file that was cut behind its first word is refused, wherever that was. */
    for (n = strlen("-----BEGIN "); n < strlen(PKCS8) - 2; n++)
        CHECK(parse(PKCS8, n) == LTL_E_KEY);
    CHECK(parse(PKCS8, strlen(PKCS8) - 2) == LTL_OK);
    ltlCryptoRelease();
    CHECK(ltlHeapInUse() == 0);
}

/* After ltlRelease, and after an ltlInit that failed, the library's variables hold no key. Little-endian machines only; the sanitizers
   would not let one look. */
static void wiped(void)
{
#ifndef LTL_TEST_CHECKED
    extern const unsigned char __bss_start[], _end[];
    static const unsigned char scalar[] = {0x21, 0x67, 0x0F, 0x12, 0x2B, 0x62, 0x8A, 0x7B, 0x12, 0x9B, 0xE8, 0x36, 0xDB, 0xC3, 0x50, 0x4E,
                                           0x93, 0xD6, 0xB1, 0x67, 0x57, 0x21, 0x5C, 0x6B, 0x16, 0x75, 0xBA, 0x45, 0xD8, 0xA9, 0xAF, 0xC9};
    static const unsigned char secret[] = {0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30};
    static const struct {
        const char *text;
        const unsigned char *key;
        size_t len;
    } keys[] = {{SEC1, scalar, sizeof scalar}, {VECTOR_KEY, secret, sizeof secret}};
    char data[] = "data", provider[] = "p", timestamp[] = VECTOR_TIMESTAMP;
    LtlInfo info;
    size_t i;
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        CHECK(initWith(keyPath, keys[i].text, strlen(keys[i].text), NULL) == LTL_OK);
        describe(&info, data, provider, timestamp);
        CHECK(ltlGetSignature(&info) == LTL_OK);
        CHECK(holds(__bss_start, _end, keys[i].key, keys[i].len)); /* it would be found */
        CHECK(ltlRelease() == LTL_OK);
        CHECK(!holds(__bss_start, _end, keys[i].key, keys[i].len));
    }
    CHECK(parse(SEC1, strlen(SEC1)) == LTL_OK);
    CHECK(holds(__bss_start, _end, scalar, sizeof scalar));
    CHECK(initWith(keyPath, "no key", 6, NULL) == LTL_E_KEY);
    CHECK(!holds(__bss_start, _end, scalar, sizeof scalar));
#endif
}

static void largeKeyFile(void)
{
    char text[LTL_KEY_FILE_MAX + 1];
    memset(text, ' ', sizeof text);
    memcpy(text, VECTOR_KEY, strlen(VECTOR_KEY));
    CHECK(initWith(keyPath, text, LTL_KEY_FILE_MAX, NULL) == LTL_OK);
    CHECK(ltlRelease() == LTL_OK);
    CHECK(initWith(keyPath, text, LTL_KEY_FILE_MAX + 1, NULL) == LTL_E_KEY_FILE);
    CHECK(initWith(keyPath, "no key", 6, NULL) == LTL_E_KEY);
    CHECK(initWith(keyPath, "", 0, NULL) == LTL_E_KEY);
}

/* What signatures take of the heap they give back, and one fits many times. */
static void heapOfSignatures(void)
{
    char data[] = "data", provider[] = "p", timestamp[] = VECTOR_TIMESTAMP;
    LtlInfo info;
    size_t after = 0;
    int i;
    CHECK(initWith(keyPath, SEC1, strlen(SEC1), NULL) == LTL_OK);
    describe(&info, data, provider, timestamp);
    for (i = 0; i < 20; i++) {
        CHECK(ltlGetSignature(&info) == LTL_OK);
        CHECK(isFilled(&info));
        if (i == 0)
            after = ltlHeapInUse();
        CHECK(ltlHeapInUse() == after);
    }
    CHECK(ltlHeapPeak() > after);
    CHECK(ltlHeapRefusals() == 0);
    CHECK(ltlRelease() == LTL_OK);
    CHECK(ltlHeapInUse() == 0);
}

static void heap(void)
{
    enum { BLOCKS = 40 };
    unsigned char *block[BLOCKS];
    size_t i, j, round, size;
    void *all;
    ltlHeapReset();
    CHECK(ltlHeapCalloc((size_t)-1, 2) == NULL);
    CHECK(ltlHeapCalloc(2, (size_t)-1) == NULL);
    CHECK(ltlHeapCalloc(1, 1u << 20) == NULL);
    CHECK(ltlHeapRefusals() == 3);
    ltlHeapFree(NULL);
    /* Blocks are zero, apart from each other, and freed in another order than they were taken. */
    for (round = 0; round < 50; round++) {
        for (i = 0; i < BLOCKS; i++) {
            size = 1 + (i * 37 + round * 11) % 120;
            block[i] = ltlHeapCalloc(size, 1);
            if (block[i] == NULL)
                abort();
            CHECK(allZero((char *)block[i], size));
            memset(block[i], (int)i + 1, size);
        }
        for (j = 0; j < BLOCKS; j++) {
            i = j * 7 % BLOCKS;
            size = 1 + (i * 37 + round * 11) % 120;
            CHECK(block[i][0] == i + 1 && block[i][size - 1] == i + 1);
            ltlHeapFree(block[i]);
        }
        CHECK(ltlHeapInUse() == 0);
    }
    /* What was free in pieces is one piece again. */
    all = ltlHeapCalloc(1, ltlHeapPeak());
    CHECK(all != NULL);
    ltlHeapFree(all);
    ltlHeapReset();
}

/* Where mbedTLS finds no memory, nothing is signed, nothing is lost and the code says why. */
static void fullHeap(void)
{
    unsigned char digest[LTL_DIGEST_SIZE] = {1}, signature[LTL_SIGNATURE_MAX];
    void *hog[400];
    size_t n, have = 0, before;
    int len = 0;
    CHECK(parse(SEC1, strlen(SEC1)) == LTL_OK);
    before = ltlHeapInUse();
    while (have < 400 && (hog[have] = ltlHeapCalloc(1, 200)) != NULL)
        have++;
    CHECK(have > 0 && have < 400);
    for (n = have; n > 0; n--) {
        int code = ltlCryptoSign(digest, signature, &len, source, NULL);
        CHECK(code == LTL_OK || code == LTL_E_MEMORY);
        CHECK(n < have || code == LTL_E_MEMORY);
        ltlHeapFree(hog[n - 1]);
    }
    CHECK(ltlCryptoSign(digest, signature, &len, source, NULL) == LTL_OK);
    CHECK(ltlHeapInUse() >= before);
    ltlCryptoRelease();
    CHECK(ltlHeapInUse() == 0);
    ltlHeapReset();
}

static void secureElementsForm(void)
{
    unsigned char rs[64], der[80], buffer[72];
    int len = 5, i;
    memset(rs, 0, sizeof rs);
    CHECK(ltlEncodeEcdsa(NULL, der, 80, &len) == LTL_E_ARGUMENT);
    CHECK(ltlEncodeEcdsa(rs, NULL, 80, &len) == LTL_E_ARGUMENT);
    CHECK(ltlEncodeEcdsa(rs, der, 80, NULL) == LTL_E_ARGUMENT);
    CHECK(ltlEncodeEcdsa(rs, der, 80, &len) == LTL_E_SIGNATURE && len == 0);
    rs[31] = 1;
    CHECK(ltlEncodeEcdsa(rs, der, 80, &len) == LTL_E_SIGNATURE && len == 0); /* s is zero */
    rs[63] = 0x80;
    CHECK(ltlEncodeEcdsa(rs, der, 80, &len) == LTL_OK && len == 9);
    CHECK(memcmp(der, "\x30\x07\x02\x01\x01\x02\x02\x00\x80", 9) == 0);
    memset(rs, 0xFF, sizeof rs);
    for (i = -1; i < 72; i++)
        CHECK(ltlEncodeEcdsa(rs, buffer, i, &len) == LTL_E_SIGNATURE && len == 0);
    CHECK(ltlEncodeEcdsa(rs, buffer, 72, &len) == LTL_OK && len == 72);
}

int main(int argc, char **argv)
{
    if (argc < 2 || strlen(argv[1]) > 4000) {
        fputs("usage: test_key DIRECTORY\n", stderr);
        return 2;
    }
    sprintf(keyPath, "%s/test_key.key", argv[1]);
    publishedVectors();
    deterministicEcdsa();
    formsOfAesKeys();
    unusableKeys();
    largeKeyFile();
    wiped();
    heapOfSignatures();
    heap();
    fullHeap();
    secureElementsForm();
    (void)remove(keyPath);
    return failures > 0;
}
