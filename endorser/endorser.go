// Package endorser is an organisation's endorsing peer. It keeps its own verified copy of the ledger, checks proposed
// transactions against it, and signs the ones that it accepts, with one signature for a batch.
//
// It follows any node that answers and executes every block itself. It stops signing for good when it gets a block
// that it cannot reproduce, reads stored bytes that are damaged, or finds that its history is not that of most nodes.
// It then still serves its copy and reports the reason. An operator has to find the cause and restart it.
package endorser

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"ltl/internal/admin"
	"ltl/internal/checkpoint"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/rules"
	"ltl/internal/scrub"
	"ltl/internal/skew"
	"ltl/internal/store"
	"ltl/internal/tracing"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrConfig is returned, wrapped, by Open for a configuration that cannot work.
var ErrConfig = errors.New("endorser configuration")

// Peer is a node that the endorser may follow.
type Peer struct {
	// ID is the node's id; its certificate must carry this name.
	ID string
	// Address is host:port.
	Address string
}

// Config is what an endorser runs with. Zero values of optional fields mean their defaults.
type Config struct {
	// Dir holds the endorser's own copy of the ledger.
	Dir string
	// Listen is the host:port of the gRPC services.
	Listen string
	// AdminListen is the loopback host:port of health, metrics and pprof; empty serves none.
	AdminListen string
	// Metrics says where metrics are served to other machines, beside AdminListen, which must be set too. The zero value
	// serves them to none.
	Metrics admin.Metrics
	// Tracer records how long each stage of a proposal takes; nil records nothing. The caller that opened it closes it.
	Tracer *tracing.Tracer
	// Credentials are the endorser's TLS identity.
	Credentials *identity.Credentials
	// SignKey is the organisation's signing key. The default is the keys that are stored beside the certificate, see
	// Credentials.SignKeys.
	SignKey ed25519.PrivateKey
	// Trust is the network's genesis.
	Trust *identity.Trust
	// Nodes are the nodes to follow. The default is the nodes that the endorser's copy of the ledger names.
	Nodes []Peer
	// Rule is the organisation's own condition for a signature, beyond the ledger's rules: a CEL expression that is true
	// for transactions that it signs. Empty means no condition. docs/operate/run.md lists the variables.
	Rule string
	// ScrubInterval is the pause between two reads of the whole copy, which repair damaged blocks from the nodes. The
	// default is an hour.
	ScrubInterval time.Duration
	// Logger receives one line for each event. The default is slog.Default.
	Logger *slog.Logger
	// Fatal is called once when the disk failed or returned wrong bytes. The default logs the error and exits with
	// status 1.
	Fatal func(error)
}

// Endorser is a running endorsing peer.
type Endorser struct {
	ltlv1.UnimplementedEndorserServer

	cfg          Config
	log          *slog.Logger
	organisation string
	keys         *signKeys
	rule         *ownRule // nil when the organisation has none
	store        *store.Store
	devices      *deviceKeys
	signatures   *store.Signatures
	nodes        []*source
	metrics      *metrics
	scrubber     *scrub.Scrubber
	clock        *skew.Meter
	evidence     *checkpoint.Signer
	epochs       heardEpochs
	unseen       unseen
	kept         kept
	ticks        *ticks

	listener net.Listener
	server   *grpc.Server
	admin    *admin.Server

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	closed error

	waiting *queue        // proposals that wait for a block
	queue   *queue        // proposals that can be judged: they wait for a slot or are judged
	slots   chan struct{} // proposals that are judged

	fault       atomic.Pointer[string]    // why it has stopped signing
	following   atomic.Pointer[string]    // the node that is followed at present
	target      atomic.Uint64             // how far the ledger is; see noteSequences
	trustHeight atomic.Uint64             // how many blocks of the system chain the trust has learned from
	sources     atomic.Pointer[[]*source] // the nodes, for goroutines other than the follower
	accusations map[string]accused        // nodes that sent a bad block; written by the follower while it follows none
	newNodes    atomic.Bool               // the ledger names other nodes than sources has
}

// accessControl returns the roles that may call each method. A method that is not listed is denied.
func accessControl() identity.ACL {
	acl := identity.ACL{
		ltlv1.Endorser_Endorse_FullMethodName:         {identity.RoleFacade, identity.RoleClient, identity.RoleOperator, identity.RoleEndorser},
		ltlv1.Endorser_PutDeviceKey_FullMethodName:    {identity.RoleOperator},
		ltlv1.Endorser_WatchAccessKeys_FullMethodName: {identity.RoleFacade, identity.RoleOperator},
	}
	for _, m := range ltlv1.Evidence_ServiceDesc.Methods {
		acl["/"+ltlv1.Evidence_ServiceDesc.ServiceName+"/"+m.MethodName] = identity.Roles()
	}
	for _, m := range ltlv1.Ledger_ServiceDesc.Methods {
		acl["/"+ltlv1.Ledger_ServiceDesc.ServiceName+"/"+m.MethodName] = identity.Roles()
	}
	for _, s := range ltlv1.Ledger_ServiceDesc.Streams {
		acl["/"+ltlv1.Ledger_ServiceDesc.ServiceName+"/"+s.StreamName] = identity.Roles()
	}
	return acl
}

// Open starts the endorser. It serves its copy when Open returns, and catches up with the nodes in the background.
// ctx bounds the start only.
func Open(ctx context.Context, cfg Config) (*Endorser, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	rule, err := compileRule(cfg.Rule)
	if err != nil {
		return nil, fmt.Errorf("%w: the organisation's own rule: %w", ErrConfig, err)
	}
	e := &Endorser{
		cfg: cfg, log: cfg.Logger, organisation: cfg.Credentials.Identity().Organisation, rule: rule,
		slots: make(chan struct{}, slots()), signatures: store.NewSignatures(),
		clock: skew.New(cfg.Logger, cfg.Credentials.Identity().Organisation),
	}
	if e.keys, err = newSignKeys(cfg.Credentials, cfg.SignKey, cfg.Logger); err != nil {
		return nil, err
	}
	e.queue, e.waiting = newQueue(slots()*queuePerSlot, maxQueueBytes), newQueue(maxWaiting, maxWaitingBytes)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.ticks = e.newTicks()
	e.metrics = newMetrics(e)
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.log.Info("endorser runs", "organisation", e.organisation, "address", e.Addr(), "sequence", e.store.Sequence())
	return e, nil
}

func (cfg *Config) setDefaults() {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Fatal == nil {
		log := cfg.Logger
		cfg.Fatal = func(err error) {
			log.Error("endorser stops", "error", err)
			os.Exit(1)
		}
	}
}

// check returns an error that wraps ErrConfig when an endorser cannot run with cfg.
func (cfg *Config) check() error {
	switch {
	case cfg.Dir == "":
		return fmt.Errorf("%w: no data directory", ErrConfig)
	case cfg.Credentials == nil || cfg.Trust == nil:
		return fmt.Errorf("%w: no credentials or no trust", ErrConfig)
	case len(cfg.SignKey) != 0 && len(cfg.SignKey) != ed25519.PrivateKeySize:
		return fmt.Errorf("%w: a signing key of %d bytes", ErrConfig, len(cfg.SignKey))
	}
	id := cfg.Credentials.Identity()
	if id.Role != identity.RoleEndorser {
		return fmt.Errorf("%w: the certificate is for %s, not for an endorser", ErrConfig, id)
	}
	return nil
}

// start opens everything. Close closes what it opened.
func (e *Endorser) start(ctx context.Context) (err error) {
	e.store, err = store.Open(e.cfg.Dir, store.Options{Logger: e.log, Verify: e.signatures.Verify, Fatal: func(err error) {
		e.stopSigning(err)
		e.cfg.Fatal(err)
	}})
	if errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("open the ledger: %w; %s", err, freshCopy)
	}
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	e.metrics.registry.MustRegister(e.store.Collector())
	if err := e.store.Init(e.cfg.Trust.GenesisPayload()); err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	if e.store.Sequence() > 1 { // else this endorser has never signed
		e.unseen.startedAt(time.Now().UnixMilli())
	}
	e.openEvidence()
	if err := e.refreshSources(); err != nil {
		return err
	}
	e.updateTrust()
	if known, ok := e.cfg.Trust.Organisation(e.organisation); ok && e.keys.of(known.GetEndorserKey()) == nil {
		if !e.keys.rotated() {
			return fmt.Errorf("%w: the signing key is not the one that the network knows for %s", ErrConfig, e.organisation)
		}
		e.log.Warn("the ledger names none of the signing keys; nothing is signed until it names one of them")
	}
	if e.devices, err = openDeviceKeys(e.cfg.Dir, e.cfg.Credentials.DeviceKeyPath(), e.organisation); err != nil {
		return err
	}
	e.takeNextSealingKey()
	e.scrubber = e.newScrubber()
	e.metrics.registry.MustRegister(e.scrubber.Collectors()...)
	e.metrics.registry.MustRegister(append(e.evidence.Collectors(), admin.Unrecorded(e.unrecordedText))...)
	e.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", e.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	gate := e.cfg.Credentials.Gate()
	e.listener = gate.Listen(e.listener)
	e.metrics.registry.MustRegister(gate.Collectors()...)
	if e.cfg.AdminListen != "" {
		if e.admin, err = admin.Serve(e.ctx, e.cfg.AdminListen, e.cfg.Metrics, e.ready, e.metrics.registry); err != nil {
			return err
		}
	}
	e.server = grpc.NewServer(append(e.cfg.Credentials.ServerOptions(accessControl()), grpc.WaitForHandlers(true))...)
	ltlv1.RegisterEndorserServer(e.server, e)
	ltlv1.RegisterLedgerServer(e.server, query.New(e.store, query.Options{Status: e.status}))
	ltlv1.RegisterEvidenceServer(e.server, checkpoint.NewServer(e.store, e.evidence))
	e.wg.Go(func() {
		if err := e.server.Serve(e.listener); err != nil {
			e.log.Error("the gRPC server stopped", "error", err)
		}
	})
	e.wg.Go(func() { e.follow(e.ctx) })
	e.wg.Go(func() { e.scrubber.Run(e.ctx) })
	e.wg.Go(func() { e.scrubber.FetchOpenings(e.ctx) })
	e.wg.Go(func() { e.runTicks(e.ctx) })
	e.wg.Go(func() { e.evidence.Watch(e.ctx) })
	return nil
}

// newScrubber repairs single blocks of the copy from the nodes; the copy itself has the hash that the block must
// have. Any other damage stops the signing.
func (e *Endorser) newScrubber() *scrub.Scrubber {
	return scrub.New(scrub.Config{
		Store: e.store, Interval: e.cfg.ScrubInterval, Logger: e.log, Reads: e.reads,
		Sources: func() []scrub.Source {
			var sources []scrub.Source
			for _, n := range *e.sources.Load() {
				sources = append(sources, scrub.Source{Name: n.ID, Ledger: n.ledger})
			}
			return sources
		},
		Damaged: func(err error) {
			e.stopSigning(fmt.Errorf("the copy is damaged: %w; %s", err, freshCopy))
		},
	})
}

// reads reports whether this organisation may read the values of a chain, which every node gives it then.
func (e *Endorser) reads(chainID string) bool {
	if chainID == ledger.SystemChain {
		return true
	}
	chain, err := rules.GetChain(e.store, chainID)
	return err == nil && chain != nil && slices.Contains(chain.Organisations, e.organisation)
}

// freshCopy says what to do about a copy that cannot be repaired.
const freshCopy = "stop this endorser, move ledger.db, index and openings out of its directory, and start it: it fetches the " +
	"ledger from the nodes and executes all of it again"

// Close stops serving and following, waits for every goroutine, and closes the store. It may be called more than
// once, and returns the same error each time.
func (e *Endorser) Close() error {
	e.once.Do(func() {
		e.cancel()
		var errs []error
		if e.server != nil {
			e.server.Stop() // closes the listener, ends and waits for calls
		} else if e.listener != nil {
			errs = append(errs, e.listener.Close())
		}
		e.wg.Wait()
		if e.admin != nil {
			errs = append(errs, e.admin.Close())
		}
		for _, n := range e.nodes {
			errs = append(errs, n.conn.Close())
		}
		if e.evidence != nil {
			errs = append(errs, e.evidence.Close())
		}
		if e.store != nil {
			errs = append(errs, e.store.Close())
		}
		e.closed = errors.Join(errs...)
	})
	return e.closed
}

// Addr returns the address of the gRPC services.
func (e *Endorser) Addr() string { return e.listener.Addr().String() }

// AdminAddr returns the address of the admin server; empty when there is none.
func (e *Endorser) AdminAddr() string {
	if e.admin == nil {
		return ""
	}
	return e.admin.Addr()
}

// stopSigning ends signing until the process is restarted. Only the first reason counts.
func (e *Endorser) stopSigning(why error) {
	text := why.Error()
	if e.fault.CompareAndSwap(nil, &text) {
		e.log.Error("this endorser has stopped signing until it is started again", "reason", text)
	}
}

// faultText returns why the endorser has stopped signing; empty while it signs.
func (e *Endorser) faultText() string {
	if f := e.fault.Load(); f != nil {
		return *f
	}
	return ""
}

// unsound reports whether an error means that the copy cannot be trusted any more, or that this program cannot
// continue it.
func unsound(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFailed) || errors.Is(err, verify.ErrBadBlock) ||
		errors.Is(err, rules.ErrState) || errors.Is(err, rules.ErrInvariant) ||
		errors.Is(err, rules.ErrNewerRules) || errors.Is(err, errFork)
}

// status fills in the endorser's part of a Ledger.Status response.
func (e *Endorser) status(out *ltlv1.StatusResponse) {
	out.Id = e.cfg.Credentials.Identity().String()
	out.Role = string(identity.RoleEndorser)
	out.Fault = cmp.Or(e.faultText(), e.scrubber.Fault(), e.evidence.Fault(), e.censoredText())
	out.Lacking = e.scrubber.Lacking()
	out.Unrecorded = e.unrecordedText()
}

// ready returns why the endorser is not ready, or nil.
func (e *Endorser) ready() error {
	if f := e.faultText(); f != "" {
		return fmt.Errorf("signing has stopped: %s", f)
	}
	if e.following.Load() == nil {
		return errors.New("no node answers")
	}
	if have, want := e.store.Sequence(), e.target.Load(); have+readyLag < want {
		return fmt.Errorf("catching up: block %d of %d", have, want)
	}
	return nil
}
