/*
 * What the manual leaves to the platform: the device's IotId, the place of its key, the function that signs, and the
 * return codes.
 *
 * Without a call of ltlConfigure, ltlInit takes the environment variables LTL_IOT_ID and LTL_KEY_FILE.
 */
#ifndef LTL_PORT_H
#define LTL_PORT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Return codes. */
#define LTL_OK               0
#define LTL_E_STATE         (-1) /* called in the wrong order: not initialised, or initialised already */
#define LTL_E_CONFIG        (-2) /* no key file and no signing function is configured, or both, or too long a path */
#define LTL_E_IOT_ID        (-3) /* the IotId is missing, or not 1 to 63 letters, digits, '-', '.', '_', ':' and '@' */
#define LTL_E_KEY_FILE      (-4) /* the key file cannot be read, or is larger than 2048 bytes */
#define LTL_E_KEY           (-5) /* the key file holds neither a P-256 private key nor an AES key */
#define LTL_E_MEMORY        (-6) /* the library's fixed memory is used up; a fault of the library */
#define LTL_E_ARGUMENT      (-7) /* an argument is NULL */
#define LTL_E_USER_DATA     (-8) /* userData is NULL or empty, or userDataLen is negative or above LTL_USER_DATA_MAX */
#define LTL_E_PROVIDER      (-9) /* iotIdServiceProvider is not 1 to 64 letters, digits, '-', '.' and '_' */
#define LTL_E_TIMESTAMP    (-10) /* timestamp is not 13 digits, of which the first is not 0 */
#define LTL_E_RANDOM       (-11) /* the random generator failed */
#define LTL_E_SIGN         (-12) /* signing failed, in the library or in the signing function */
#define LTL_E_SIGNATURE    (-13) /* the signing function gave an empty signature, or one above LTL_SIGNATURE_MAX */
#define LTL_E_DIGEST       (-14) /* computing SHA-256 failed, for example in cryptographic hardware */
#define LTL_E_LOCK         (-15) /* the lock that serialises calls could not be taken */

/* Bounds, in bytes. */
#define LTL_IOT_ID_MAX          63 /* LtlInfo has 64, one for the terminating zero */
#define LTL_PROVIDER_MAX        64
#define LTL_USER_DATA_MAX  2097152 /* the facade takes no larger request */
#define LTL_KEY_FILE_MAX      2048
#define LTL_PATH_MAX          1023
#define LTL_DIGEST_SIZE         32
#define LTL_SIGNATURE_MAX      165 /* 220 characters in Base64, which fill iotSignature */

/* Signs a SHA-256 digest of LTL_DIGEST_SIZE bytes, for example in a secure element. Writes at most signatureSize bytes
   (which is LTL_SIGNATURE_MAX) and stores their number in *signatureLen. Returns 0, or any other value on failure. The
   signature must be, for a device that is enrolled with a key of type
     ECC  ECDSA on P-256 over the digest, in DER (see ltlEncodeEcdsa)
     AES  the digest and sixteen bytes of 0x10, encrypted with AES in ECB mode: 48 bytes */
typedef int (*LtlSign)(void *context, const unsigned char *digest, unsigned char *signature, int signatureSize,
                       int *signatureLen);

/* Fills out with len unpredictable bytes. Returns 0, or any other value on failure. */
typedef int (*LtlRandom)(void *context, unsigned char *out, int len);

/* Identifies the device. ltlGetSignature calls the callbacks one at a time. They must not call the SDK. */
typedef struct LtlConfig {
    const char *iotId;   /* the device's IotId, as it is enrolled */
    const char *keyFile; /* path of the device's key; NULL with sign. See README.md for the forms. */
    LtlSign     sign;    /* NULL with keyFile */
    LtlRandom   random;  /* NULL: the operating system's */
    void       *context; /* passed to sign and random; the SDK does not use it */
} LtlConfig;

/* Configures the SDK. Must be called before ltlInit. Texts are copied. NULL restores the environment variables. When the
   configuration is refused, the old one stays. ltlInit checks the content of the texts. */
int ltlConfigure(const LtlConfig *config);

/* Writes an ECDSA signature on P-256, given as the 64 bytes r and s (the form that secure elements return), in DER, 8 to
   72 bytes, and stores their number in *derLen. Returns LTL_E_ARGUMENT for NULL, and LTL_E_SIGNATURE when size is too
   small or r or s is zero. */
int ltlEncodeEcdsa(const unsigned char *rs, unsigned char *der, int size, int *derLen);

/* Returns the meaning of a return code: one English sentence, never NULL. */
const char *ltlErrorText(int code);

#ifdef __cplusplus
}
#endif

#endif
