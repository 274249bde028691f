package rules

import "slices"

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
	// Malformed: the bytes are not a transaction for this chain.
	Malformed int32 = 1005
	// ClocksDisagree: the clocks of the organisations that endorsed the batch are too far apart.
	ClocksDisagree int32 = 1006
	// NotEntitled: the submitter may not speak for this account or AccessKey.
	NotEntitled int32 = 1007
	// TooFewClocks: too few organisations endorsed the batch to date it so far ahead of the network's reference time.
	TooFewClocks int32 = 1008
)

// CodeInfo is a row of the table of result codes: what the ledger, the HTTP API and its documents know of a code.
type CodeInfo struct {
	Code int32
	// Name is the name of the constant.
	Name string
	// Message is the sentence that a caller gets with the code; it says what the caller can do.
	Message string
	// Meaning and Remedy are the sentences of the API's documents; empty for codes that the API does not answer with.
	Meaning, Remedy string
	// Answer is the Code in an answer of the HTTP API, mostly the code itself; 0 when that is a gateway error.
	Answer int32
	// Gateway is the name of that gateway error; empty when Answer is not 0.
	Gateway string
	// HTTPStatus is the status of the API's answer: refusals by the rules have status 200 and Success false.
	HTTPStatus int
	// Unrecorded is set when a transaction with this result writes nothing, so that the same bytes may be ordered again.
	// Every other result uses up the transaction's id and nonce.
	Unrecorded bool
}

// Codes returns the table of result codes, in the order of the constants.
func Codes() []CodeInfo { return slices.Clone(codeTable[:]) }

// Describe returns the row of a result code; for a number that is not a code, a row with nothing but a general Message.
func Describe(code int32) CodeInfo {
	for i := range codeTable {
		if codeTable[i].Code == code {
			return codeTable[i]
		}
	}
	return CodeInfo{Message: "The ledger refused this with a code that has no description."}
}

// Message returns an English sentence on a result code that the caller can act on.
func Message(code int32) string { return Describe(code).Message }

// Recorded reports whether a transaction that ended with this code is known from then on: its bytes are not executed
// again.
func Recorded(code int32) bool { return code == OK || !Describe(code).Unrecorded }

// codeTable has one row per constant; TestCodeTable compares the two.
var codeTable = [...]CodeInfo{
	{
		Code: OK, Name: "OK", Answer: OK, HTTPStatus: 200,
		Message: "Success.",
	},
	{
		Code: BadChainCode, Name: "BadChainCode", Answer: BadChainCode, HTTPStatus: 200,
		Message: "The chain code must be 16 characters long; check ProductKey and the second part of Key.",
		Meaning: "The chain code in ProductKey is not 16 characters long.",
		Remedy:  "Take BizChainCode from ListProofChain.",
	},
	{
		Code: BadKey, Name: "BadKey", Answer: BadKey, HTTPStatus: 200,
		Message: "Key must be VERSION_PK_TYPE_ID: version 0001, chain code, type code, and an ID of 1 to 64 letters, " +
			"digits, '-' or '.'.",
		Meaning: "Key is not VERSION_PK_TYPE_ID with the version 0001 and an ID of 1 to 64 letters, digits, '-' or '.'.",
		Remedy:  "Build the Key of its four parts; the ID must not hold '_'.",
	},
	{
		Code: BadValue, Name: "BadValue", Answer: BadValue, HTTPStatus: 200,
		Message: "The value must not be empty.",
		Meaning: "Value, PhaseData or an item's phaseData is empty; Value is also missing altogether.",
		Remedy:  "Send at least one character.",
	},
	{
		Code: NotRAM, Name: "NotRAM", Answer: NotRAM, HTTPStatus: 200,
		Message: "A member of a chain must be a RAM user, not a main account; use the AccessKey of a RAM user.",
		Meaning: "A main account was to be a member of a chain, or calls as one.",
		Remedy:  "Use the UID and the AccessKey of a RAM user.",
	},
	{
		Code: ChainCodeDiffers, Name: "ChainCodeDiffers", Answer: ChainCodeDiffers, HTTPStatus: 200,
		Message: "The chain code inside Key differs from the chain written to; ProductKey and the second part of Key " +
			"must be equal.",
		Meaning: "The chain code in Key is not the one in ProductKey.",
		Remedy:  "Use one chain code in both.",
	},
	{
		Code: BadIoT, Name: "BadIoT", Answer: BadIoT, HTTPStatus: 200,
		Message: "A device parameter is empty or has the wrong form; IotAuthType, IotId, IotIdServiceProvider, " +
			"IotDataDigest and IotSignature must be given.",
		Meaning: "One of IotAuthType, IotId, IotIdServiceProvider, IotDataDigest and IotSignature is missing, empty, or " +
			"cannot be one.",
		Remedy: "Send what the device SDK returned, unchanged.",
	},
	{
		Code: BadAuthType, Name: "BadAuthType", Answer: BadAuthType, HTTPStatus: 200,
		Message: "IotAuthType is not supported; use ID2.",
		Meaning: "IotAuthType is not ID2.",
		Remedy:  "Send ID2.",
	},
	{
		Code: BadDigestLength, Name: "BadDigestLength", Answer: BadDigestLength, HTTPStatus: 200,
		Message: "IotDataDigest must be 64 characters long.",
		Meaning: "IotDataDigest is not 64 characters long.",
		Remedy:  "Send what the device SDK returned, unchanged.",
	},
	{
		Code: BadDigest, Name: "BadDigest", Answer: BadDigest, HTTPStatus: 200,
		Message: "IotDataDigest must be the upper-case hexadecimal SHA-256 of the value.",
		Meaning: "IotDataDigest is not the SHA-256, in capitals, of Value, PhaseData or the text of PhaseDataList; or " +
			"the list was sent in flattened form.",
		Remedy: "Upload the very text that the device signed, and a list as one JSON text.",
	},
	{
		Code: BadAPIVersion, Name: "BadAPIVersion", Answer: BadAPIVersion, HTTPStatus: 200,
		Message: "ApiVersion is not supported; use 1.0.0.",
		Meaning: "ApiVersion is not 1.0.0.",
		Remedy:  "Send 1.0.0. It is not the Version of the common parameters.",
	},
	{
		Code: ForeignTypeCode, Name: "ForeignTypeCode", Answer: ForeignTypeCode, HTTPStatus: 200,
		Message: "The data type code inside Key does not belong to this chain.",
		Meaning: "The data type code in Key belongs to another chain.",
		Remedy:  "Take DataTypeCode of this chain from ListProofChain.",
	},
	{
		Code: BadIoTSource, Name: "BadIoTSource", Answer: BadIoTSource, HTTPStatus: 200,
		Message: "IotIdSource is not supported; use 1 or 2.",
		Meaning: "IotIdSource is missing or neither 1 nor 2.",
		Remedy:  "Send 1 for the device authentication platform, 2 for the IoT platform.",
	},
	{
		Code: BatchTypes, Name: "BatchTypes", Answer: BatchTypes, HTTPStatus: 200,
		Message: "All items of a batch must have the chain code and the type code of the Key.",
		Meaning: "Never given: Value has no batch mode.",
	},
	{
		Code: BatchRepeatedKey, Name: "BatchRepeatedKey", Answer: BatchRepeatedKey, HTTPStatus: 200,
		Message: "A batch must not hold the same dataKey and dataSeq twice.",
		Meaning: "Two items of PhaseDataList have the same dataKey and dataSeq.",
		Remedy:  "Give each item a dataSeq of its own, or none.",
	},
	{
		Code: ValueTooLong, Name: "ValueTooLong", Answer: ValueTooLong, HTTPStatus: 200,
		Message: "The value is too long: a Value may have 256 bytes of UTF-8, a PhaseData 4096, where a character " +
			"outside of ASCII counts as two.",
		Meaning: "Value has more than 256 bytes of UTF-8; or PhaseData, or relatedPhaseData, counts more than 4096.",
		Remedy:  "Upload the digest of long data, and keep the data yourself.",
	},
	{
		Code: BatchTooLong, Name: "BatchTooLong", Answer: BatchTooLong, HTTPStatus: 200,
		Message: "A batch must hold 1 to 50 items.",
		Meaning: "PhaseDataList has more than 50 items.",
		Remedy:  "Split the list.",
	},
	{
		Code: SubValueTooLong, Name: "SubValueTooLong", Answer: SubValueTooLong, HTTPStatus: 200,
		Message: "An item of the batch is too long: a phaseData may have 4096 bytes, where a character outside of ASCII " +
			"counts as two.",
		Meaning: "phaseData or relatedPhaseData of an item counts more than 4096.",
		Remedy:  "Upload the digest of long data.",
	},
	{
		Code: BadTypeCode, Name: "BadTypeCode", Answer: BadTypeCode, HTTPStatus: 200,
		Message: "The data type code inside Key is not one this account may use; list your chains to see it.",
		Meaning: "The data type code in Key belongs to no account; or, when writing, to another account.",
		Remedy:  "Take your own DataTypeCode from ListProofChain.",
	},
	{
		Code: DuplicateKey, Name: "DuplicateKey", Answer: DuplicateKey, HTTPStatus: 200,
		Message: "This Key, or this BusinessId or DataSeq under it, is on the chain already.",
		Meaning: "The Key is on the chain already; for AttachData, the BusinessId is, or the Key was written by SetData; " +
			"for a phase, the DataSeq is.",
		Remedy: "If this is the answer to a repeated call, the first one was written. Compare by reading.",
	},
	{
		Code: BatchDuplicateKey, Name: "BatchDuplicateKey", Answer: BatchDuplicateKey, HTTPStatus: 200,
		Message: "A dataKey and dataSeq of the batch are on the chain already; nothing of the batch was taken.",
		Meaning: "A dataKey and dataSeq of PhaseDataList are on the chain already. Nothing of the list was written.",
		Remedy:  "Leave out what is there and send the rest.",
	},
	{
		Code: InFlight, Name: "InFlight", Answer: InFlight, HTTPStatus: 200,
		Message: "The data is being put on the chain; wait 5 seconds and fetch it again.",
		Meaning: "The record is being put on the chain at this moment.",
		Remedy:  "Read again; existing programs wait 5 seconds.",
	},
	{
		Code: UnknownUID, Name: "UnknownUID", Answer: UnknownUID, HTTPStatus: 200,
		Message: "The service is not activated for this account.",
		Meaning: "The account takes part in no chain.",
		Remedy:  "Have an administrator add its UID with CreateMember.",
	},
	{
		Code: OutOfRange, Name: "OutOfRange", Answer: OutOfRange, HTTPStatus: 200,
		Message: "A parameter is out of range or has the wrong form.",
		Meaning: "A parameter's value is out of its range or has the wrong form; Message names it.",
		Remedy:  "Correct the parameter.",
	},
	{
		Code: Forbidden, Name: "Forbidden", Answer: Forbidden, HTTPStatus: 200,
		Message: "The account may not do this on this chain: check its role, its lock, and the chain's term.",
		Meaning: "The account may not do this: it is not on the chain, is locked, lacks the role or the authorisation, " +
			"or the chain's term is over; its organisation does not delegate to this facade; or the product is not claimed " +
			"and assigned to this chain, or the device is not enrolled, not authorised, or its signature is not right. " +
			"Message says which.",
		Remedy: "As Message says.",
	},
	{
		Code: NotFound, Name: "NotFound", Answer: NotFound, HTTPStatus: 200,
		Message: "What the request names does not exist.",
		Meaning: "A chain, member, group, device, phase or record that the call names does not exist.",
		Remedy:  "Compare the identifiers with the lists.",
	},
	{
		Code: Conflict, Name: "Conflict", Answer: Conflict, HTTPStatus: 200,
		Message: "This exists already.",
		Meaning: "The account is on the chain already, or the ProductKey is registered already.",
		Remedy:  "Use what is there.",
	},
	{
		Code: QuotaExceeded, Name: "QuotaExceeded", Answer: QuotaExceeded, HTTPStatus: 200,
		Message: "A quota of this chain is used up; ask the operator to raise it.",
		Meaning: "A quota of the chain is used up: members, phase groups, phases, bytes or records.",
		Remedy:  "Ask the operator to raise it.",
	},
	{
		Code: Duplicate, Name: "Duplicate", Gateway: "InternalError", HTTPStatus: 500, Unrecorded: true,
		Message: "This transaction is on the chain already; its first result counts.",
	},
	{
		Code: NonceUsed, Name: "NonceUsed", Gateway: "SignatureNonceUsed", HTTPStatus: 400,
		Message: "SignatureNonce was used before with this AccessKey; sign the request again with a new one.",
	},
	{
		Code: NotEndorsed, Name: "NotEndorsed", Answer: Forbidden, HTTPStatus: 200, Unrecorded: true,
		Message: "Too few organisations endorsed this; the chain's policy is not satisfied.",
	},
	{
		Code: EndorsementExpired, Name: "EndorsementExpired", Gateway: "ServiceUnavailable", HTTPStatus: 503,
		Unrecorded: true,
		Message:    "The endorsements expired before the transaction was ordered; have it endorsed again.",
	},
	{
		Code: Malformed, Name: "Malformed", Gateway: "InternalError", HTTPStatus: 500, Unrecorded: true,
		Message: "The bytes are not a valid transaction for this chain.",
	},
	{
		Code: ClocksDisagree, Name: "ClocksDisagree", Gateway: "ServiceUnavailable", HTTPStatus: 503, Unrecorded: true,
		Message: "The clocks of the organisations that endorsed this are too far apart; the wrong one must be set.",
	},
	{
		Code: NotEntitled, Name: "NotEntitled", Answer: Forbidden, HTTPStatus: 200, Unrecorded: true,
		Message: "The process that sent this may not speak for this account or AccessKey; use a facade of the account's " +
			"organisation, or one that it delegates to (ltl org delegate).",
	},
	{
		Code: TooFewClocks, Name: "TooFewClocks", Gateway: "ServiceUnavailable", HTTPStatus: 503, Unrecorded: true,
		Message: "Too few organisations endorsed this to date it; more than half of the chain's must.",
	},
}
