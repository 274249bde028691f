package console

import "time"

// Bounds on sessions and sign-in.
const (
	// idleTime ends a session without requests, sessionTime any session.
	idleTime    = 30 * time.Minute
	sessionTime = 8 * time.Hour
	// renewAfter is how old the time of the last request in a cookie may be before the cookie is sealed again.
	renewAfter = time.Minute
	// challengeTime is how long a sign-in may take after its page was sent.
	challengeTime = 2 * time.Minute
	// linkTime is how long a one-time link is valid.
	linkTime = 15 * time.Minute
	// linkBytes is the number of random bytes of a link.
	linkBytes = 16
	// failureTime is how long every failed sign-in takes, so that its duration does not tell why it failed. It is more than
	// a facade waits for an AccessKey that it does not know.
	failureTime = 600 * time.Millisecond
	// maxPerAddress and maxPerKey bound the attempts to sign in a minute. They do not touch the API.
	maxPerAddress = 10
	maxPerKey     = 5
	// maxRemembered bounds each set of challenges, links, ended sessions and counted addresses.
	maxRemembered = 8192
	// maxKeyID bounds an AccessKeyId, as the facade does.
	maxKeyID = 128
)

// Bounds on requests and pages.
const (
	// maxActive bounds the requests under way; the API has its own bound.
	maxActive = 64
	// requestTime bounds one request.
	requestTime = 8 * time.Second
	// maxForm bounds a form, in bytes, maxQuery a query string.
	maxForm  = 8 << 10
	maxQuery = 4 << 10
	// pageSize is the number of rows of a list, blocksPerPage of blocks, which the nodes send whole.
	pageSize      = 20
	blocksPerPage = 10
	newestBlocks  = 5
	// maxChains bounds the chains that are listed or searched for one account.
	maxChains = 1000
	// maxCertificates bounds the certificates under way: each asks every node and endorser for a signature.
	maxCertificates = 4
	// maxRows bounds the rows of a list that is searched here.
	maxRows = 1000
	// maxStreams bounds the browsers that watch blocks; each gets a block every streamPause at most, and its right is
	// checked every checkStream. followAgain is the pause before the network is followed again.
	maxStreams  = 512
	streamPause = 450 * time.Millisecond
	checkStream = 10 * time.Second
	followAgain = time.Second
	// maxLooked bounds the records of one upload whose corrections and related data are looked up.
	maxLooked = 10
	// processTime bounds the question for the health of all processes, which are asked at the same time; briefTime the one
	// that each page of an organisation asks to say how far its copy is behind.
	processTime = 3 * time.Second
	briefTime   = 500 * time.Millisecond
	// maxDownload and maxDownloadBytes bound the records and the values of one file, which is made in memory.
	maxDownload      = 2000
	maxDownloadBytes = 8 << 20
	// voteSeen bounds the wait for a vote to reach the own copy.
	voteSeen = time.Second
	// endorsedBlocks is how many of the newest blocks of a chain are looked at for who endorsed them; nodes send them whole.
	endorsedBlocks = 20
	// maxShown bounds the bytes of a value that a page shows; the certificate has all of it.
	maxShown = 16 << 10
)
