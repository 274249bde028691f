package admission

import (
	"syscall"
	"time"
)

// Bounds on connections. The parts of an address and of an organisation are half of all.
const (
	// maxConnections bounds the connections of a server where descriptors do not bound them further. One that has shown a
	// certificate takes about 150 kilobytes, most of it gRPC's buffer for reading.
	maxConnections = 2048
	// heldDescriptors are kept for files and for the process' own connections, or half of all where there are few.
	heldDescriptors = 256
	// perIdentity bounds the connections of one identity where a quarter of all is fewer. A process has one or two to each
	// peer; programs of a client may share its certificate.
	perIdentity = 64
	// ownConnections, or the 256th part of all where that is more, are an organisation's own: the others cannot take them.
	// 64 organisations are the most that a network has.
	ownConnections = 4
	// maxHandshakes bounds the connections that have shown no certificate yet, handshakesPerAddress those from one address.
	// The oldest makes room for a new one. An honest handshake takes milliseconds, but after a restart all callers of a
	// site behind one address come at once, and beyond the bound they would end each other's handshakes for ever.
	maxHandshakes        = 1024
	handshakesPerAddress = 512
	// HandshakeTimeout bounds how long a connection may stay open without a certificate.
	HandshakeTimeout = 5 * time.Second
)

// userTimeout is the value of the socket option tcpUserTimeout, TCP_USER_TIMEOUT of tcp(7).
const (
	userTimeout    = 5 * time.Second
	tcpUserTimeout = 0x12
)

// Bounds on calls and their messages.
const (
	// maxCalls bounds the calls in progress on a server, callsPerIdentity those of one identity. Each costs about ten
	// kilobytes beside its message.
	maxCalls         = 16384
	callsPerIdentity = 4096
	// ownCalls are an organisation's own beside them.
	ownCalls = 64
	// maxUnfinished bounds the bytes of messages that have not arrived whole, for each of the two kinds of callers: nodes,
	// and all others.
	maxUnfinished = 64 << 20
	// ownUnfinished and ownOfNodes are an organisation's own beside them: room for the largest batch, and for the largest
	// message between nodes with what its frames cost.
	ownUnfinished = 2 << 20
	ownOfNodes    = 17 << 20
	// frameCost is what a frame is counted as beside its bytes: a buffer and its place in a list. Without it a message
	// that comes in frames of one byte would take hundreds of times the memory that it is counted as.
	frameCost = 512
	// maxStreams bounds the calls that one connection's frames are followed for. The server's own bound is lower; what
	// its calls have left behind counts here until the caller ends them.
	maxStreams = 2048
	// MessageTimeout bounds the time between the first and the last byte of a message.
	MessageTimeout = 30 * time.Second
	// sweepInterval is how often messages are compared with MessageTimeout.
	sweepInterval = time.Second
	// logInterval is the least time between two log lines about one kind of refusal.
	logInterval = time.Minute
)

// descriptors is how many descriptors this process may have. The Go runtime raises the soft limit to the hard one.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}

// Connections is how many connections a server may have of a process that wants at most so many: fewer where
// descriptors are few, because the store needs some.
func Connections(most int) int {
	have := descriptors()
	return max(1, min(most, have-min(heldDescriptors, have/2)))
}
