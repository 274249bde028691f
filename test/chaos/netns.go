package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Of the addresses 10.99.N.0/24 each run has one N; the program that drives it is the last host there.
const (
	firstSubnet   = 1
	lastSubnet    = 200
	driverHost    = 254
	subnetLocks   = "/run/ltl-chaos"
	netnsDir      = "/var/run/netns"
	commandBudget = 20 * time.Second
)

// probeRules uses everything of nftables that faults are made with.
const probeRules = `table ip probe {
	chain arrive {
		type filter hook input priority 0;
		ip saddr 10.0.0.1 numgen random mod 100 < 1 drop
		ip saddr 10.0.0.1 limit rate over 1 kbytes/second drop
		ip saddr 10.0.0.1 ip protocol tcp reject with tcp reset
	}
}
`

// subnet is a switch with one network namespace for each process, and a link to it from here. The switch is in a
// namespace of its own: nothing of the machine's own firewall applies to what passes it, and no packet of the run
// passes through the machine's.
type subnet struct {
	id    int
	names []string
	lock  *os.File
	rules map[string]string // in effect, by process; apply is not called concurrently
}

// CanIsolate says why no network namespaces can be made here, nil when they can.
func CanIsolate() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces are made by root only")
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed; scripts/install-deps.sh installs it", program)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandBudget)
	defer cancel()
	probe := "ltlprobe" + strconv.Itoa(os.Getpid())
	if _, err := run(ctx, "", "ip", "netns", "add", probe); err != nil {
		return fmt.Errorf("no network namespace can be made here: %w", err)
	}
	_, err := run(ctx, "", "ip", "-n", probe, "link", "add", "bridge0", "type", "bridge")
	if err == nil {
		_, err = run(ctx, probeRules, "ip", "netns", "exec", probe, "nft", "-f", "-")
	}
	if err != nil {
		err = fmt.Errorf("the kernel lacks bridges or packet filters: %w", err)
	}
	_, deleteErr := run(ctx, "", "ip", "netns", "delete", probe)
	return errors.Join(err, deleteErr)
}

// newSubnet takes the first free subnet, and removes what a run that was killed has left there.
func newSubnet(ctx context.Context, names []string) (*subnet, error) {
	if err := os.MkdirAll(subnetLocks, 0o755); err != nil {
		return nil, fmt.Errorf("couldn't make the directory of locks: %w", err)
	}
	for id := firstSubnet; id <= lastSubnet; id++ {
		if s, err := takeSubnet(ctx, id, names); s != nil || err != nil {
			return s, err
		}
	}
	return nil, fmt.Errorf("all subnets 10.99.%d.0 to 10.99.%d.0 are in use", firstSubnet, lastSubnet)
}

// takeSubnet takes one subnet; nil when another run has it.
func takeSubnet(ctx context.Context, id int, names []string) (*subnet, error) {
	lock, err := os.OpenFile(filepath.Join(subnetLocks, strconv.Itoa(id)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the lock of a subnet: %w", err)
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil, lock.Close()
	}
	s := &subnet{id: id, names: names, lock: lock, rules: map[string]string{}}
	s.remove(ctx)
	if err := s.make(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't make the network namespaces: %w", err), s.close())
	}
	return s, nil
}

// name is that of a namespace, or of the switch.
func (s *subnet) name(process string) string { return s.prefix() + "-" + process }

func (s *subnet) prefix() string { return "ltlc" + strconv.Itoa(s.id) }

// address is the IP address of a process.
func (s *subnet) address(process string) string {
	return fmt.Sprintf("10.99.%d.%d", s.id, slices.Index(s.names, process)+1)
}

// make creates everything; ip reads its commands from a file, which is much faster than one process a command.
func (s *subnet) make(ctx context.Context) error {
	center := s.name("switch")
	if _, err := run(ctx, "", "ip", "netns", "add", center); err != nil {
		return err
	}
	for _, n := range s.names {
		if _, err := run(ctx, "", "ip", "netns", "add", s.name(n)); err != nil {
			return err
		}
	}
	var root, inside strings.Builder
	inside.WriteString("link add bridge0 type bridge\nlink set bridge0 up\n")
	plug := func(port, where string) {
		fmt.Fprintf(&root, "link add %s netns %s type veth peer name %s\n", port, center, where)
		fmt.Fprintf(&inside, "link set %s master bridge0\nlink set %s up\n", port, port)
	}
	for i, n := range s.names {
		plug("port"+strconv.Itoa(i+1), "eth0 netns "+s.name(n))
	}
	plug("driver", s.prefix())
	fmt.Fprintf(&root, "address add 10.99.%d.%d/24 dev %s\nlink set %s up\n", s.id, driverHost, s.prefix(), s.prefix())
	if _, err := run(ctx, root.String(), "ip", "-batch", "-"); err != nil {
		return err
	}
	if _, err := run(ctx, inside.String(), "ip", "-n", center, "-batch", "-"); err != nil {
		return err
	}
	for _, n := range s.names {
		own := fmt.Sprintf("link set lo up\naddress add %s/24 dev eth0\nlink set eth0 up\n", s.address(n))
		if _, err := run(ctx, own, "ip", "-n", s.name(n), "-batch", "-"); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the packet filter of every namespace say what links say, in one transaction each. Packets are dropped
// where they arrive, so that the sender gets no error.
func (s *subnet) apply(ctx context.Context, links []Link) error {
	for _, n := range s.names {
		var rules strings.Builder
		rules.WriteString("add table ip chaos\ndelete table ip chaos\ntable ip chaos {\n\tchain arrive {\n\t\ttype filter hook input priority 0;\n")
		for _, l := range links {
			if l.To == n {
				fmt.Fprintf(&rules, "\t\tip saddr %s %s\n", s.address(l.From), verdict(l))
			}
		}
		rules.WriteString("\t}\n}\n")
		if s.rules[n] == rules.String() {
			continue
		}
		if _, err := run(ctx, rules.String(), "ip", "netns", "exec", s.name(n), "nft", "-f", "-"); err != nil {
			return err
		}
		s.rules[n] = rules.String()
	}
	return nil
}

// verdict is what becomes of the packets of a link.
func verdict(l Link) string {
	switch l.How {
	case Lose:
		return fmt.Sprintf("numgen random mod 100 < %d drop", l.Amount)
	case Limit:
		return fmt.Sprintf("limit rate over %d kbytes/second drop", l.Amount)
	case Reset:
		return "ip protocol tcp reject with tcp reset"
	default:
		return "drop"
	}
}

// dialIn connects from inside a network namespace, so that its loopback addresses are in reach.
func dialIn(namespace func() (path string, err error)) func(ctx context.Context, network, address string) (net.Conn,
	error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		path, err := namespace()
		if err != nil {
			return nil, err
		}
		done := make(chan struct{})
		go offMainThread(func() {
			defer close(done)
			ns, openErr := os.Open(path)
			if openErr == nil {
				openErr = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
			}
			if openErr != nil {
				err = fmt.Errorf("couldn't enter the network namespace %s: %w", path, openErr)
				return
			}
			var d net.Dialer
			conn, err = d.DialContext(ctx, network, address)
		})
		<-done
		return conn, err
	}
}

// dial connects from inside the namespace of a process.
func (s *subnet) dial(process string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(func() (string, error) { return filepath.Join(netnsDir, s.name(process)), nil })
}

// offMainThread calls f on a thread that ends with f, so that no other goroutine finds itself where f has gone. The
// main thread cannot end, and is what others take the process to be: it is held while f runs on another one.
func offMainThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // the thread is never unlocked, so it ends
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
	runtime.UnlockOSThread()
}

// remove deletes everything of this subnet that is there. What cannot be found is gone already; what cannot be deleted
// shows when it is made again.
func (s *subnet) remove(ctx context.Context) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil {
		return // no namespace was ever made on this machine
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), s.prefix()+"-") {
			continue
		}
		pids, _ := run(ctx, "", "ip", "netns", "pids", e.Name())
		for _, word := range strings.Fields(pids) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
			}
		}
		_, _ = run(ctx, "", "ip", "netns", "delete", e.Name())
	}
	_, _ = run(ctx, "", "ip", "link", "delete", s.prefix())
}

// close removes everything and frees the subnet.
func (s *subnet) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandBudget)
	defer cancel()
	s.remove(ctx)
	var left []string
	entries, _ := os.ReadDir(netnsDir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), s.prefix()+"-") {
			left = append(left, e.Name())
		}
	}
	err := s.lock.Close()
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("these network namespaces could not be removed: %s", strings.Join(left, ", ")))
	}
	return err
}
