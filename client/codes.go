package client

import "ltl/internal/rules"

// Result codes: Result.code of Submit, Block.results, and the code in the responses of reads. The negative ones are
// those of the LTL manual. Message returns a sentence on each.
const (
	// CodeOK is success: the transaction took effect, or the read found what was asked for.
	CodeOK int32 = 200

	// CodeBadChainCode: the chain code is not 16 characters long.
	CodeBadChainCode int32 = -101
	// CodeBadKey: the Key is not VERSION_PK_TYPE_ID.
	CodeBadKey int32 = -102
	// CodeBadValue: the value is empty.
	CodeBadValue int32 = -103
	// CodeNotRAM: a main account where a RAM user is required.
	CodeNotRAM int32 = -104
	// CodeChainCodeDiffers: the chain code inside the Key is not this chain's.
	CodeChainCodeDiffers int32 = -105
	// CodeBadIoT: a device-signature parameter is wrong.
	CodeBadIoT int32 = -106
	// CodeBadAuthType: the device's authentication type is not supported.
	CodeBadAuthType int32 = -107
	// CodeBadDigestLength: the device digest is not 64 characters long.
	CodeBadDigestLength int32 = -110
	// CodeBadDigest: the device digest is not that of the value.
	CodeBadDigest int32 = -111
	// CodeBadAPIVersion: ApiVersion is not 1.0.0.
	CodeBadAPIVersion int32 = -113
	// CodeForeignTypeCode: the type code belongs to another chain.
	CodeForeignTypeCode int32 = -115
	// CodeBadIoTSource: the kind of data source is not supported.
	CodeBadIoTSource int32 = -118
	// CodeBatchTypes: a batch mixes chain codes or type codes.
	CodeBatchTypes int32 = -218
	// CodeBatchRepeatedKey: a batch repeats a key.
	CodeBatchRepeatedKey int32 = -219
	// CodeValueTooLong: the value is too long.
	CodeValueTooLong int32 = -220
	// CodeBatchTooLong: a batch has too many items.
	CodeBatchTooLong int32 = -221
	// CodeSubValueTooLong: an item of a batch is too long.
	CodeSubValueTooLong int32 = -222
	// CodeBadTypeCode: the type code is not usable by this account.
	CodeBadTypeCode int32 = -305
	// CodeDuplicateKey: the Key (with its BusinessId) is on the chain already.
	CodeDuplicateKey int32 = -317
	// CodeBatchDuplicateKey: a key of a batch is on the chain already.
	CodeBatchDuplicateKey int32 = -318
	// CodeInFlight: the record is being put on the chain.
	CodeInFlight int32 = -320
	// CodeUnknownUID: no such account.
	CodeUnknownUID int32 = -339

	// CodeOutOfRange: a value is out of range or has the wrong form.
	CodeOutOfRange int32 = 400
	// CodeForbidden: role, lock, permission, or an expired chain.
	CodeForbidden int32 = 403
	// CodeNotFound: no such thing.
	CodeNotFound int32 = 404
	// CodeConflict: a duplicate that has no code of its own.
	CodeConflict int32 = 409
	// CodeQuotaExceeded: a quota is used up.
	CodeQuotaExceeded int32 = 429

	// CodeDuplicate: the transaction's id is on the chain already, earlier than this.
	CodeDuplicate int32 = 1001
	// CodeNonceUsed: the pair of access key id and signature nonce was used before.
	CodeNonceUsed int32 = 1002
	// CodeNotEndorsed: the endorsements do not satisfy the chain's policy.
	CodeNotEndorsed int32 = 1003
	// CodeEndorsementExpired: the endorsements would satisfy the policy, but came too late.
	CodeEndorsementExpired int32 = 1004
	// CodeMalformed: the bytes are not a transaction for this chain.
	CodeMalformed int32 = 1005
	// CodeClocksDisagree: the clocks of the organisations that endorsed are too far apart.
	CodeClocksDisagree int32 = 1006
	// CodeNotEntitled: the submitter may not speak for this account or AccessKey.
	CodeNotEntitled int32 = 1007
	// CodeTooFewClocks: too few organisations endorsed to date the transaction.
	CodeTooFewClocks int32 = 1008
)

// Message returns an English sentence on a result code, which says what the caller can do.
func Message(code int32) string { return rules.Message(code) }
