/*
 * Signs one piece of data and prints the parameters to upload it with: adapt the inputs below, or give them as options.
 *
 *     ltl_demo --key device.pem --iot-id 00FFFF098598F3BDD8221234 --product-key hKpHMh2abcd --value Proof-Data
 */
#define _POSIX_C_SOURCE 200809L /* for clock_gettime; the SDK does not need it */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ltl.h"
#include "ltl_port.h"

/* The inputs. */
static char defaultUserData[] = "Proof-Data";
static char defaultProductKey[] = "hKpHMh2abcd";

typedef struct Inputs {
    const char *keyFile; /* NULL: the environment variable LTL_KEY_FILE */
    const char *iotId;   /* NULL: the environment variable LTL_IOT_ID */
    char *productKey;
    char *userData;
    char *timestamp; /* NULL: now */
} Inputs;

static int usage(void)
{
    fputs("usage: ltl_demo [--key FILE --iot-id ID] [--product-key KEY] [--value TEXT] [--timestamp MILLISECONDS]\n"
          "Without --key and --iot-id the environment must have LTL_KEY_FILE and LTL_IOT_ID.\n"
          "`ltl device keygen --out FILE` makes a key.\n",
          stderr);
    return 2;
}

static int parse(int argc, char **argv, Inputs *in)
{
    int i;
    if (argc % 2 == 0)
        return -1;
    for (i = 1; i < argc; i += 2) {
        char *value = argv[i + 1];
        if (strcmp(argv[i], "--key") == 0)
            in->keyFile = value;
        else if (strcmp(argv[i], "--iot-id") == 0)
            in->iotId = value;
        else if (strcmp(argv[i], "--product-key") == 0)
            in->productKey = value;
        else if (strcmp(argv[i], "--value") == 0)
            in->userData = value;
        else if (strcmp(argv[i], "--timestamp") == 0)
            in->timestamp = value;
        else
            return -1;
    }
    return (in->keyFile == NULL) == (in->iotId == NULL) ? 0 : -1;
}

/* Writes the time in milliseconds since 1970. */
static int now(char *text, size_t size)
{
    struct timespec t;
    int n;
    if (clock_gettime(CLOCK_REALTIME, &t) != 0)
        return -1;
    n = snprintf(text, size, "%lld%03ld", (long long)t.tv_sec, t.tv_nsec / 1000000);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static int failed(const char *what, int code)
{
    fprintf(stderr, "ltl_demo: %s: %s (%d)\n", what, ltlErrorText(code), code);
    return 1;
}

static int length(const char *text)
{
    size_t n = strlen(text);
    return n > LTL_USER_DATA_MAX ? LTL_USER_DATA_MAX + 1 : (int)n; /* too long is refused by the SDK */
}

static int signAndPrint(const Inputs *in)
{
    static LtlInfo info; /* all zero */
    int code;
    info.userData = in->userData;
    info.userDataLen = length(in->userData);
    info.iotIdServiceProvider = in->productKey;
    info.iotIdServiceProviderLen = length(in->productKey);
    info.timestamp = in->timestamp;
    info.timestampLen = length(in->timestamp);
    code = ltlGetSignature(&info);
    if (code != 0)
        return failed("ltlGetSignature", code);
    printf("IotAuthType=%s\n", info.iotAuthType);
    printf("IotId=%s\n", info.iotId);
    printf("IotIdServiceProvider=%s\n", in->productKey);
    printf("IotDataDigest=%s\n", info.iotDataDigest);
    printf("IotSignature=%s\n", info.iotSignature);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    char present[32];
    Inputs in = {NULL, NULL, defaultProductKey, defaultUserData, NULL};
    int code, status;
    if (parse(argc, argv, &in) != 0)
        return usage();
    if (in.keyFile != NULL) {
        LtlConfig config = {NULL, NULL, NULL, NULL, NULL};
        config.iotId = in.iotId;
        config.keyFile = in.keyFile;
        code = ltlConfigure(&config);
        if (code != 0)
            return failed("ltlConfigure", code);
    }
    if (in.timestamp == NULL) {
        if (now(present, sizeof present) != 0) {
            fputs("ltl_demo: the system's clock cannot be read\n", stderr);
            return 1;
        }
        in.timestamp = present;
    }
    code = ltlInit();
    if (code != 0)
        return failed("ltlInit", code);
    status = signAndPrint(&in);
    code = ltlRelease();
    return code == 0 ? status : failed("ltlRelease", code);
}
