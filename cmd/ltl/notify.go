package main

import (
	"fmt"
	"net"
	"os"
)

// notifyReady tells the service manager that this process serves, when it runs under one that wants to know (systemd's Type=notify names
// a socket in NOTIFY_SOCKET); otherwise it does nothing.
func notifyReady() error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("couldn't reach the service manager: %w", err)
	}
	defer c.Close() // a datagram has been handed over when Write returns
	if _, err := c.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("couldn't tell the service manager: %w", err)
	}
	return nil
}

// serveUntil tells the service manager that the process serves, and waits for one of the two channels; other may be nil. A manager that
// cannot be told is no reason to stop serving.
func serveUntil(done, other <-chan struct{}) {
	if err := notifyReady(); err != nil {
		roleLogger().Warn("the service manager does not know that this process serves", "error", err)
	}
	select {
	case <-done:
	case <-other:
	}
}
