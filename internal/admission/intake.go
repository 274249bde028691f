package admission

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrRefused is the error of a read from a connection that was closed because its peer took too much.
var ErrRefused = errors.New("the caller takes too much")

// Frames of HTTP/2, RFC 9113.
const (
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader  = 9
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3
	frameMore    = 9 // CONTINUATION
	flagEnd      = 1 // END_STREAM
	flagWhole    = 4 // END_HEADERS
	flagPadded   = 8
	// messagePrefix is what gRPC writes before a message: whether it is compressed, and its length.
	messagePrefix = 5
)

// Intake follows the frames that a peer sends, so that the bytes of messages count before gRPC has them whole. gRPC's own
// means do not bound them: MaxRecvMsgSize is one for all methods and for each call alone; a stats handler and an
// interceptor hear of a message when it is whole; the window of a connection opens again as bytes arrive, whether or not
// they were read, and that of a call grows to the announced length. A window small enough for 1,024 calls on each of
// 2,048 connections would carry no batch. A pool of buffers sees all bytes, but not whose they are.
//
// A connection's reads come from one goroutine. After the frame that begins a call a read ends, so that gRPC handles
// that frame, and calls Begin, before it gets the bytes that follow.
type Intake struct {
	net.Conn
	gate                 *Gate
	shares               *Shares
	caller, organisation string

	// Of the reading goroutine.
	rest   []byte            // what was read and not returned then
	head   [frameHeader]byte // of the frame, as far as it has come
	inHead int
	inRest int // bytes of rest that have been returned since
	left   int // bytes of the frame's payload to come
	passed int // bytes of the preface that have come

	mu      sync.Mutex
	begun   uint32 // the newest call, until Begin
	calls   map[uint32]*incoming
	counted int64 // bytes that are taken from shares
	closed  bool
}

// incoming is the message of a call that is being received.
type incoming struct {
	limit   int
	many    bool // the method takes more than one message
	prefix  [messagePrefix]byte
	got     int // bytes of the message, the prefix included
	want    int // got of the whole message; 0 while the prefix is not whole
	cost    int64
	since   time.Time
	done    bool // the one message has come
	refused bool // gRPC refuses the message
}

// Identify counts a connection for the holder of the certificate that it has shown, and returns the connection to
// read the calls from. Nodes' messages do not count together with others'. raw is the accepted connection, secured the
// same after the handshake.
func (g *Gate) Identify(raw, secured net.Conn, caller, organisation string, node bool) (*Intake, error) {
	if c, ok := raw.(*Conn); ok {
		c.identify()
	}
	if !g.connections.Take(caller, organisation, 1) {
		g.refuse(reasonIdentity, "caller", caller)
		return nil, fmt.Errorf("%w: %s or its organisation has too many connections", ErrRefused, caller)
	}
	in := &Intake{Conn: secured, gate: g, shares: g.messages, caller: caller, organisation: organisation,
		calls: map[uint32]*incoming{}}
	if node {
		in.shares = g.nodes
	}
	g.mu.Lock()
	g.intakes[in] = struct{}{}
	g.mu.Unlock()
	return in, nil
}

// Close closes the connection and gives back what it has taken.
func (in *Intake) Close() error {
	in.mu.Lock()
	first := !in.closed
	if first {
		in.closed = true
		in.shares.Give(in.caller, in.organisation, in.counted)
		in.counted = 0
	}
	in.mu.Unlock()
	if first {
		in.gate.mu.Lock()
		delete(in.gate.intakes, in)
		in.gate.mu.Unlock()
		in.gate.connections.Give(in.caller, in.organisation, 1)
	}
	return in.Conn.Close()
}

// Read reads from the connection, at most to the end of a frame that begins a call.
func (in *Intake) Read(b []byte) (int, error) {
	n, again := copy(b, in.rest[in.inRest:]), true
	if n == 0 {
		var err error
		if n, err = in.Conn.Read(b); err != nil {
			return n, err
		}
		again = false
	}
	used, reason := in.follow(b[:n])
	switch {
	case reason != "":
		in.gate.refuse(reason, "caller", in.caller)
		_ = in.Close() // the caller of Read gets the error below
		return 0, fmt.Errorf("%w: %s", ErrRefused, reason)
	case again:
		in.inRest += used
	case used < n:
		in.rest, in.inRest = append(in.rest[:0], b[used:n]...), 0
	}
	return used, nil
}

// follow follows the frames in b up to the end of one that begins a call, and returns how many bytes that are.
func (in *Intake) follow(b []byte) (used int, reason string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return len(b), "" // the next read fails
	}
	in.begun = 0
	before := in.counted
	now := time.Now()
	for used < len(b) && reason == "" && in.begun == 0 {
		switch {
		case in.passed < len(preface):
			n := min(len(b)-used, len(preface)-in.passed)
			in.passed += n
			used += n
		case in.inHead < frameHeader:
			n := copy(in.head[in.inHead:], b[used:])
			in.inHead += n
			used += n
			if in.inHead == frameHeader {
				in.left = int(binary.BigEndian.Uint32(in.head[:4]) >> 8)
				reason = in.frame()
			}
		default:
			n := min(len(b)-used, in.left)
			reason = in.payload(b[used:used+n], now)
			in.left -= n
			used += n
		}
		if in.inHead == frameHeader && in.left == 0 && reason == "" {
			in.endFrame()
		}
	}
	if more := in.counted - before; more > 0 && !in.shares.Take(in.caller, in.organisation, more) {
		in.counted = before
		reason = reasonUnfinished
	} else if more < 0 {
		in.shares.Give(in.caller, in.organisation, -more)
	}
	return used, reason
}

// kind, flags and call are of the frame whose header has come.
func (in *Intake) kind() byte   { return in.head[3] }
func (in *Intake) flags() byte  { return in.head[4] }
func (in *Intake) call() uint32 { return binary.BigEndian.Uint32(in.head[5:]) &^ (1 << 31) }

// frame looks at a frame's header.
func (in *Intake) frame() (reason string) {
	if in.kind() != frameData {
		return ""
	}
	if in.flags()&flagPadded != 0 {
		return reasonProtocol // no gRPC library pads messages
	}
	if m := in.calls[in.call()]; m != nil && !m.refused && in.left > 0 {
		m.cost += frameCost
		in.counted += frameCost
	}
	return ""
}

// payload looks at bytes of a frame's payload.
func (in *Intake) payload(b []byte, now time.Time) (reason string) {
	m := in.calls[in.call()]
	if in.kind() != frameData || m == nil || m.refused {
		return "" // gRPC drops the bytes of calls that it does not have
	}
	for len(b) > 0 {
		if m.done {
			return reasonProtocol // more messages than the method takes
		}
		if m.want == 0 {
			if m.got == 0 {
				m.since = now
			}
			at := copy(m.prefix[m.got:], b)
			m.got += at
			in.counted, m.cost = in.counted+int64(at), m.cost+int64(at)
			if m.got == messagePrefix {
				length := binary.BigEndian.Uint32(m.prefix[1:])
				if int64(length) > int64(m.limit) {
					return in.tooLarge(m, b[:at])
				}
				m.want = messagePrefix + int(length)
			}
			b = b[at:]
		} else {
			at := min(len(b), m.want-m.got)
			m.got += at
			in.counted, m.cost = in.counted+int64(at), m.cost+int64(at)
			b = b[at:]
		}
		if m.want > 0 && m.got == m.want {
			in.forget(m)
			m.got, m.want, m.done = 0, 0, !m.many
		}
	}
	return ""
}

// tooLarge refuses a message for its announced length. The length becomes one that gRPC refuses itself, so that the
// caller gets an error for this call. Where part of the prefix has passed already, the connection ends.
func (in *Intake) tooLarge(m *incoming, prefix []byte) (reason string) {
	if len(prefix) < messagePrefix {
		return reasonMessage
	}
	in.gate.refused.WithLabelValues(reasonMessage).Inc()
	copy(prefix[1:], "\xff\xff\xff\xff")
	in.forget(m)
	m.refused = true
	return ""
}

// forget gives back what a message has counted as.
func (in *Intake) forget(m *incoming) {
	in.counted -= m.cost
	m.cost = 0
}

// endFrame is called after a frame's last byte.
func (in *Intake) endFrame() {
	in.inHead = 0
	id := in.call()
	m := in.calls[id]
	switch kind := in.kind(); {
	case (kind == frameHeaders || kind == frameMore) && in.flags()&flagWhole != 0 && m == nil:
		in.begun = id
	case m != nil && (kind == frameReset || kind == frameData && in.flags()&flagEnd != 0):
		in.forget(m)
		delete(in.calls, id)
	}
}

// Begin is called when gRPC begins the call whose first frame was read last, before anything that follows is read. A
// message of more than limit bytes is refused; many says that the method takes more than one. end must be called when
// the call has ended. Begin refuses a call beyond the bounds.
func (in *Intake) Begin(limit int, many bool) (end func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.calls) >= maxStreams || !in.gate.calls.Take(in.caller, in.organisation, 1) {
		in.gate.refuse(reasonCalls, "caller", in.caller)
		return nil, fmt.Errorf("%w: too many calls of %s or its organisation are in progress; try again later", ErrRefused,
			in.caller)
	}
	id := in.begun
	in.calls[id] = &incoming{limit: limit, many: many}
	return func() {
		in.gate.calls.Give(in.caller, in.organisation, 1)
		in.ended(id)
	}, nil
}

// ended drops the message of a call that the server has ended: gRPC has dropped it too.
func (in *Intake) ended(id uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	m := in.calls[id]
	if m == nil {
		return
	}
	if m.cost > 0 && !in.closed {
		in.shares.Give(in.caller, in.organisation, m.cost)
		in.counted -= m.cost
	}
	delete(in.calls, id)
}

// sweep ends the connections with a message that began before MessageTimeout.
func (g *Gate) sweep(now time.Time) {
	g.mu.Lock()
	var slow []*Intake
	for in := range g.intakes {
		if in.slow(now) {
			slow = append(slow, in)
		}
	}
	g.mu.Unlock()
	for _, in := range slow {
		g.refuse(reasonSlow, "caller", in.caller)
		_ = in.Close() // gRPC notices at its next read
	}
}

// slow reports whether a message has been coming for longer than MessageTimeout.
func (in *Intake) slow(now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.counted == 0 {
		return false
	}
	for _, m := range in.calls {
		if m.got > 0 && now.Sub(m.since) > MessageTimeout {
			return true
		}
	}
	return false
}
