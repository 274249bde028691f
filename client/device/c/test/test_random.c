/*
 * Random calls of the SDK, right and wrong ones, each judged by a few lines that say what is right; and random key files. The same
 * seed gives the same calls. usage: test_random DIRECTORY SEED CALLS
 */
#include "test.h"

static unsigned long long state;

/* A number below n, from a xorshift generator. */
static unsigned below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 11) % n);
}

static int randomSource(void *context, unsigned char *out, int len)
{
    (void)context;
    while (len-- > 0)
        *out++ = (unsigned char)below(256);
    return 0;
}

/* One text of a call: NULL, or a block of exactly size bytes, and the length that the call says. */
typedef struct Text {
    char *bytes;
    size_t size;
    int len;
} Text;

/* Mostly of characters of alphabet, mostly of a usual size, mostly with its right length, which is never too large. */
static Text randomText(const char *alphabet, unsigned usual)
{
    static const int lengths[] = {0, -1, -13, -0x7fffffff - 1};
    Text t;
    size_t i;
    t.size = below(8) == 0 ? below(200) : usual;
    t.bytes = exact("", 0);
    if (t.size > 0) {
        free(t.bytes);
        t.bytes = malloc(t.size);
        if (t.bytes == NULL)
            abort();
    }
    for (i = 0; i < t.size; i++)
        t.bytes[i] = alphabet[below((unsigned)strlen(alphabet))];
    if (t.size > 0 && below(8) == 0)
        t.bytes[below((unsigned)t.size)] = (char)below(128);
    t.len = below(8) == 0 ? lengths[below(4)] : (int)t.size;
    if (below(16) == 0) {
        free(t.bytes);
        t.bytes = NULL;
    }
    return t;
}

static int all(Text t, const char *characters)
{
    int i;
    for (i = 0; i < t.len; i++)
        if (t.bytes[i] == '\0' || strchr(characters, t.bytes[i]) == NULL)
            return 0;
    return 1;
}

static int expected(Text data, Text provider, Text timestamp)
{
    if (data.bytes == NULL || data.len <= 0)
        return LTL_E_USER_DATA;
    if (provider.bytes == NULL || provider.len <= 0 || provider.len > 64 ||
        !all(provider, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"))
        return LTL_E_PROVIDER;
    if (timestamp.bytes == NULL || timestamp.len != 13 || !all(timestamp, "0123456789") || timestamp.bytes[0] == '0')
        return LTL_E_TIMESTAMP;
    return LTL_OK;
}

static void randomCall(void)
{
    Text data = randomText("any text {\"t\":21}", 1 + below(300));
    Text provider = randomText("abcXYZ019-._", 1 + below(64));
    Text timestamp = randomText("0123456789", 13);
    LtlInfo info;
    int want = expected(data, provider, timestamp);
    memset(&info, (int)below(256), sizeof info);
    info.userData = data.bytes;
    info.userDataLen = data.len;
    info.iotIdServiceProvider = provider.bytes;
    info.iotIdServiceProviderLen = provider.len;
    info.timestamp = timestamp.bytes;
    info.timestampLen = timestamp.len;
    CHECK(ltlGetSignature(&info) == want);
    CHECK(want == LTL_OK ? isFilled(&info) : isEmpty(&info));
    free(data.bytes);
    free(provider.bytes);
    free(timestamp.bytes);
}

/* Whatever stands in a key file, it is read to its end at most, taken or refused, and overwritten. */
static void randomKey(void)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgya+p2EW6dRZrXCFX\n"
                              "Z7HWk05Qw9s26JsSe4piKxIPZyGhRANCAARg/tS6JVqdMclh63TGNW1owEm4kjth\n"
                              "+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZ\n"
                              "-----END PRIVATE KEY-----\n";
    char *text = exact(pem, sizeof pem - 1);
    size_t size = below(4) == 0 ? below(sizeof pem) : sizeof pem - 1;
    unsigned changes = below(4);
    int code;
    char *cut;
    while (changes-- > 0) /* mostly in the structure, before the key itself, which any number may be */
        text[28 + below(below(2) == 0 ? 64 : sizeof pem - 29)] = (char)(below(2) == 0 ? 'A' + below(26) : below(256));
    cut = exact(text, size);
    code = ltlKeyParse((unsigned char *)cut, size);
    CHECK(code == LTL_OK || code == LTL_E_KEY);
    CHECK(allZero(cut, size));
    free(text);
    free(cut);
    ltlCryptoRelease();
    CHECK(ltlHeapInUse() == 0);
}

int main(int argc, char **argv)
{
    char path[4096];
    long calls, i;
    if (argc != 4 || strlen(argv[1]) > 4000) {
        fputs("usage: test_random DIRECTORY SEED CALLS\n", stderr);
        return 2;
    }
    state = strtoull(argv[2], NULL, 10) * 2654435769u + 1;
    calls = strtol(argv[3], NULL, 10);
    for (i = 0; i < calls / 20 && failures < 20; i++)
        randomKey();
    /* AES, since it is quick. */
    sprintf(path, "%s/test_random.key", argv[1]);
    CHECK(initWith(path, VECTOR_KEY, strlen(VECTOR_KEY), randomSource) == LTL_OK);
    for (i = 0; i < calls && failures < 20; i++)
        randomCall();
    CHECK(ltlRelease() == LTL_OK);
    (void)remove(path);
    return failures > 0;
}
