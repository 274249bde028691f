package facade

import (
	"time"

	"ltl/internal/rules"
)

// Bounds on a request. A larger request is refused with a gateway error before any of it is stored.
const (
	// maxQuery bounds the query string, in bytes. The official clients put a batch of 50 items into it, each of which
	// may have 4,096 characters that take up to 8 bytes when they are escaped as JSON and percent-encoded.
	maxQuery = 2 << 20
	// maxHeaderBytes bounds the request line and the headers together.
	maxHeaderBytes = maxQuery + 64<<10
	// maxBody bounds the form body, which may hold the same batch.
	maxBody = maxQuery
	// maxText bounds a parameter that is neither a list nor a payload.
	maxText = 64 << 10
	// maxParams bounds the parameters of one request: a batch of 50 items with several related data each, flattened, fits.
	maxParams = 4096
	// maxNodes and maxDepth bound one structured parameter: a batch of 50 items with tens of related data each fits. The
	// deepest parameter of the API is a list of objects with a list of objects of texts.
	maxNodes = 16384
	maxDepth = 4
	// maxSmallBody is the size up to which a body does not count against maxBodyMemory.
	maxSmallBody = 32 << 10
	// maxBodyMemory bounds the sum of all larger bodies in memory, of callers whose signature is not verified yet and of
	// all others apart. An address or an AccessKey has a quarter of it.
	maxBodyMemory = 48 << 20
	// maxSmallAnswer is the size up to which an answer does not count against maxAnswerMemory, which bounds the sum of all
	// larger ones until they are written. An address has a quarter of it.
	maxSmallAnswer  = 32 << 10
	maxAnswerMemory = 48 << 20
	// minRate is how fast a large body must come and a large answer must be taken, in bytes a second, after rateGrace.
	minRate   = 64 << 10
	rateGrace = 5 * time.Second
	// maxEcho bounds what of a request is repeated in an error, in bytes; maxEchoedName bounds a name in it.
	maxEcho       = 4 << 10
	maxEchoedName = 128
	// signPiece is how much of a value is encoded at once to be signed.
	signPiece = 16 << 10
	// maxSmallHeader is the size up to which request line and headers do not count against maxHeaderMemory, which bounds
	// the sum of the excess of all longer ones; an address has a quarter of it. Together with maxConnections it bounds the
	// memory that callers without an AccessKey can take.
	maxSmallHeader  = 16 << 10
	maxHeaderMemory = 48 << 20
	maxConnections  = 10240
	// maxStreamHeader bounds the headers of a request over HTTP/2, where many share a connection, and maxStreams the
	// requests of a connection that are under way: what is longer goes into the body.
	maxStreamHeader = maxSmallHeader
	maxStreams      = 64
	// maxStreamBuffer is how much of a body over HTTP/2 is taken before it is read.
	maxStreamBuffer = 64 << 10
	// maxForwarded bounds the addresses that are read of X-Forwarded-For, from its end.
	maxForwarded = 16
	// maxActive bounds the calls under way; more are refused with Throttling.
	maxActive = 8192
	// maxEvidence bounds the files of evidence under way, maxOwnEvidence those of one account: each asks every node and
	// endorser for a signature.
	maxEvidence    = 8
	maxOwnEvidence = 2
	// maxBuckets bounds the accounts or chains whose rate is counted before those at rest are forgotten.
	maxBuckets = 4096
	// maxHeld bounds the refused calls that are kept back, holdPause the time.
	maxHeld   = 1024
	holdPause = 250 * time.Millisecond
	// maxKeptBuffer is the size of the largest buffer that is kept for a later request.
	maxKeptBuffer = 64 << 10
)

// Bounds on authentication.
const (
	// timestampWindow is how far the timestamp of a request may differ from the clock, either way.
	timestampWindow = 15 * time.Minute
	// maxAccessKeyID and maxSignatureNonce bound AccessKeyId and SignatureNonce, in bytes. The ledger has the same bounds.
	maxAccessKeyID    = 128
	maxSignatureNonce = 256
	// maxNonces bounds the number of remembered nonces; see nonces.
	maxNonces = 2 << 20
	// keyWait is how long a call with an unknown AccessKey waits for it to arrive from the network.
	keyWait = 400 * time.Millisecond
	// maxSilence is after how much time without a word of its organisation's endorser a facade answers nothing.
	maxSilence = 15 * time.Second
	// maxEarlySealed bounds the sealed secrets that are kept of AccessKeys which the endorser has not named yet.
	maxEarlySealed = 1024
	// maxMissing is how often another node is asked for a sealed secret that none has sent: more often than there are
	// nodes in most networks.
	maxMissing = 16
	// maxKeyWaiters bounds the number of calls that wait for an unknown AccessKey.
	maxKeyWaiters = 64
)

// Bounds on time. callTimeout is less than the 10 seconds after which the official clients give up.
const (
	callTimeout       = 8 * time.Second
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	closeTimeout      = 10 * time.Second
	// clockInterval is how often the clock is compared with those of the network.
	clockInterval = 10 * time.Second
	// probeAge is how long the answer to a probe serves others, probeTimeout how long one takes at most: balancers give up
	// after some seconds.
	probeAge     = time.Second
	probeTimeout = 2 * time.Second
	// certificateAge is how often the files of the certificate of HTTPS are looked at; new connections cause it.
	certificateAge = time.Second
	// refusedTimeout is how long a caller that sends too much may take to read the response.
	refusedTimeout = time.Second
	// watchRetryMin and watchRetryMax bound the pause before a watch is tried again.
	watchRetryMin = 50 * time.Millisecond
	watchRetryMax = 2 * time.Second
	// accountAge is how long a cached account is used without a read. It only affects which of several refusals is
	// returned: the ledger checks every call itself.
	accountAge = 10 * time.Second
	// sealingKeysAge is how often the sealing keys are read again at most, while an AccessKey opens with none of them.
	sealingKeysAge = 5 * time.Second
	// accountRefresh is how long a call waits for the read of an account that is cached.
	accountRefresh = time.Second
)

// Bounds of the Actions.
const (
	maxPageSize = 100
	// maxUnboundedHistory is the number of records up to which GetHistoryDataList needs no window.
	maxUnboundedHistory = 500
	// maxHistoryWindow is the longest window of GetHistoryDataList, in milliseconds: 30 days.
	maxHistoryWindow = 30 * 24 * 3600 * 1000
	// maxValueBytes bounds Value, in bytes of UTF-8.
	maxValueBytes = 256
	// businessIDLen is the length of a BusinessId that the caller chose, assignedIDLen that of an identifier that the
	// ledger assigned.
	businessIDLen = 64
	assignedIDLen = 16
	// maxUploadBytes bounds the records of one upload, in bytes. The rest of a transaction is for its envelope and the
	// device's proof.
	maxUploadBytes = rules.MaxTransaction - 8<<10
	// maxAccountPages bounds the pages of an account's chains that are read.
	maxAccountPages = 20
)
