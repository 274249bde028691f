/*
 * The LTL device SDK: a device signs its data, and its business system uploads the data with the signature.
 *
 * This header is the manual's: three functions and one structure. The device's IotId, its key and its random numbers are
 * configured with ltl_port.h or by two environment variables; see there.
 *
 * All functions return 0 on success and one of the LTL_E_ codes of ltl_port.h on failure. They may be called from several
 * threads. After ltlInit nothing allocates memory.
 */
#ifndef LTL_H
#define LTL_H

#ifdef __cplusplus
extern "C" {
#endif

/* IN members are filled by the caller, OUT members by ltlGetSignature. */
#ifndef IN
#define IN
#define LTL_DEFINES_IN
#endif
#ifndef OUT
#define OUT
#define LTL_DEFINES_OUT
#endif

typedef struct LtlInfo {
    /* The data to sign: the text of the upload's parameter Value, PhaseData or PhaseDataList, to the byte and without a
       terminating zero. 1 to 2097152 bytes. */
    IN  char *userData;
    IN  int   userDataLen;
    /* The product key of the device's group: 1 to 64 letters, digits, '-', '.' and '_'. */
    IN  char *iotIdServiceProvider;
    IN  int   iotIdServiceProviderLen;
    /* The time in milliseconds since 1970, as 13 decimal digits without a terminating zero: "1582700146253". */
    IN  char *timestamp;
    IN  int   timestampLen;
    /* The upload's parameters of these names. Each is text with a terminating zero that its length does not count. The
       rest of the array is zero too. When ltlGetSignature fails, all are empty and all lengths are 0. */
    OUT char  iotAuthType[64];
    OUT int   iotAuthTypeLen;
    OUT char  iotId[64];
    OUT int   iotIdLen;
    OUT char  iotDataDigest[65];
    OUT int   iotDataDigestLen;
    OUT char  iotSignature[256];
    OUT int   iotSignatureLen;
} LtlInfo;

#ifdef LTL_DEFINES_IN
#undef IN
#undef LTL_DEFINES_IN
#endif
#ifdef LTL_DEFINES_OUT
#undef OUT
#undef LTL_DEFINES_OUT
#endif

/* Reads the configuration and the device's key. Must be called before ltlGetSignature. A second call without ltlRelease
   between them fails and changes nothing. */
int ltlInit(void);

/* Signs the data that ltlInfo describes. Each call draws another random number and so gives another signature. The ledger
   accepts each signature once. The IN members are not changed, and may point into ltlInfo's own OUT members. */
int ltlGetSignature(LtlInfo *ltlInfo);

/* Wipes the device's key and all else that the library holds, except the configuration. ltlInit may be called again. */
int ltlRelease(void);

#ifdef __cplusplus
}
#endif

#endif
