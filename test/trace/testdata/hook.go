package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/coverage"
	"strings"
)

// The variable starts the hook before main runs. `make trace` adds this file to a copy of cmd/ltl; the product does not
// have it.
var _ = startHook()

// startHook listens on LTL_TRACE_DIR/PID for "clear", which sets all counters of the process to zero, and for "write
// DIR", which writes them to DIR. Each is answered with one line: "ok", or what went wrong.
func startHook() struct{} {
	dir := os.Getenv("LTL_TRACE_DIR")
	if dir == "" {
		return struct{}{}
	}
	listener, err := net.Listen("unix", filepath.Join(dir, fmt.Sprint(os.Getpid())))
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				panic(err)
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil {
				err = command(strings.TrimSpace(line))
			}
			if err != nil {
				fmt.Fprintln(conn, err)
			} else {
				fmt.Fprintln(conn, "ok")
			}
			conn.Close()
		}
	}()
	return struct{}{}
}

func command(line string) error {
	dir, write := strings.CutPrefix(line, "write ")
	if !write {
		return coverage.ClearCounters()
	}
	if err := coverage.WriteMetaDir(dir); err != nil {
		return err
	}
	return coverage.WriteCountersDir(dir)
}
