package rules

// Result codes, as they stand in Block.results and Result.code. The negative ones are those of the LTL manual.
const (
	// OK is success.
	OK int32 = 200

	// BadChainCode: the chain code is not 16 characters long.
	BadChainCode int32 = -101
	// BadKey: the Key is not VERSION_PK_TYPE_ID.
	BadKey int32 = -102
	// BadValue: the value is empty.
	BadValue int32 = -103
	// NotRAM: a main account where a RAM user is required.
	NotRAM int32 = -104
	// ChainCodeDiffers: the chain code inside the Key is not this chain's.
	ChainCodeDiffers int32 = -105
	// BadIoT: a device-signature parameter is wrong.
	BadIoT int32 = -106
	// BadAuthType: the device's authentication type is not supported.
	BadAuthType int32 = -107
	// BadDigestLength: the device digest is not 64 characters long.
	BadDigestLength int32 = -110
	// BadDigest: the device digest is not that of the value.
	BadDigest int32 = -111
	// BadAPIVersion: ApiVersion is not 1.0.0.
	BadAPIVersion int32 = -113
	// ForeignTypeCode: the type code belongs to another chain.
	ForeignTypeCode int32 = -115
	// BadIoTSource: the kind of data source is not supported.
	BadIoTSource int32 = -118
	// BatchTypes: a batch mixes chain codes or type codes.
	BatchTypes int32 = -218
	// BatchRepeatedKey: a batch repeats a key.
	BatchRepeatedKey int32 = -219
	// ValueTooLong: the value is too long.
	ValueTooLong int32 = -220
	// BatchTooLong: a batch has too many items.
	BatchTooLong int32 = -221
	// SubValueTooLong: an item of a batch is too long.
	SubValueTooLong int32 = -222
	// BadTypeCode: the type code is not usable by this account.
	BadTypeCode int32 = -305
	// DuplicateKey: the Key (with its BusinessId) is on the chain already.
	DuplicateKey int32 = -317
	// BatchDuplicateKey: a key of a batch is on the chain already.
	BatchDuplicateKey int32 = -318
	// InFlight: the record is being put on the chain.
	InFlight int32 = -320
	// UnknownUID: no such account.
	UnknownUID int32 = -339

	// OutOfRange: a value is out of range or has the wrong form.
	OutOfRange int32 = 400
	// Forbidden: role, lock, permission, or an expired chain.
	Forbidden int32 = 403
	// NotFound: no such thing.
	NotFound int32 = 404
	// Conflict: a duplicate that has no code of its own.
	Conflict int32 = 409
	// QuotaExceeded: a quota is used up.
	QuotaExceeded int32 = 429

	// Duplicate: the transaction's id is on the chain already, earlier than this.
	Duplicate int32 = 1001
	// NonceUsed: the pair of access key id and signature nonce was used before.
	NonceUsed int32 = 1002
	// NotEndorsed: the endorsements do not satisfy the chain's policy.
	NotEndorsed int32 = 1003
	// EndorsementExpired: the endorsements would satisfy the policy, but came too late.
	EndorsementExpired int32 = 1004
	// Malformed: the bytes are no transaction for this chain.
	Malformed int32 = 1005
)

// Message is an English sentence on a result code that the caller can act on.
func Message(code int32) string {
	switch code {
	case OK:
		return "Success."
	case BadChainCode:
		return "The chain code must be 16 characters long; check ProductKey and the second part of Key."
	case BadKey:
		return "Key must be VERSION_PK_TYPE_ID: version 0001, chain code, type code, and an ID of 1 to 64 letters, digits, '-' or '.'."
	case BadValue:
		return "The value must not be empty."
	case NotRAM:
		return "A member of a chain must be a RAM user, not a main account; use the AccessKey of a RAM user."
	case ChainCodeDiffers:
		return "The chain code inside Key differs from the chain written to; ProductKey and the second part of Key must be equal."
	case BadIoT:
		return "A device parameter is empty or has the wrong form; IotAuthType, IotId, IotIdServiceProvider, IotDataDigest and IotSignature must be given."
	case BadAuthType:
		return "IotAuthType is not supported; use ID2."
	case BadDigestLength:
		return "IotDataDigest must be 64 characters long."
	case BadDigest:
		return "IotDataDigest must be the upper-case hexadecimal SHA-256 of the value."
	case BadAPIVersion:
		return "ApiVersion is not supported; use 1.0.0."
	case ForeignTypeCode:
		return "The data type code inside Key does not belong to this chain."
	case BadIoTSource:
		return "IotIdSource is not supported; use 1 or 2."
	case BatchTypes:
		return "All items of a batch must have the chain code and the type code of the Key."
	}
	return message2(code)
}

// message2 is the second half of Message.
func message2(code int32) string {
	switch code {
	case BatchRepeatedKey:
		return "A batch must not hold the same dataKey and dataSeq twice."
	case ValueTooLong:
		return "The value is too long: a Value may have 256 bytes of UTF-8, a PhaseData 4096, where a character outside of ASCII counts as two."
	case BatchTooLong:
		return "A batch must hold 1 to 50 items."
	case SubValueTooLong:
		return "An item of the batch is too long: a phaseData may have 4096 bytes, where a character outside of ASCII counts as two."
	case BadTypeCode:
		return "The data type code inside Key is not one this account may use; list your chains to see it."
	case DuplicateKey:
		return "This Key, or this BusinessId or DataSeq under it, is on the chain already."
	case BatchDuplicateKey:
		return "A dataKey and dataSeq of the batch are on the chain already; nothing of the batch was taken."
	case InFlight:
		return "The data is being put on the chain; wait 5 seconds and fetch it again."
	case UnknownUID:
		return "The service is not activated for this account."
	case OutOfRange:
		return "A parameter is out of range or has the wrong form."
	case Forbidden:
		return "The account may not do this on this chain: check its role, its lock, and the chain's term."
	case NotFound:
		return "What the request names does not exist."
	case Conflict:
		return "This exists already."
	case QuotaExceeded:
		return "A quota of this chain is used up; ask the operator to raise it."
	case Duplicate:
		return "This transaction is on the chain already; its first result counts."
	case NonceUsed:
		return "SignatureNonce was used before with this AccessKey; sign the request again with a new one."
	case NotEndorsed:
		return "Too few organisations endorsed this; the chain's policy is not satisfied."
	case EndorsementExpired:
		return "The endorsements expired before the transaction was ordered; have it endorsed again."
	case Malformed:
		return "The bytes are not a valid transaction for this chain."
	}
	return "The ledger refused this with a code that has no description."
}
