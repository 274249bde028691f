#include "test.h"

int failures;

void checkThat(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
}

char *exact(const void *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

int fixedRandom(void *context, unsigned char *out, int len)
{
    (void)context;
    memset(out, 0xAB, (size_t)len);
    return 0;
}

int initWith(const char *path, const void *keyText, size_t len, LtlRandom random)
{
    LtlConfig config = {NULL, NULL, NULL, NULL, NULL};
    FILE *f = fopen(path, "wb");
    int code;
    if (f == NULL || fwrite(keyText, 1, len, f) != len || fclose(f) != 0)
        abort();
    config.iotId = VECTOR_ID;
    config.keyFile = path;
    config.random = random;
    code = ltlConfigure(&config);
    return code == LTL_OK ? ltlInit() : code;
}

void describe(LtlInfo *info, char *data, char *provider, char *timestamp)
{
    memset(info, 0x5A, sizeof *info);
    info->userData = data;
    info->userDataLen = data == NULL ? 0 : (int)strlen(data);
    info->iotIdServiceProvider = provider;
    info->iotIdServiceProviderLen = provider == NULL ? 0 : (int)strlen(provider);
    info->timestamp = timestamp;
    info->timestampLen = timestamp == NULL ? 0 : (int)strlen(timestamp);
}

int allZero(const char *bytes, size_t len)
{
    size_t i;
    for (i = 0; i < len; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

int isText(const char *buffer, size_t size, int len)
{
    return len > 0 && (size_t)len < size && memchr(buffer, 0, (size_t)len) == NULL && allZero(buffer + len, size - (size_t)len);
}

int isEmpty(const LtlInfo *info)
{
    return allZero(info->iotAuthType, sizeof info->iotAuthType) && allZero(info->iotId, sizeof info->iotId) &&
           allZero(info->iotDataDigest, sizeof info->iotDataDigest) && allZero(info->iotSignature, sizeof info->iotSignature) &&
           info->iotAuthTypeLen == 0 && info->iotIdLen == 0 && info->iotDataDigestLen == 0 && info->iotSignatureLen == 0;
}

int isFilled(const LtlInfo *info)
{
    return isText(info->iotAuthType, sizeof info->iotAuthType, info->iotAuthTypeLen) && strcmp(info->iotAuthType, "ID2") == 0 &&
           isText(info->iotId, sizeof info->iotId, info->iotIdLen) &&
           isText(info->iotDataDigest, sizeof info->iotDataDigest, info->iotDataDigestLen) && info->iotDataDigestLen == 64 &&
           strspn(info->iotDataDigest, "0123456789ABCDEF") == 64 &&
           isText(info->iotSignature, sizeof info->iotSignature, info->iotSignatureLen) && memcmp(info->iotSignature, "3~2~", 4) == 0 &&
           strspn(info->iotSignature + 4, "0123456789ABCDEF") == 16 && info->iotSignature[20] == '~' &&
           memcmp(info->iotSignature + 21, info->timestamp, 13) == 0 && info->iotSignature[34] == '~' && info->iotSignatureLen % 4 == 3;
}
