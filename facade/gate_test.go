package facade

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// entrance is the gate of a facade that listens.
func entrance(t *testing.T, f *Facade) *gate {
	t.Helper()
	g, ok := f.listener.(*gate)
	if !ok {
		t.Fatal("the facade listens without a gate")
	}
	return g
}

// dial opens a connection and closes it when the test ends.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestLargestBatchFitsIntoTheQuery: 50 items of 4,096 characters, with any escaping, are accepted in a URL, as the
// official clients send them, and their memory is given back.
func TestLargestBatchFitsIntoTheQuery(t *testing.T) {
	f := openFake(t, newFakeNetwork())
	tf := &testFacade{Facade: f}
	eventually(t, "keys arrive", func() bool { return f.Ready() == nil })
	for name, item := range map[string]string{
		"Chinese": strings.Repeat("值", 2048), "emoji": strings.Repeat("😀",
			2048), "escaped emoji": strings.Repeat(`\ud83d\ude00`, 2048),
		"escaped ASCII": strings.Repeat(`\u003c`, 4096),
	} {
		list := "[" + strings.TrimSuffix(strings.Repeat(`{"dataKey":"`+hex64+`","phaseData":"`+item+`","dataSeq":"`+hex64+`"},`, 50), ",") + "]"
		v := tf.params("member", "GetData", append(read(keyOf("0X58", "1"), chainA), "PhaseDataList", list,
			"Timestamp", time.Now().UTC().Format(time.RFC3339))...)
		v.Set("Signature", signRPC(http.MethodPost, "member-secret", v))
		r, err := http.Post("http://"+f.Addr()+"/?"+v.Encode(), "application/x-www-form-urlencoded", nil)
		if err != nil {
			t.Fatalf("%s: %d bytes of query: %v", name, len(v.Encode()), err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || !strings.Contains(string(body), `"Code":404`) {
			t.Errorf("%s: %d bytes of query: %s %v", name, len(v.Encode()), body, err)
		}
	}
	eventually(t, "nothing is accounted for", func() bool { return entrance(t, f).long.Used() == 0 })
}

// refusal reads the response to a request that was refused while it was read.
func refusal(t *testing.T, c net.Conn, status int, code string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct{ Code, RequestId, HostId, Message string }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != status || answer.Code != code ||
		answer.RequestId == "" || !r.Close {
		t.Errorf("status %d, %+v, %v; want %d %s", r.StatusCode, answer, err, status, code)
	}
}

// TestLongHeadersAreBounded: the memory of all unfinished requests together is bounded, and short ones are served
// meanwhile. A request that is too long by itself gets its own error.
func TestLongHeadersAreBounded(t *testing.T) {
	f := openFake(t, newFakeNetwork())
	g := entrance(t, f)
	taken := int64(maxHeaderMemory - 3<<20)
	for i := range int64(4) { // as if requests from other addresses had left room for less than three long ones
		if !g.long.Take(fmt.Sprint("other", i), "", taken/4) {
			t.Fatal("the memory of headers is taken already")
		}
	}
	begun := []byte("GET /?A=" + strings.Repeat("a", 1<<20))
	each := int64(len(begun) - maxSmallHeader)
	for i := range int64(3) {
		if _, err := dial(t, f.Addr()).Write(begun); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is being read", func() bool { return g.long.Used() == taken+(i+1)*each })
	}
	late := dial(t, f.Addr())
	if _, err := late.Write(begun); err != nil {
		t.Fatal(err)
	}
	refusal(t, late, 400, "Throttling")
	small := dial(t, f.Addr())
	fmt.Fprintf(small, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("b", maxSmallHeader/2))
	if r, err := http.ReadResponse(bufio.NewReader(small), nil); err != nil || r.StatusCode != 400 {
		t.Errorf("a short request: %v %v", r, err)
	} else if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), "MissingAccessKeyId") {
		t.Errorf("a short request: %s", body)
	}
	for i := range int64(4) {
		g.long.Give(fmt.Sprint("other", i), "", taken/4)
	}
	over := dial(t, f.Addr())
	if _, err := over.Write([]byte("GET /?A=" + strings.Repeat("a", maxHeaderBytes))); err != nil {
		t.Fatal(err)
	}
	refusal(t, over, 414, "RequestURITooLong")
}

// TestLongHeadersAreGivenBack: when a caller disconnects in the middle of a long request, its memory is given back.
func TestLongHeadersAreGivenBack(t *testing.T) {
	f := openFake(t, newFakeNetwork())
	g := entrance(t, f)
	c := dial(t, f.Addr())
	if _, err := c.Write([]byte("GET /?A=" + strings.Repeat("a", 1<<20))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is being read", func() bool { return g.long.Used() == 1<<20+8-maxSmallHeader })
	_ = c.Close()
	eventually(t, "it is given back",
		func() bool { return g.long.Used() == 0 && len(g.slots) == 1 }) // the slot that Accept holds
}

// TestConnectionsAreBounded: the number of connections is bounded, and idle ones are closed in favour of new ones.
func TestConnectionsAreBounded(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l, 2, maxHeaderMemory)
	hold, entered := make(chan struct{}), make(chan struct{}, 2)
	server := &http.Server{ReadHeaderTimeout: readHeaderTimeout, ConnContext: withConnection, ConnState: connState,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				entered <- struct{}{}
				<-hold
			}
		})}
	g.keepAlive = server.SetKeepAlivesEnabled
	ended := make(chan error)
	go func() { ended <- server.Serve(g) }()
	ask := func(path string) (net.Conn, *bufio.Reader) {
		c := dial(t, l.Addr().String())
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		return c, bufio.NewReader(c)
	}
	answered := func(what string, r *bufio.Reader) {
		t.Helper()
		if a, err := http.ReadResponse(r, nil); err != nil || a.StatusCode != 200 {
			t.Errorf("%s: %v %v", what, a, err)
		}
	}
	_, idle1 := ask("/")
	answered("first", idle1)
	_, idle2 := ask("/")
	answered("second", idle2)
	_, third := ask("/")
	answered("third, while two are idle", third)
	_, held1 := ask("/hold")
	_, held2 := ask("/hold")
	<-entered
	<-entered
	waiting, late := ask("/")
	_ = waiting.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := late.Peek(1); err == nil {
		t.Error("a third connection was served while two were busy")
	}
	_ = waiting.SetReadDeadline(time.Now().Add(10 * time.Second))
	close(hold)
	answered("held", held1)
	answered("held", held2)
	answered("the one that waited", late)
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != http.ErrServerClosed {
		t.Error(err)
	}
	eventually(t, "no connection is left", func() bool { return len(g.slots) == 0 && g.long.Used() == 0 })
}

// TestGateClosesWhileFull: Close does not wait for a connection to end.
func TestGateClosesWhileFull(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l, 1, maxHeaderMemory)
	dial(t, l.Addr().String())
	first, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	full := make(chan struct{})
	g.keepAlive = func(bool) { close(full) }
	ended := make(chan error)
	go func() {
		_, err := g.Accept()
		ended <- err
	}()
	<-full
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != net.ErrClosed {
		t.Error(err)
	}
	if err := first.Close(); err != nil || len(g.slots) != 0 {
		t.Error(err, len(g.slots))
	}
	_ = first.Close()
	if len(g.slots) != 0 {
		t.Error("a connection freed its slot twice")
	}
}
