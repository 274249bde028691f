package facade

import (
	"time"

	"ltl/internal/rules"
)

// Bounds on a request. Whatever is larger is refused with a gateway error before anything is kept of it.
const (
	// maxQuery bounds the query string. The official clients put a batch of 50 items into it, each of which may have 4,096 characters
	// that take up to 8 bytes when they are escaped as JSON and percent-encoded.
	maxQuery = 2 << 20
	// maxHeaderBytes bounds request line and headers together.
	maxHeaderBytes = maxQuery + 64<<10
	// maxBody bounds the form body, which may hold the same batch.
	maxBody = maxQuery
	// maxText bounds a parameter that is neither a list nor a payload.
	maxText = 64 << 10
	// maxParams bounds the parameters of one request: a batch of 50 items with several related data each, flattened, fits.
	maxParams = 4096
	// maxNodes and maxDepth bound what one structured parameter may hold: a batch of 50 items with tens of related data each fits. The
	// deepest parameter of the API is a list of objects with a list of objects of texts.
	maxNodes = 16384
	maxDepth = 4
	// maxSmallBody is what a body may take without counting against maxBodyMemory.
	maxSmallBody = 32 << 10
	// maxBodyMemory bounds the sum of all larger bodies that are in memory at one time.
	maxBodyMemory = 64 << 20
	// maxSmallHeader is what request line and headers may take without counting against maxHeaderMemory, which bounds the sum of all
	// longer ones. Together with maxConnections it bounds the memory that callers without an AccessKey can take.
	maxSmallHeader  = 16 << 10
	maxHeaderMemory = 64 << 20
	maxConnections  = 10240
	// maxActive bounds the calls under way; beyond it they are refused as throttled.
	maxActive = 8192
	// maxKeptBuffer is the largest buffer that is kept for the next request.
	maxKeptBuffer = 64 << 10
)

// Bounds on authentication.
const (
	// timestampWindow is how far a request's timestamp may lie from the clock, either way.
	timestampWindow = 15 * time.Minute
	// maxAccessKeyID and maxSignatureNonce bound the names of a signed request, in bytes, as the ledger does.
	maxAccessKeyID    = 128
	maxSignatureNonce = 256
	// maxNonces bounds the nonces remembered; see nonces.
	maxNonces = 2 << 20
	// keyWait is how long a call with an unknown AccessKey waits for it to arrive from the network.
	keyWait = 400 * time.Millisecond
	// maxKeyWaiters bounds the calls that wait for an unknown AccessKey at one time.
	maxKeyWaiters = 64
)

// Bounds on time. callTimeout lies under the 10 seconds after which the official clients give up.
const (
	callTimeout       = 8 * time.Second
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	closeTimeout      = 10 * time.Second
	// refusedTimeout is how long a caller who sends too much is given to read the answer.
	refusedTimeout = time.Second
	// watchRetryMin and watchRetryMax bound the pause before the AccessKeys are asked for again.
	watchRetryMin = 50 * time.Millisecond
	watchRetryMax = 2 * time.Second
	// accountAge is how long what is known of an account is used without asking again. It only decides which of several errors
	// is told first: the ledger judges every call itself.
	accountAge = 10 * time.Second
	// accountPatience is how long a call waits for news of an account that is known already.
	accountPatience = time.Second
)

// Bounds of the Actions.
const (
	maxPageSize = 100
	// maxUnboundedHistory is how many records a Key may have to be listed without a window.
	maxUnboundedHistory = 500
	// maxHistoryWindow is the longest window of GetHistoryDataList, in milliseconds: 30 days.
	maxHistoryWindow = 30 * 24 * 3600 * 1000
	// maxValueBytes bounds Value, in bytes of UTF-8.
	maxValueBytes = 256
	// businessIDLen is the length of a BusinessId that a caller chose; assignedIDLen that of one the ledger assigned.
	businessIDLen = 64
	assignedIDLen = 16
	// maxUploadBytes bounds the records of one upload, so that they fit into a transaction with its envelope and its device's proof.
	maxUploadBytes = rules.MaxTransaction - 8<<10
	// maxAccountPages bounds the pages of an account's chains that are looked at.
	maxAccountPages = 20
)
