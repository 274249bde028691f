package localnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

const portsFile = "ports.json"

// Ports are taken from below the range that Linux gives to outgoing connections: an outgoing connection could
// otherwise take an address that is kept for later starts while its process is down.
const (
	firstPort    = 10000
	lastPort     = 32000
	portAttempts = 1000
)

var errNoPort = errors.New("found no free port on 127.0.0.1")

// freeAddresses returns n addresses on 127.0.0.1 on which no process listens.
func freeAddresses(n int) ([]string, error) {
	var held []net.Listener // held until all are chosen, so that no port is chosen twice
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	var addresses []string
	for range portAttempts {
		if len(addresses) == n {
			return addresses, nil
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		if l, err := net.Listen("tcp", address); err == nil {
			held = append(held, l)
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == n {
		return addresses, nil
	}
	return nil, fmt.Errorf("%w between %d and %d; stop programs that listen there", errNoPort, firstPort, lastPort)
}

// ports are the addresses that the first start chooses and later ones keep. Those of nodes and endorsers are in the
// genesis.
type ports struct {
	HTTP  string            `json:"http"`
	Admin map[string]string `json:"admin"`
}

// checkHTTP refuses an address that no process could listen on, before anything is made or kept for later starts.
func checkHTTP(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--http is %q, and should be HOST:PORT: %w", address, err)
	}
	return nil
}

// loadPorts reads DIR/ports.json, chooses the addresses that it lacks, and stores them.
func (n *network) loadPorts() error {
	path := filepath.Join(n.Dir, portsFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &n.ports)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't read %s, which holds the ports of former starts; remove it to choose other ports: %w",
			path, err)
	}
	if n.ports.Admin == nil {
		n.ports.Admin = map[string]string{}
	}
	var missing []string
	for _, name := range n.names() {
		if n.ports.Admin[name] == "" {
			missing = append(missing, name)
		}
	}
	addresses, err := freeAddresses(len(missing) + 1)
	if err != nil {
		return err
	}
	for i, name := range missing {
		n.ports.Admin[name] = addresses[i]
	}
	host, port, err := net.SplitHostPort(n.HTTP)
	if err != nil {
		return fmt.Errorf("--http is %q, and should be HOST:PORT: %w", n.HTTP, err)
	}
	if port != "0" {
		n.ports.HTTP = n.HTTP
	} else if n.ports.HTTP == "" {
		_, port, _ := net.SplitHostPort(addresses[len(missing)])
		n.ports.HTTP = net.JoinHostPort(host, port)
	}
	return SaveJSON(path, n.ports)
}
