/* Declarations that the parts of the library share. Nothing here is visible outside the library. */
#ifndef LTL_INTERNAL_H
#define LTL_INTERNAL_H

#include <stddef.h>

#include "ltl_port.h"

#define LTL_RANDOM_SIZE 8

/* ltl_linux.c: the operating system. Another system needs another such file and nothing else. */

/* Take and give back the one lock; 0 on success. */
int ltlPortLock(void);
int ltlPortUnlock(void);
/* Fills out from the system's random generator; 0 on success. */
int ltlPortRandom(unsigned char *out, size_t len);
/* Reads a whole file of at most size bytes and stores its length; 0 on success. A failure may leave bytes in out. */
int ltlPortReadFile(const char *path, unsigned char *out, size_t size, size_t *len);
/* A variable of the environment, NULL when it is not set. */
const char *ltlPortSetting(const char *name);

/* ltl_crypto.c: the key and what is done with it. All but the digest need the lock. */

typedef int (*LtlRandomSource)(void *context, unsigned char *out, size_t len);

/* Take over a key; LTL_OK, LTL_E_KEY or LTL_E_MEMORY. */
int ltlCryptoSetEcc(const unsigned char *scalar, size_t len);
int ltlCryptoSetAes(const unsigned char *key, size_t len);
/* Wipes the key. Without one it does nothing. */
void ltlCryptoRelease(void);
int ltlCryptoDigest(const unsigned char *data, size_t len, unsigned char digest[LTL_DIGEST_SIZE]);
/* Signs with the key; signature has LTL_SIGNATURE_MAX bytes. random blinds the computation and does not change the
   signature. */
int ltlCryptoSign(const unsigned char digest[LTL_DIGEST_SIZE], unsigned char *signature, int *len,
                  LtlRandomSource random, void *context);
void ltlWipe(void *p, size_t len);

/* ltl_key.c: key files. Takes over the key that text holds, and overwrites text. */
int ltlKeyParse(unsigned char *text, size_t len);

/* ltl_text.c: forms of texts. */

/* Whether text is 1 to max ASCII letters, digits and characters of also. */
int ltlTextIsName(const char *text, size_t len, size_t max, const char *also);
/* Whether text is 13 digits, the first not 0. */
int ltlTextIsTimestamp(const char *text, size_t len);
/* Writes 2*len upper-case digits. */
void ltlTextHex(const unsigned char *bytes, size_t len, char *out);
/* Writes 4*((len+2)/3) characters of Base64 and returns how many. */
size_t ltlTextBase64(const unsigned char *bytes, size_t len, char *out);
/* The value of a hexadecimal digit, or -1. */
int ltlTextHexDigit(unsigned char c);

/* ltl_heap.c: what mbedTLS allocates from. All need the lock. */

void *ltlHeapCalloc(size_t count, size_t size);
void ltlHeapFree(void *p);
/* Forgets and wipes everything. */
void ltlHeapReset(void);
/* Bytes in use now, and the most that ever were since the last reset, with bookkeeping. */
size_t ltlHeapInUse(void);
size_t ltlHeapPeak(void);
/* How often memory was asked for in vain. */
int ltlHeapRefusals(void);

#endif
