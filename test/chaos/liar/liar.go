// Package liar is what a node of the chaos run lies with: interceptors that are built into the node's own program, so that
// everything else of it is real, and that alter what it answers to clients, facades, endorsers and nodes.
//
// It lies while the file `on` is in the directory that $LTL_LIAR names, to every caller but one that asks for the truth,
// which the run itself does. Each lie is a line of `lies.jsonl` there. It does not lie within Raft's own messages, which
// are not meant to survive that.
package liar

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// Variable names the directory.
	Variable = "LTL_LIAR"
	// Switch is the file that makes the node lie; Log has the lies.
	Switch, Log = "on", "lies.jsonl"
	truth       = "ltl-chaos-truth"
	// share is how many answers of a hundred are lies.
	share = 30
	// silence is how long a call hangs that it does not answer.
	silence = 20 * time.Second
)

// Lie is one of them. At is nanoseconds since 1970; Key is what was read, empty for others.
type Lie struct {
	At     int64  `json:"at"`
	Method string `json:"method"`
	Key    string `json:"key,omitempty"`
	What   string `json:"what"`
}

// Truthful asks a lying node for the truth.
func Truthful(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, truth, "1")
}

// liar draws and records lies.
type liar struct {
	dir string

	mu   sync.Mutex
	rng  *rand.Rand
	log  *os.File
	past []*ltlv1.Block // that it has sent
}

// start returns nil for a process that is not to lie.
func start() *liar {
	dir := os.Getenv(Variable)
	if dir == "" {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(dir, Log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil // the run misses the lies, and says so
	}
	return &liar{dir: dir, rng: rand.New(rand.NewPCG(uint64(os.Getpid()), 1)), log: log}
}

// draws reports whether the next answer is to be a lie, and draws a number for its kind.
func (l *liar) draws(ctx context.Context, method string) (kind int, lies bool) {
	if strings.HasPrefix(method, "/ltl.v1.RaftTransport/") || method == ltlv1.Orderer_ReadIndex_FullMethodName ||
		method == ltlv1.Orderer_ConfirmTerm_FullMethodName {
		return 0, false
	}
	if in, ok := metadata.FromIncomingContext(ctx); ok && len(in.Get(truth)) > 0 {
		return 0, false
	}
	if _, err := os.Stat(filepath.Join(l.dir, Switch)); err != nil {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(1 << 16), l.rng.IntN(100) < share
}

// tell records a lie; it is written before it is sent.
func (l *liar) tell(method, key, what string) {
	line, err := json.Marshal(Lie{At: time.Now().UnixNano(), Method: method[strings.LastIndexByte(method, '/')+1:], Key: key,
		What: what})
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.log.Write(append(line, '\n')) // a lie that is not recorded fails the run's checks
}

// errSilent ends a call that was not answered.
var errSilent = status.Error(codes.Unavailable, "not answered")

// Unary lies in calls with one answer.
func Unary() grpc.UnaryServerInterceptor {
	l := start()
	return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if l == nil {
			return handler(ctx, in)
		}
		kind, lies := l.draws(ctx, info.FullMethod)
		if !lies {
			return handler(ctx, in)
		}
		key := ""
		if k, ok := in.(interface{ GetKey() string }); ok {
			key = k.GetKey()
		}
		switch kind % 8 {
		case 0:
			l.tell(info.FullMethod, key, "no answer")
			select {
			case <-ctx.Done():
			case <-time.After(silence):
			}
			return nil, errSilent
		case 1:
			l.tell(info.FullMethod, key, "refused without being done")
			return nil, errSilent
		case 2:
			out, err := handler(ctx, in)
			if err == nil && info.FullMethod == ltlv1.Orderer_Submit_FullMethodName {
				l.tell(info.FullMethod, key, "done, and refused")
				return nil, errSilent
			}
			return out, err
		}
		out, err := handler(ctx, in)
		m, ok := out.(proto.Message)
		if err != nil || !ok {
			return out, err
		}
		lie := proto.Clone(m)
		if what := alter(lie, kind); what != "" {
			l.tell(info.FullMethod, key, what)
			return lie, nil
		}
		return out, nil
	}
}

// Stream lies in streams of answers.
func Stream() grpc.StreamServerInterceptor {
	l := start()
	return func(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if l == nil {
			return handler(server, s)
		}
		return handler(server, &lyingStream{ServerStream: s, liar: l, method: info.FullMethod})
	}
}

type lyingStream struct {
	grpc.ServerStream
	liar   *liar
	method string
}

// oneIn is how rarely a message of a stream is a lie, of those that draws chose: a stream has very many.
const oneIn = 8

// SendMsg sends what the node would, something else, or nothing.
func (s *lyingStream) SendMsg(m any) error {
	kind, lies := s.liar.draws(s.Context(), s.method)
	if !lies || kind%oneIn != 0 {
		return s.ServerStream.SendMsg(m)
	}
	kind /= oneIn
	message, ok := m.(proto.Message)
	if !ok {
		return s.ServerStream.SendMsg(m)
	}
	altered := proto.Clone(message)
	switch out := altered.(type) {
	case *ltlv1.FollowResponse:
		return s.block(m, out, &out.Block, &out.Sequence, kind)
	case *ltlv1.BlocksResponse:
		return s.block(m, out, &out.Block, new(uint64), kind)
	case *ltlv1.WatchSealedResponse:
		if out.GetSealed() == nil {
			return s.ServerStream.SendMsg(m)
		}
		if kind%3 == 0 {
			s.liar.tell(s.method, "", "a sealed secret is withheld")
			return nil
		}
		out.Sealed.Sealed = flip(out.Sealed.Sealed, kind)
		out.Sealed.Version += uint64(kind % 3)
		s.liar.tell(s.method, "", "another sealed secret")
		return s.ServerStream.SendMsg(out)
	}
	return s.ServerStream.SendMsg(m)
}

// block sends a block that is altered, an older one in its place, at another place, none, or ends the stream.
func (s *lyingStream) block(m, out any, block **ltlv1.Block, sequence *uint64, kind int) error {
	b := *block
	what := "an altered header"
	switch kind % 7 {
	case 0:
		b.Header = flip(b.Header, kind)
	case 1:
		what = "an altered transaction"
		if len(b.GetBatches()) == 0 || len(b.GetBatches()[0].GetTransactions()) == 0 {
			return s.ServerStream.SendMsg(m)
		}
		t := b.Batches[0].Transactions
		t[0] = flip(t[0], kind)
	case 2:
		what = "other results"
		for i := range b.Results {
			b.Results[i] = -b.Results[i]
		}
	case 3:
		what = "a block is withheld"
		s.liar.tell(s.method, "", what)
		return nil
	case 4:
		what = "another place"
		*sequence += uint64(kind%5) + 1
	case 5:
		what = "an older block"
		if *block = s.liar.older(b, kind); *block == nil {
			return s.ServerStream.SendMsg(m)
		}
	case 6:
		s.liar.tell(s.method, "", "nothing more")
		select {
		case <-s.Context().Done():
		case <-time.After(silence):
		}
		return errSilent
	}
	s.liar.tell(s.method, "", what)
	return s.ServerStream.SendMsg(out)
}

// older keeps a block, and returns one that was kept before.
func (l *liar) older(b *ltlv1.Block, kind int) *ltlv1.Block {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out *ltlv1.Block
	if len(l.past) > 0 {
		out = l.past[kind%len(l.past)]
	}
	if len(l.past) < oneIn {
		l.past = append(l.past, b)
	} else {
		l.past[kind%oneIn] = b
	}
	return out
}

// flip changes one bit of a copy.
func flip(b []byte, at int) []byte {
	b = append([]byte(nil), b...)
	if len(b) > 0 {
		b[at%len(b)] ^= 1 << (at % 8)
	}
	return b
}

// Read reads the lies that a node has told.
func Read(dir string) ([]Lie, error) {
	raw, err := os.ReadFile(filepath.Join(dir, Log))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lies []Lie
	for line := range strings.Lines(string(raw)) {
		var lie Lie
		if json.Unmarshal([]byte(line), &lie) == nil { // the last line may be half of one
			lies = append(lies, lie)
		}
	}
	return lies, nil
}
