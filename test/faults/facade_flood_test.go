package faults

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// TestFacadeFloods: callers without a secret send what costs a facade most, and take its answers slowly. It stays within
// the memory that deploy gives it, and serves others meanwhile.
func TestFacadeFloods(t *testing.T) {
	need(t)
	w := newWorld(t)
	w.startAll()
	f := w.startFacade("env", "GOMEMLIMIT=400MiB", "prlimit", "--nofile=1024:1024")
	caller := localnet.Caller{Endpoint: "http://" + f.listen, AccessKeyID: w.file.Accounts[0].AccessKeyID,
		Secret: w.file.Accounts[0].AccessKeySecret}
	call := func(what string, parameters map[string]string) {
		t.Helper()
		began := time.Now()
		status, body, err := caller.Call(t.Context(), "ListProofChain", parameters)
		if err != nil || status != 200 {
			t.Errorf("%s: %d %.200s %v", what, status, body, err)
		}
		t.Logf("%s: answered in %v; most memory so far %d MiB", what, time.Since(began).Round(time.Millisecond),
			w.peakMemory(f.name)>>20)
	}
	plain := map[string]string{"Num": "1", "Size": "10"}
	large := map[string]string{"Num": "1", "Size": "10", "Remark": strings.Repeat("a", 100<<10)}
	call("before", large)

	stop := slowBodies(t, f.listen)
	call("a large body beside 34 slow ones of another address", large)
	stop()

	id := caller.AccessKeyID
	stop = wrongSignatures(t, f.listen, id)
	call("beside wrong signatures whose answers are not read", plain)
	call("a large body beside them", large)
	stop()
	if got := w.peakMemory(f.name); got > 400<<20 {
		t.Errorf("the facade has taken %d MiB", got>>20)
	}
	if !w.running(f.name) {
		t.Error("the facade has ended")
	}
}

// startFacade starts a facade under a wrapper and waits until it is ready.
func (w *world) startFacade(wrapper ...string) *process {
	w.t.Helper()
	return w.startFacadeWith("facade", wrapper)
}

// startFacadeWith starts a facade with more arguments.
func (w *world) startFacadeWith(name string, wrapper []string, more ...string) *process {
	w.t.Helper()
	p := &process{name: name, role: "facade", log: filepath.Join(w.dir, name+".log"), listen: freeAddress(w.t),
		admin: freeAddress(w.t)}
	w.processes[p.name] = p
	found, err := filepath.Glob(filepath.Join(w.dir, "pki", "facades", "*"))
	if err != nil || len(found) == 0 {
		w.t.Fatal("no facade has an identity: ", err)
	}
	out, err := os.Create(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	args := append(wrapper, binary, "facade", "--trust", filepath.Join(w.dir, "pki", "trust.json"), "--identity", found[0],
		"--listen", p.listen, "--admin", p.admin)
	args = append(args, more...)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter
		close(p.ended)
	}()
	w.t.Cleanup(func() {
		w.kill(p.name)
		if w.t.Failed() {
			w.t.Logf("facade: …%s", tail(p.log, 2000))
		}
	})
	w.awaitReady(p.name)
	return p
}

// freeAddress is an address of this machine that no program listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// from opens a connection from another address of this machine.
func from(t *testing.T, source, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// slowBodies begins 34 bodies of a megabyte from one address and sends the rest of each very slowly.
func slowBodies(t *testing.T, to string) (stop func()) {
	var conns []net.Conn
	for range 34 {
		c := from(t, "127.0.0.2", to)
		conns = append(conns, c)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Content-Length: %d\r\n\r\nA=%s", 2<<20, strings.Repeat("a", 1<<20+1))
	}
	time.Sleep(time.Second)
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// wrongSignatures sends requests of 2 MiB whose signature is wrong, from eight addresses, and reads no answer.
func wrongSignatures(t *testing.T, to, accessKeyID string) (stop func()) {
	v := url.Values{"AccessKeyId": {accessKeyID}, "Signature": {"x"}, "SignatureMethod": {"HMAC-SHA1"},
		"SignatureVersion": {"1.0"}, "Timestamp": {time.Now().UTC().Format(time.RFC3339)}, "Format": {"JSON"}}
	var conns []net.Conn
	var sending sync.WaitGroup
	for i := range 32 {
		c := from(t, fmt.Sprint("127.0.0.", 10+i%8), to)
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		conns = append(conns, c)
		v.Set("SignatureNonce", fmt.Sprint("n", i))
		query := v.Encode() + "&Value="
		query += strings.Repeat("+", 2<<20-len(query))
		sending.Go(func() {
			r := fmt.Sprintf("%s /?%s HTTP/1.1\r\nHost: x\r\n\r\n", http.MethodGet, query)
			_, _ = c.Write([]byte(r)) // it may be refused
		})
	}
	sending.Wait()
	time.Sleep(time.Second)
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}
