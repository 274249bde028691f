/* The SDK's functions, seen from outside. usage: test_ltl DIRECTORY */
#define _POSIX_C_SOURCE 200809L /* for setenv and threads */

#include "test.h"

#include <pthread.h>
#include <stddef.h>

static char keyPath[4096];

static char proofData[] = "Proof-Data";
static char provider[] = "hKpHMh2abcd";
static char timestamp[] = VECTOR_TIMESTAMP;

/* The header is the manual's: the compiler checks the functions, this the structure. */
static void form(void)
{
    int (*initialise)(void) = ltlInit, (*release)(void) = ltlRelease, (*sign)(LtlInfo *) = ltlGetSignature;
    static const size_t place[] = {
        offsetof(LtlInfo, userData), offsetof(LtlInfo, userDataLen), offsetof(LtlInfo, iotIdServiceProvider),
        offsetof(LtlInfo, iotIdServiceProviderLen), offsetof(LtlInfo, timestamp), offsetof(LtlInfo, timestampLen),
        offsetof(LtlInfo, iotAuthType), offsetof(LtlInfo, iotAuthTypeLen), offsetof(LtlInfo, iotId), offsetof(LtlInfo, iotIdLen),
        offsetof(LtlInfo, iotDataDigest), offsetof(LtlInfo, iotDataDigestLen), offsetof(LtlInfo, iotSignature),
        offsetof(LtlInfo, iotSignatureLen)};
    struct LtlInfo info;
    size_t i;
    CHECK(initialise != NULL && release != NULL && sign != NULL);
    CHECK(place[0] == 0);
    for (i = 1; i < sizeof place / sizeof place[0]; i++)
        CHECK(place[i] > place[i - 1]);
    CHECK(sizeof info.iotAuthType == 64 && sizeof info.iotId == 64 && sizeof info.iotDataDigest == 65 && sizeof info.iotSignature == 256);
}

static int init(LtlRandom random) { return initWith(keyPath, VECTOR_KEY, strlen(VECTOR_KEY), random); }

static void digestsOfKnownTexts(void)
{
    static const struct {
        const char *text, *digest;
    } known[] = {
        {"abc", "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"},
        {"Proof-Data", "8240AB492AA29413C13D742F42AF258EBB835EBA8783FF8B812D6E117855EA2F"},
        {"\xE6\x9F\x90\xE5\x85\xAC\xE5\x8F\xB8\xE6\x9F\x90\xE4\xB8\x9A\xE5\x8A\xA1\xE6\x95\xB0\xE6\x8D\xAE\xE3\x80\x82",
         "ADD85AA7D23FA2846B31544B7ABFD06FBB24CA2F0CD85D46624FE4E5C7CC45FA"},
    };
    size_t i;
    CHECK(init(NULL) == LTL_OK);
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        LtlInfo info;
        char *text = exact(known[i].text, strlen(known[i].text) + 1);
        describe(&info, text, provider, timestamp);
        CHECK(ltlGetSignature(&info) == LTL_OK);
        CHECK(isFilled(&info));
        CHECK(strcmp(info.iotDataDigest, known[i].digest) == 0);
        free(text);
    }
    CHECK(ltlRelease() == LTL_OK);
}

/* Signatures that openssl made of the same text. */
static void wholeSignatures(void)
{
    static const struct {
        const char *key, *signature;
    } known[] = {
        {VECTOR_KEY, "6otzp4T0YJGW5PDirZdlBEc5TlmqwREDUI6L+aJ1uLmXnA1nt3r97vPi1Bnh6fF1"},
        {VECTOR_KEY "2122232425262728", "JDB/ljV9jgZJj+yGoRQd2gWdejqnD8JpKJU5O7yM7pLPdXZQyIhjF5+yJLKirpCJ"},
        {VECTOR_KEY VECTOR_KEY, "lhOPabTfV/JtEbK0oVT6yeRgt2KWtt+3UCIUqnjztc8b74588Gb4cmIduJ5Is++4"},
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        LtlInfo info;
        char want[256] = "3~2~" VECTOR_RANDOM "~" VECTOR_TIMESTAMP "~";
        CHECK(initWith(keyPath, known[i].key, strlen(known[i].key), fixedRandom) == LTL_OK);
        describe(&info, proofData, provider, timestamp);
        CHECK(ltlGetSignature(&info) == LTL_OK);
        CHECK(isFilled(&info));
        CHECK(strcmp(info.iotId, VECTOR_ID) == 0);
        strcat(want, known[i].signature);
        CHECK(strcmp(info.iotSignature, want) == 0);
        CHECK(info.iotSignatureLen == (int)strlen(want));
        CHECK(ltlRelease() == LTL_OK);
    }
}

static void freshRandomNumbers(void)
{
    LtlInfo a, b;
    CHECK(init(NULL) == LTL_OK);
    describe(&a, proofData, provider, timestamp);
    describe(&b, proofData, provider, timestamp);
    CHECK(ltlGetSignature(&a) == LTL_OK);
    CHECK(ltlGetSignature(&b) == LTL_OK);
    CHECK(memcmp(a.iotSignature + 4, b.iotSignature + 4, 16) != 0);
    CHECK(strcmp(a.iotSignature, b.iotSignature) != 0);
    CHECK(ltlRelease() == LTL_OK);
}

/* A refused call says why, and leaves nothing in the members it fills. */
static void refused(LtlInfo *info, int want)
{
    int code = ltlGetSignature(info);
    if (code != want)
        fprintf(stderr, "got %d, want %d\n", code, want);
    CHECK(code == want);
    CHECK(isEmpty(info));
}

static void boundsOfUserData(void)
{
    char *large = malloc(LTL_USER_DATA_MAX);
    char *one = exact("x", 1);
    LtlInfo info;
    if (large == NULL)
        abort();
    memset(large, 'a', LTL_USER_DATA_MAX);
    CHECK(init(NULL) == LTL_OK);
    CHECK(ltlGetSignature(NULL) == LTL_E_ARGUMENT);
    describe(&info, NULL, provider, timestamp);
    refused(&info, LTL_E_USER_DATA);
    info.userDataLen = 5;
    refused(&info, LTL_E_USER_DATA);
    describe(&info, proofData, provider, timestamp);
    info.userData = one;
    info.userDataLen = 0;
    refused(&info, LTL_E_USER_DATA);
    info.userDataLen = -1;
    refused(&info, LTL_E_USER_DATA);
    info.userDataLen = LTL_USER_DATA_MAX + 1;
    refused(&info, LTL_E_USER_DATA);
    info.userDataLen = 0x7fffffff;
    refused(&info, LTL_E_USER_DATA);
    info.userDataLen = 1;
    CHECK(ltlGetSignature(&info) == LTL_OK);
    info.userData = large;
    info.userDataLen = LTL_USER_DATA_MAX;
    CHECK(ltlGetSignature(&info) == LTL_OK);
    CHECK(isFilled(&info));
    CHECK(ltlRelease() == LTL_OK);
    free(large);
    free(one);
}

static void boundsOfProvider(void)
{
    static const char longest[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.";
    static const char *const bad[] = {"a b", "a~b", "\xC3\xA4", "a\n", "@", "/"};
    char *name = exact(longest, 64), *longer;
    LtlInfo info;
    size_t i;
    CHECK(init(NULL) == LTL_OK);
    describe(&info, proofData, NULL, timestamp);
    info.iotIdServiceProviderLen = 3;
    refused(&info, LTL_E_PROVIDER);
    describe(&info, proofData, provider, timestamp);
    info.iotIdServiceProviderLen = 0;
    refused(&info, LTL_E_PROVIDER);
    info.iotIdServiceProviderLen = -1;
    refused(&info, LTL_E_PROVIDER);
    info.iotIdServiceProviderLen = -0x7fffffff - 1;
    refused(&info, LTL_E_PROVIDER);
    info.iotIdServiceProvider = name;
    info.iotIdServiceProviderLen = 64;
    CHECK(ltlGetSignature(&info) == LTL_OK);
    longer = exact("0123456789012345678901234567890123456789012345678901234567890123456789", 65);
    info.iotIdServiceProvider = longer;
    info.iotIdServiceProviderLen = 65;
    refused(&info, LTL_E_PROVIDER);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = exact(bad[i], strlen(bad[i]) + 1);
        describe(&info, proofData, text, timestamp);
        refused(&info, LTL_E_PROVIDER);
        free(text);
    }
    describe(&info, proofData, provider, timestamp);
    info.iotIdServiceProviderLen++; /* the terminating zero is no part of it */
    refused(&info, LTL_E_PROVIDER);
    CHECK(ltlRelease() == LTL_OK);
    free(name);
    free(longer);
}

static void boundsOfTimestamp(void)
{
    static const char *const bad[] = {"", "151202227920", "15120222792040", "0512022279204", "151202227920a", "-512022279204", " 512022279204", "15120222792.4"};
    LtlInfo info;
    size_t i;
    CHECK(init(NULL) == LTL_OK);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = exact(bad[i], strlen(bad[i]) + 1);
        describe(&info, proofData, provider, text);
        refused(&info, LTL_E_TIMESTAMP);
        free(text);
    }
    describe(&info, proofData, provider, NULL);
    info.timestampLen = 13;
    refused(&info, LTL_E_TIMESTAMP);
    describe(&info, proofData, provider, timestamp);
    info.timestampLen = -13;
    refused(&info, LTL_E_TIMESTAMP);
    info.timestampLen = 14;
    refused(&info, LTL_E_TIMESTAMP);
    CHECK(ltlRelease() == LTL_OK);
}

/* The data may lie where the answer will be written. */
static void inputInsideTheAnswer(void)
{
    LtlInfo info;
    CHECK(init(fixedRandom) == LTL_OK);
    describe(&info, proofData, provider, timestamp);
    info.userData = info.iotSignature;
    info.iotIdServiceProvider = info.iotId;
    info.timestamp = info.iotDataDigest;
    memcpy(info.iotSignature, "Proof-Data", 10);
    memcpy(info.iotId, "hKpHMh2abcd", 11);
    memcpy(info.iotDataDigest, VECTOR_TIMESTAMP, 13);
    CHECK(ltlGetSignature(&info) == LTL_OK);
    CHECK(strcmp(info.iotDataDigest, "8240AB492AA29413C13D742F42AF258EBB835EBA8783FF8B812D6E117855EA2F") == 0);
    CHECK(strstr(info.iotSignature, "~" VECTOR_TIMESTAMP "~6otzp4T0YJGW5PDirZdlBEc5TlmqwREDUI6L") != NULL);
    CHECK(ltlRelease() == LTL_OK);
}

static void order(void)
{
    LtlConfig config = {VECTOR_ID, NULL, NULL, NULL, NULL};
    LtlInfo info;
    describe(&info, proofData, provider, timestamp);
    refused(&info, LTL_E_STATE);
    CHECK(ltlRelease() == LTL_E_STATE);
    CHECK(init(NULL) == LTL_OK);
    CHECK(ltlInit() == LTL_E_STATE);
    CHECK(ltlConfigure(&config) == LTL_E_STATE);
    CHECK(ltlConfigure(NULL) == LTL_E_STATE);
    CHECK(ltlGetSignature(&info) == LTL_OK); /* what was refused has changed nothing */
    CHECK(ltlRelease() == LTL_OK);
    refused(&info, LTL_E_STATE);
    CHECK(ltlInit() == LTL_OK); /* the configuration is still there */
    CHECK(ltlGetSignature(&info) == LTL_OK);
    CHECK(ltlRelease() == LTL_OK);
}

/* What a function that signs was asked, and what it shall answer. */
typedef struct Element {
    int calls, size, answer, len;
    unsigned char digest[LTL_DIGEST_SIZE];
} Element;

static int elementSigns(void *context, const unsigned char *digest, unsigned char *signature, int signatureSize, int *signatureLen)
{
    Element *e = context;
    e->calls++;
    e->size = signatureSize;
    memcpy(e->digest, digest, LTL_DIGEST_SIZE);
    if (e->len > 0 && e->len <= signatureSize)
        memset(signature, 0xFF, (size_t)e->len);
    *signatureLen = e->len;
    return e->answer;
}

static int elementRandom(void *context, unsigned char *out, int len)
{
    (void)context;
    (void)out;
    (void)len;
    return -7;
}

static void secureElement(void)
{
    static const int badLengths[] = {0, -1, LTL_SIGNATURE_MAX + 1, 256, 0x7fffffff};
    Element e = {0, 0, 0, LTL_SIGNATURE_MAX, {0}};
    LtlConfig config = {NULL, NULL, NULL, NULL, NULL};
    unsigned char want[LTL_DIGEST_SIZE];
    char text[256];
    LtlInfo info;
    size_t i;
    char longest[LTL_IOT_ID_MAX + 1];
    memset(longest, 'Z', LTL_IOT_ID_MAX);
    longest[LTL_IOT_ID_MAX] = '\0';
    config.iotId = longest;
    config.sign = elementSigns;
    config.random = fixedRandom;
    config.context = &e;
    CHECK(ltlConfigure(&config) == LTL_OK);
    CHECK(ltlInit() == LTL_OK);
    describe(&info, proofData, provider, timestamp);
    CHECK(ltlGetSignature(&info) == LTL_OK);
    CHECK(isFilled(&info));
    CHECK(info.iotSignatureLen == 255); /* the longest that there is, and it fits with its zero */
    CHECK(info.iotIdLen == LTL_IOT_ID_MAX);
    CHECK(e.calls == 1 && e.size == LTL_SIGNATURE_MAX);
    /* It is asked to sign the digest of IotId, random number, time and data's digest. */
    strcpy(text, longest);
    strcat(text, VECTOR_RANDOM VECTOR_TIMESTAMP);
    strcat(text, info.iotDataDigest);
    CHECK(ltlCryptoDigest((const unsigned char *)text, strlen(text), want) == LTL_OK);
    CHECK(memcmp(e.digest, want, sizeof want) == 0);
    for (i = 0; i < sizeof badLengths / sizeof badLengths[0]; i++) {
        e.len = badLengths[i];
        refused(&info, LTL_E_SIGNATURE);
    }
    e.len = 48;
    e.answer = 1;
    refused(&info, LTL_E_SIGN);
    CHECK(ltlRelease() == LTL_OK);
    e.answer = 0;
    e.calls = 0;
    config.random = elementRandom;
    CHECK(ltlConfigure(&config) == LTL_OK);
    CHECK(ltlInit() == LTL_OK);
    refused(&info, LTL_E_RANDOM);
    CHECK(e.calls == 0);
    CHECK(ltlRelease() == LTL_OK);
}

static void configuration(void)
{
    static const char *const badIds[] = {"", "a b", "a~b", "\xC3\xA4", "0123456789012345678901234567890123456789012345678901234567890123"};
    char path[LTL_PATH_MAX + 2];
    LtlConfig config = {VECTOR_ID, NULL, NULL, NULL, NULL};
    size_t i;
    CHECK(ltlConfigure(NULL) == LTL_OK);
    CHECK(unsetenv("LTL_IOT_ID") == 0 && unsetenv("LTL_KEY_FILE") == 0);
    CHECK(ltlInit() == LTL_E_IOT_ID);
    CHECK(setenv("LTL_IOT_ID", VECTOR_ID, 1) == 0);
    CHECK(ltlInit() == LTL_E_CONFIG);
    CHECK(setenv("LTL_KEY_FILE", "/nonexistent/key", 1) == 0);
    CHECK(ltlInit() == LTL_E_KEY_FILE);
    CHECK(init(NULL) == LTL_OK && ltlRelease() == LTL_OK); /* writes the key file */
    CHECK(ltlConfigure(NULL) == LTL_OK);
    CHECK(setenv("LTL_KEY_FILE", keyPath, 1) == 0);
    CHECK(ltlInit() == LTL_OK && ltlRelease() == LTL_OK);
    for (i = 0; i < sizeof badIds / sizeof badIds[0]; i++) {
        CHECK(setenv("LTL_IOT_ID", badIds[i], 1) == 0);
        CHECK(ltlInit() == LTL_E_IOT_ID);
    }
    CHECK(unsetenv("LTL_IOT_ID") == 0 && unsetenv("LTL_KEY_FILE") == 0);
    CHECK(ltlConfigure(&config) == LTL_E_CONFIG); /* no key */
    config.keyFile = keyPath;
    config.sign = elementSigns;
    CHECK(ltlConfigure(&config) == LTL_E_CONFIG); /* two */
    config.sign = NULL;
    config.iotId = NULL;
    CHECK(ltlConfigure(&config) == LTL_E_IOT_ID);
    config.iotId = badIds[4];
    CHECK(ltlConfigure(&config) == LTL_E_IOT_ID); /* 64 characters */
    config.iotId = badIds[4] + 1;
    memset(path, '/', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    config.keyFile = path;
    CHECK(ltlConfigure(&config) == LTL_E_CONFIG);
    CHECK(ltlInit() == LTL_E_IOT_ID); /* nothing of what was refused is kept */
    config.keyFile = keyPath;
    CHECK(ltlConfigure(&config) == LTL_OK);
    CHECK(ltlInit() == LTL_OK && ltlRelease() == LTL_OK);
}

/* Counts what goes wrong in *wrong. */
static void *signMany(void *wrong)
{
    int i;
    for (i = 0; i < 50; i++) {
        char data[] = "data of one thread", name[] = "hKpHMh2abcd", at[] = VECTOR_TIMESTAMP;
        LtlInfo info;
        describe(&info, data, name, at);
        if (ltlGetSignature(&info) != LTL_OK || !isFilled(&info))
            ++*(int *)wrong;
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[4];
    int wrong[4] = {0, 0, 0, 0};
    size_t i;
    CHECK(init(NULL) == LTL_OK);
    for (i = 0; i < 4; i++)
        if (pthread_create(&thread[i], NULL, signMany, &wrong[i]) != 0)
            abort();
    for (i = 0; i < 4; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        CHECK(wrong[i] == 0);
    }
    CHECK(ltlRelease() == LTL_OK);
}

static void errorTexts(void)
{
    int a, b;
    for (a = 0; a >= LTL_E_LOCK; a--)
        for (b = a - 1; b >= LTL_E_LOCK; b--)
            CHECK(strcmp(ltlErrorText(a), ltlErrorText(b)) != 0);
    CHECK(strcmp(ltlErrorText(0), "success") == 0);
    CHECK(strcmp(ltlErrorText(1), ltlErrorText(LTL_E_LOCK - 1)) == 0);
    CHECK(strcmp(ltlErrorText(0x7fffffff), ltlErrorText(-0x7fffffff - 1)) == 0);
}

int main(int argc, char **argv)
{
    if (argc < 2 || strlen(argv[1]) > 4000) {
        fputs("usage: test_ltl DIRECTORY\n", stderr);
        return 2;
    }
    sprintf(keyPath, "%s/test_ltl.key", argv[1]);
    form();
    order();
    digestsOfKnownTexts();
    wholeSignatures();
    freshRandomNumbers();
    boundsOfUserData();
    boundsOfProvider();
    boundsOfTimestamp();
    inputInsideTheAnswer();
    secureElement();
    configuration();
    threads();
    errorTexts();
    (void)remove(keyPath);
    return failures > 0;
}
