/* The little that the tests have in common. */
#ifndef LTL_TEST_H
#define LTL_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ltl.h"
#include "ltl_internal.h"

/* The key and the names of the vectors published for ID2. */
#define VECTOR_ID "2122232425262728292A2B2C"
#define VECTOR_RANDOM "ABABABABABABABAB"
#define VECTOR_TIMESTAMP "1512022279204"
#define VECTOR_KEY "2122232425262728292a2b2c2d2e2f30"

/* How many CHECKs did not hold. */
extern int failures;

/* Prints what does not hold, and returns. */
void checkThat(int holds, const char *what, const char *file, int line);

/* A copy in a block of exactly its size, so that the sanitizers see what is read behind it. The caller frees it. */
char *exact(const void *bytes, size_t len);

int fixedRandom(void *context, unsigned char *out, int len);

/* Writes a key file and initialises the SDK with it. */
int initWith(const char *path, const void *keyText, size_t len, LtlRandom random);

/* Fills the members that a caller fills, from texts. */
void describe(LtlInfo *info, char *data, char *provider, char *timestamp);

int allZero(const char *bytes, size_t len);

/* Whether text fills exactly len characters of a buffer and all the rest is zero. */
int isText(const char *buffer, size_t size, int len);

/* Whether nothing is left in the members that the SDK fills. */
int isEmpty(const LtlInfo *info);

/* Whether all of them are filled in the forms that they must have. */
int isFilled(const LtlInfo *info);

#define CHECK(condition) checkThat((condition) != 0, #condition, __FILE__, __LINE__)

#endif
