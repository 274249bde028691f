/* Measures what README.md says: the stack that each function takes, and the heap inside the library. usage: sizes DIRECTORY */
#define _POSIX_C_SOURCE 200809L

#include "test.h"

#include <pthread.h>
#include <time.h>

#define STACK_SIZE (256 * 1024)
#define PAINT 0xA5

static union {
    long long align;
    unsigned char bytes[STACK_SIZE];
} stack;

static const char sec1[] = "-----BEGIN EC PRIVATE KEY-----\n"
                           "MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n"
                           "AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8\n"
                           "maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n"
                           "-----END EC PRIVATE KEY-----\n";

static LtlInfo info;

static void *nothing(void *unused) { return unused; }

static void *init(void *unused)
{
    CHECK(ltlInit() == LTL_OK);
    return unused;
}

static void *getSignature(void *unused)
{
    CHECK(ltlGetSignature(&info) == LTL_OK);
    return unused;
}

/* The bytes of stack that a thread used which ran f. */
static size_t stackOf(void *(*f)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;
    size_t i = 0;
    memset(stack.bytes, PAINT, sizeof stack.bytes);
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, stack.bytes, sizeof stack.bytes) != 0 ||
        pthread_create(&thread, &attributes, f, NULL) != 0 || pthread_join(thread, NULL) != 0 || pthread_attr_destroy(&attributes) != 0)
        abort();
    while (i < sizeof stack.bytes && stack.bytes[i] == PAINT)
        i++;
    return sizeof stack.bytes - i;
}

static void measure(const char *name, const char *path, const char *keyText)
{
    static char data[] = "Proof-Data", provider[] = "hKpHMh2abcd", timestamp[] = VECTOR_TIMESTAMP;
    enum { ROUNDS = 200 };
    size_t none = stackOf(nothing);
    struct timespec from, to;
    int i;
    CHECK(initWith(path, keyText, strlen(keyText), NULL) == LTL_OK && ltlRelease() == LTL_OK);
    describe(&info, data, provider, timestamp);
    printf("%s: stack of ltlInit %lu", name, (unsigned long)(stackOf(init) - none));
    printf(", of ltlGetSignature %lu", (unsigned long)(stackOf(getSignature) - none));
    if (clock_gettime(CLOCK_MONOTONIC, &from) != 0)
        abort();
    for (i = 0; i < ROUNDS; i++)
        CHECK(ltlGetSignature(&info) == LTL_OK);
    if (clock_gettime(CLOCK_MONOTONIC, &to) != 0)
        abort();
    printf("; inner heap in use %lu, at most %lu", (unsigned long)ltlHeapInUse(), (unsigned long)ltlHeapPeak());
    printf("; %.3f ms a signature\n", ((double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6) / ROUNDS);
    CHECK(ltlRelease() == LTL_OK);
    (void)remove(path);
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc != 2 || strlen(argv[1]) > 4000)
        return 2;
    sprintf(path, "%s/sizes.key", argv[1]);
    measure("ECC", path, sec1);
    measure("AES", path, VECTOR_KEY);
    return failures > 0;
}
