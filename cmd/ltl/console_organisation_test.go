package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// startConsole runs `ltl console` as an operator of org1 and signs in with the link that it prints.
func startConsole(t *testing.T) (browser *http.Client, address string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"console"}, operatorOf("org1")...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after a signal ltl console ends with %v", err)
		}
	})
	var link string
	for lines := bufio.NewScanner(out); link == "" && lines.Scan(); {
		if at := strings.Index(lines.Text(), "http://"); at >= 0 {
			link = lines.Text()[at:]
		}
	}
	address, fragment, ok := strings.Cut(link, "enter#")
	form, err := url.ParseQuery(fragment)
	if !ok || err != nil {
		t.Fatalf("it prints the link %q", link)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	browser = &http.Client{Jar: jar, Transport: transport}
	if said := readPage(t, browser, address+"sign-in", form); !strings.Contains(said, "org1/operator/operator") {
		t.Fatalf("after signing in it shows\n%s", said)
	}
	return browser, address
}

// readPage reads a page, or sends a form and reads what follows.
func readPage(t *testing.T, browser *http.Client, address string, form url.Values) string {
	t.Helper()
	read := browser.Get
	if form != nil {
		read = func(address string) (*http.Response, error) { return browser.PostForm(address, form) }
	}
	res, err := read(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestOrganisationConsole: an operator votes in the browser as with ltl approve and ltl reject.
func TestOrganisationConsole(t *testing.T) {
	browser, address := startConsole(t)
	chain := sharedChain(t, "looked-at-together")
	page := ""
	for _, c := range []struct{ vote, want string }{{"reject", "rejected"}, {"approve", stateExecuted}} { // then nothing is left
		open := proposalBy(t, "org2", "chain", "modify", chain, "--policy", "any", "--wait", "0s")
		page = address + "proposals/" + open.ID
		await(t, "the own copy to hold the proposal", func() bool {
			return strings.Contains(readPage(t, browser, page, nil), chain)
		})
		readPage(t, browser, page, url.Values{"vote": {c.vote}})
		if row := jsonOf[*proposalRow](t, "proposals", open.ID); row.State != c.want {
			t.Errorf("after the vote to %s in the browser it is %+v", c.vote, row)
		}
	}
	if said := readPage(t, browser, page, url.Values{"vote": {"approve"}}); !strings.Contains(said, "takes no votes any more") &&
		!strings.Contains(said, "was closed before") {
		t.Errorf("a vote on an executed proposal is answered with\n%s", said)
	}
	for _, listen := range []string{"0.0.0.0:0", "192.0.2.1:1", "ledger.example:80", "127.0.0.1"} {
		if said := refusedBy(t, "org1", "console", "--listen", listen); !strings.Contains(said, "loopback") {
			t.Errorf("--listen %s is refused with %q", listen, said)
		}
	}
}
