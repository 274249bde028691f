package localnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that Linux gives to outgoing connections: an address that is remembered for later
// starts must not be lost to a passing connection while its process is down.
const (
	firstPort    = 10000
	lastPort     = 32000
	portAttempts = 1000
)

var errNoPort = errors.New("found no free port on 127.0.0.1")

// freeAddresses returns n addresses on 127.0.0.1 that nobody listens on.
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
	return nil, fmt.Errorf("%w between %d and %d", errNoPort, firstPort, lastPort)
}
