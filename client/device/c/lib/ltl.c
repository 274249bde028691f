/* The SDK's functions: state, bounds, and the signature string. */
#include "ltl.h"

#include <string.h>

#include "ltl_internal.h"

/* An ID2 auth code over a time stamp and more text (the digest), with SHA-256: 3~2~random~timestamp~signature. */
static const char authType[] = "ID2";
static const char authCodeHead[] = "3~2~";

#define RANDOM_DIGITS (2 * LTL_RANDOM_SIZE)
#define DIGEST_DIGITS (2 * LTL_DIGEST_SIZE)
#define TIMESTAMP_LEN 13
#define HEAD_LEN (sizeof authCodeHead - 1 + RANDOM_DIGITS + 1 + TIMESTAMP_LEN + 1)
#define SIGNED_MAX (LTL_IOT_ID_MAX + RANDOM_DIGITS + TIMESTAMP_LEN + DIGEST_DIGITS)

/* The build fails where the longest signature would not fit, with its terminating zero. */
typedef char signatureFits[HEAD_LEN + (LTL_SIGNATURE_MAX + 2) / 3 * 4 + 1 <= sizeof(((LtlInfo *)0)->iotSignature)
                               ? 1
                               : -1];

/* The configuration of ltlConfigure. */
static struct {
    int set;
    char iotId[LTL_IOT_ID_MAX + 1];
    char keyFile[LTL_PATH_MAX + 1];
    LtlSign sign;
    LtlRandom random;
    void *context;
} config;

/* What ltlInit made of it. */
static struct {
    int initialised;
    size_t iotIdLen;
    char iotId[LTL_IOT_ID_MAX + 1];
    LtlSign sign; /* NULL: the library's own key */
    LtlRandom random;
    void *context;
} device;

/* Copies a text with its terminating zero; fails when it is too long. */
static int copyText(char *to, size_t size, const char *from)
{
    size_t i;
    for (i = 0; i < size; i++) {
        to[i] = from[i];
        if (from[i] == '\0')
            return 0;
    }
    return -1;
}

static int configure(const LtlConfig *c)
{
    char iotId[sizeof config.iotId] = "";
    char keyFile[sizeof config.keyFile] = "";
    if (device.initialised)
        return LTL_E_STATE;
    if (c == NULL) {
        memset(&config, 0, sizeof config);
        return LTL_OK;
    }
    if (c->iotId == NULL || copyText(iotId, sizeof iotId, c->iotId) != 0)
        return LTL_E_IOT_ID;
    if ((c->keyFile == NULL) == (c->sign == NULL))
        return LTL_E_CONFIG;
    if (c->keyFile != NULL && copyText(keyFile, sizeof keyFile, c->keyFile) != 0)
        return LTL_E_CONFIG;
    memcpy(config.iotId, iotId, sizeof iotId);
    memcpy(config.keyFile, keyFile, sizeof keyFile);
    config.sign = c->sign;
    config.random = c->random;
    config.context = c->context;
    config.set = 1;
    return LTL_OK;
}

/* Random numbers for the signature string, and for mbedTLS, which blinds with them. */
static int drawRandom(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    if (device.random != NULL)
        return device.random(device.context, out, (int)len);
    return ltlPortRandom(out, len);
}

static int loadKey(const char *path)
{
    unsigned char text[LTL_KEY_FILE_MAX];
    size_t len = 0;
    int code = LTL_E_KEY_FILE;
    if (ltlPortReadFile(path, text, sizeof text, &len) == 0)
        code = ltlKeyParse(text, len);
    ltlWipe(text, sizeof text);
    return code;
}

static void release(void)
{
    ltlCryptoRelease();
    ltlHeapReset();
    ltlWipe(&device, sizeof device);
}

static int init(void)
{
    const char *iotId = config.iotId, *keyFile = config.keyFile;
    if (device.initialised)
        return LTL_E_STATE;
    release();
    if (!config.set) {
        iotId = ltlPortSetting("LTL_IOT_ID");
        keyFile = ltlPortSetting("LTL_KEY_FILE");
    }
    if (iotId == NULL || copyText(device.iotId, sizeof device.iotId, iotId) != 0)
        return LTL_E_IOT_ID;
    device.iotIdLen = strlen(device.iotId);
    if (!ltlTextIsName(device.iotId, device.iotIdLen, LTL_IOT_ID_MAX, "-._:@"))
        return LTL_E_IOT_ID;
    device.sign = config.sign;
    device.random = config.random;
    device.context = config.context;
    if (device.sign == NULL) {
        int code;
        if (keyFile == NULL || keyFile[0] == '\0')
            return LTL_E_CONFIG;
        code = loadKey(keyFile);
        if (code != LTL_OK)
            return code;
    }
    device.initialised = 1;
    return LTL_OK;
}

/* Whether the IN members are in order. */
static int check(const LtlInfo *info)
{
    if (info->userData == NULL || info->userDataLen <= 0 || info->userDataLen > LTL_USER_DATA_MAX)
        return LTL_E_USER_DATA;
    if (info->iotIdServiceProviderLen < 0 ||
        !ltlTextIsName(info->iotIdServiceProvider, (size_t)info->iotIdServiceProviderLen, LTL_PROVIDER_MAX, "-._"))
        return LTL_E_PROVIDER;
    if (info->timestampLen < 0 || !ltlTextIsTimestamp(info->timestamp, (size_t)info->timestampLen))
        return LTL_E_TIMESTAMP;
    return LTL_OK;
}

/* Signs the digest of IotId, random number, time and the data's digest, with nothing between them. */
static int signText(const char *random, const char *timestamp, const char *dataDigest, unsigned char *signature,
                    int *len)
{
    char text[SIGNED_MAX];
    unsigned char digest[LTL_DIGEST_SIZE];
    size_t at = device.iotIdLen;
    int code;
    memcpy(text, device.iotId, at);
    memcpy(text + at, random, RANDOM_DIGITS);
    at += RANDOM_DIGITS;
    memcpy(text + at, timestamp, TIMESTAMP_LEN);
    at += TIMESTAMP_LEN;
    memcpy(text + at, dataDigest, DIGEST_DIGITS);
    at += DIGEST_DIGITS;
    code = ltlCryptoDigest((const unsigned char *)text, at, digest);
    if (code != LTL_OK)
        return code;
    if (device.sign == NULL)
        return ltlCryptoSign(digest, signature, len, drawRandom, NULL);
    if (device.sign(device.context, digest, signature, LTL_SIGNATURE_MAX, len) != 0)
        return LTL_E_SIGN;
    return *len > 0 && *len <= LTL_SIGNATURE_MAX ? LTL_OK : LTL_E_SIGNATURE;
}

/* Fills out, a zeroed LtlInfo, from in. They are two, so that in may point into what is filled. */
static int fill(const LtlInfo *in, LtlInfo *out)
{
    unsigned char bytes[LTL_DIGEST_SIZE];
    unsigned char signature[LTL_SIGNATURE_MAX];
    int signatureLen = 0;
    char *random = out->iotSignature + sizeof authCodeHead - 1;
    char *timestamp = random + RANDOM_DIGITS + 1;
    int code;
    memset(signature, 0, sizeof signature);

    code = ltlCryptoDigest((const unsigned char *)in->userData, (size_t)in->userDataLen, bytes);
    if (code != LTL_OK)
        return code;
    ltlTextHex(bytes, LTL_DIGEST_SIZE, out->iotDataDigest);
    out->iotDataDigestLen = DIGEST_DIGITS;

    if (drawRandom(NULL, bytes, LTL_RANDOM_SIZE) != 0)
        return LTL_E_RANDOM;
    memcpy(out->iotSignature, authCodeHead, sizeof authCodeHead - 1);
    ltlTextHex(bytes, LTL_RANDOM_SIZE, random);
    random[RANDOM_DIGITS] = '~';
    memcpy(timestamp, in->timestamp, TIMESTAMP_LEN);
    timestamp[TIMESTAMP_LEN] = '~';
    code = signText(random, timestamp, out->iotDataDigest, signature, &signatureLen);
    if (code != LTL_OK)
        return code;
    out->iotSignatureLen =
        (int)(HEAD_LEN + ltlTextBase64(signature, (size_t)signatureLen, out->iotSignature + HEAD_LEN));

    memcpy(out->iotAuthType, authType, sizeof authType);
    out->iotAuthTypeLen = (int)(sizeof authType - 1);
    memcpy(out->iotId, device.iotId, device.iotIdLen);
    out->iotIdLen = (int)device.iotIdLen;
    return LTL_OK;
}

/* Copies the OUT members. */
static void answer(LtlInfo *info, const LtlInfo *out)
{
    memcpy(info->iotAuthType, out->iotAuthType, sizeof info->iotAuthType);
    info->iotAuthTypeLen = out->iotAuthTypeLen;
    memcpy(info->iotId, out->iotId, sizeof info->iotId);
    info->iotIdLen = out->iotIdLen;
    memcpy(info->iotDataDigest, out->iotDataDigest, sizeof info->iotDataDigest);
    info->iotDataDigestLen = out->iotDataDigestLen;
    memcpy(info->iotSignature, out->iotSignature, sizeof info->iotSignature);
    info->iotSignatureLen = out->iotSignatureLen;
}

/* Fills the OUT members, or leaves them alone when that fails. */
static int sign(LtlInfo *info)
{
    LtlInfo out;
    int code = LTL_E_STATE;
    memset(&out, 0, sizeof out);
    if (device.initialised)
        code = check(info);
    if (code == LTL_OK)
        code = fill(info, &out);
    if (code == LTL_OK)
        answer(info, &out);
    return code;
}

static void answerNothing(LtlInfo *info)
{
    LtlInfo nothing;
    memset(&nothing, 0, sizeof nothing);
    answer(info, &nothing);
}

int ltlConfigure(const LtlConfig *c)
{
    int code;
    if (ltlPortLock() != 0)
        return LTL_E_LOCK;
    code = configure(c);
    return ltlPortUnlock() == 0 ? code : LTL_E_LOCK;
}

int ltlInit(void)
{
    int code;
    if (ltlPortLock() != 0)
        return LTL_E_LOCK;
    code = init();
    if (code != LTL_OK && !device.initialised)
        release();
    return ltlPortUnlock() == 0 ? code : LTL_E_LOCK;
}

int ltlGetSignature(LtlInfo *ltlInfo)
{
    int code;
    if (ltlInfo == NULL)
        return LTL_E_ARGUMENT;
    if (ltlPortLock() != 0) {
        answerNothing(ltlInfo);
        return LTL_E_LOCK;
    }
    code = sign(ltlInfo);
    if (ltlPortUnlock() != 0)
        code = LTL_E_LOCK;
    if (code != LTL_OK)
        answerNothing(ltlInfo);
    return code;
}

int ltlRelease(void)
{
    int code = LTL_E_STATE;
    if (ltlPortLock() != 0)
        return LTL_E_LOCK;
    if (device.initialised)
        code = LTL_OK;
    release();
    return ltlPortUnlock() == 0 ? code : LTL_E_LOCK;
}
