package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// httpsFiles writes the certificate that net/http/httptest has for 127.0.0.1, and its key, and returns the directory.
func httpsFiles(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	pair := server.TLS.Certificates[0]
	server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// proxy starts nginx with deploy/proxy/nginx.conf before an upstream, and returns its address and a client that takes its
// certificate, by HTTP/1.1 or HTTP/2.
func proxy(t *testing.T, upstream string) (address string, client func(http2 bool) *http.Client) {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("there is no nginx; scripts/install-deps.sh installs it")
	}
	if out, err := exec.Command(nginx, "-v").CombinedOutput(); err != nil {
		t.Skipf("this nginx does not run here: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", "proxy", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	dir, https := t.TempDir(), httpsFiles(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	site := strings.NewReplacer("listen 443 ssl", "listen "+address+" ssl", "server 127.0.0.1:8800", "server "+upstream,
		"/etc/ltl/https", https).Replace(string(raw))
	if strings.Count(site, address) != 1 || strings.Count(site, upstream) != 1 || strings.Count(site, https) != 2 {
		t.Fatalf("the configuration has other places:\n%s", site)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the directories of the test are its own
	}
	temporary := ""
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("%s_temp_path %s/%s;\n", what, dir, what)
	}
	whole := fmt.Sprintf("daemon off; master_process on; worker_processes 1; %s pid %s/pid; error_log %s/error.log;\n"+
		"events {}\nhttp {\naccess_log off;\n%s%s}\n", user, dir, dir, temporary, site)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("nginx said: %s\n%s", said.String(), log)
		}
	})
	client = func(http2 bool) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(!http2)
		transport.Protocols.SetHTTP2(http2)
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: waitTimeout}
	}
	await(t, "nginx to listen", func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return address, client
}

// TestProxy: behind the nginx of deploy/proxy calls work by HTTP/1.1 and HTTP/2, with the longest URLs; Host is passed on
// with its port, and the caller's address is that of the connection, whatever the caller says.
func TestProxy(t *testing.T) {
	type seen struct {
		Host, Said string
		URL, Body  int
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(seen{r.Host, strings.Join(r.Header.Values("X-Forwarded-For"), "+"), len(r.URL.RawQuery),
			len(body)})
	}))
	backend.Config.MaxHeaderBytes = 4 << 20
	backend.Start()
	defer backend.Close()
	address, client := proxy(t, strings.TrimPrefix(backend.URL, "http://"))
	long := 2<<20 - 10
	for _, want := range []seen{{address, "127.0.0.1", 10, 0}, {address, "127.0.0.1", long, 0},
		{address, "127.0.0.1", 0, 2 << 20}} {
		url := "https://" + address + "/"
		if want.URL > 0 {
			url += "?" + strings.Repeat("v", want.URL)
		}
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(strings.Repeat("b", want.Body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		res, err := client(false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got seen
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got != want {
			t.Errorf("status %d, %v: the facade sees %+v, want %+v", res.StatusCode, err, got, want)
		}
		_ = res.Body.Close()
	}
	f := common.file(t)
	address, client = proxy(t, strings.TrimPrefix(f.Endpoint, "http://"))
	admin := account(t, f, localnet.RoleAdmin)
	caller := &localnet.Caller{AccessKeyID: admin.AccessKeyID, Secret: admin.AccessKeySecret}
	for _, http2 := range []bool{false, true} {
		form := caller.Form("ListProofChain", map[string]string{"Num": "1", "Size": "1"})
		res, err := client(http2).Post("https://"+address+"/", "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(body), `"Success":true`) || (res.ProtoMajor == 2) != http2 {
			t.Errorf("by %s: %v, %s", res.Proto, err, body)
		}
		probe, err := client(http2).Get("https://" + address + "/health")
		if err != nil {
			t.Fatal(err)
		}
		if _ = probe.Body.Close(); probe.StatusCode != http.StatusOK {
			t.Errorf("a probe gets %s", probe.Status)
		}
	}
}
