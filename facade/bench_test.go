package facade

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// instantNetwork accepts every write at once.
type instantNetwork struct{ *fakeNetwork }

func (instantNetwork) Submit(context.Context, *ltlv1.Transaction) (*ltlv1.Result, error) {
	return &ltlv1.Result{Code: rules.OK}, nil
}

// BenchmarkSetData measures the facade's own part of a signed SetData: parsing, authentication, response.
func BenchmarkSetData(b *testing.B) {
	f := &testFacade{Facade: newFacade(Config{SealingKey: sealingKey(), Clock: time.Now,
		Logger: slog.New(slog.DiscardHandler)}, instantNetwork{newFakeNetwork()})}
	sealed(b, "member", memberUID, "member-secret", 1).to(f.keys)
	f.keys.take(nil)
	_ = f.keys.takeSealed(nil) // only what is missing is an error
	now := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	targets := make([]string, b.N)
	for i := range targets {
		v := f.params("member", "SetData", data(keyOf("0X58", strings.Repeat("k", 32)), chainA, strings.Repeat("v", 256),
			"Timestamp", now)...)
		v.Set("Signature", signRPC("POST", "member-secret", v))
		targets[i] = v.Encode()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r := httptest.NewRequest("POST", "/", nil)
		r.URL.RawQuery = targets[i]
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkSetDataHTTP measures the same through net/http, over 64 kept connections; the caller's part is included.
func BenchmarkSetDataHTTP(b *testing.B) {
	n := newFakeNetwork()
	n.keys <- sealed(b, "member", memberUID, "member-secret", 1)
	f, err := open(context.Background(), Config{Listen: "127.0.0.1:0", SealingKey: sealingKey(),
		Logger: slog.New(slog.DiscardHandler)}, instantNetwork{n})
	if err != nil {
		b.Fatal(err)
	}
	signer := &testFacade{}
	now := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	targets := make(chan string, b.N)
	for range b.N {
		v := signer.params("member", "SetData", data(keyOf("0X58", strings.Repeat("k", 32)), chainA, strings.Repeat("v", 256),
			"Timestamp", now)...)
		v.Set("Signature", signRPC("POST", "member-secret", v))
		targets <- "POST /?" + v.Encode() + " HTTP/1.1\r\nHost: ltl\r\nContent-Length: 0\r\n\r\n"
	}
	close(targets)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			c, err := net.Dial("tcp", f.Addr())
			if err != nil {
				b.Error(err)
				return
			}
			buffer := make([]byte, 4096)
			for request := range targets {
				if _, err = c.Write([]byte(request)); err == nil {
					_, err = c.Read(buffer) // a response arrives in one read
				}
				if err != nil || !bytes.HasPrefix(buffer, []byte("HTTP/1.1 200")) {
					b.Errorf("%v %s", err, buffer)
					break
				}
			}
			if err := c.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
