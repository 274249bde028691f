package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ltl/internal/identity"
	"ltl/internal/localnet"
	"ltl/test/insider"
)

const (
	stageBudget  = 2 * time.Minute
	surveyBudget = time.Minute
	// attackPause is the longest pause between two attempts of the malicious organisation.
	attackPause = 150 * time.Millisecond
)

// malice is a malicious organisation at work, and the honest operators beside it.
type malice struct {
	organisation string
	honest       *honest
	attacker     *insider.Insider
	strict       insider.Chain
	consent      *consent
	seed         uint64
	group        sync.WaitGroup
}

// newMalice has honest operators prepare what is to be attacked, notes whose everything is, and opens the attacker.
func newMalice(ctx context.Context, r *runner, network *localnet.Network) (_ *malice, err error) {
	m := &malice{organisation: r.Scenario.Malicious, seed: r.Seed}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("couldn't set the malicious organisation up: %w", err), m.close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, stageBudget)
	defer cancel()
	own := slices.IndexFunc(network.Accounts, func(a localnet.Account) bool {
		return a.Organisation == m.organisation && a.Role == localnet.RoleNone
	})
	admin, ok := network.Account(localnet.RoleAdmin)
	if own < 0 || !ok || admin.Organisation == m.organisation {
		return m, fmt.Errorf("organisation %s has no account beside those of the callers; take org3", m.organisation)
	}
	trust, err := identity.LoadTrust(localnet.Path(r.Injector.Dir(), network.Trust))
	if err != nil {
		return m, err
	}
	scene := insider.Scene{Genesis: trust.Genesis(), Network: trust.NetworkID(), Attacker: m.organisation,
		Victim: admin.Organisation, Account: network.Accounts[own].UID, Administrator: admin.UID, Product: product,
		Device: meter, Facade: r.Injector.Cast().Facades[0]}
	var honestOnes []string
	for _, o := range scene.Genesis.GetOrganisations() {
		if id := o.GetId(); id != m.organisation {
			honestOnes = append(honestOnes, id)
			if id != scene.Victim {
				scene.Other = id
			}
		}
	}
	if m.honest, err = openHonest(r.Injector.Dir(), network, scene.Facade, honestOnes, r.Logger); err != nil {
		return m, err
	}
	var lax insider.Chain
	if m.strict, lax, err = m.honest.stage(ctx, network.Accounts[own]); err != nil {
		return m, err
	}
	phase, err := m.honest.stagePhase(ctx, network.Accounts[own])
	if err != nil {
		return m, err
	}
	scene.ChainID = m.strict.ID
	if err := m.survey(ctx, r); err != nil {
		return m, err
	}
	m.attacker, err = insider.Open(insider.Options{Scene: scene, Dir: filepath.Join(r.Injector.Dir(), "pki"),
		Work: filepath.Join(r.Injector.Dir(), "malicious"), Seed: r.Seed, Strict: m.strict, Lax: lax, Phase: phase,
		AccessKey: admin.AccessKeyID, Nonce: m.honest.nonce, Logger: r.quiet()})
	return m, err
}

// survey notes whose everything is before the first attack.
func (m *malice) survey(ctx context.Context, r *runner) error {
	blocks, err := r.peers.settled(ctx)
	if err != nil {
		return err
	}
	s, err := takeSurvey(ctx, r.peers.conns[r.Injector.Cast().Endorsers[0]], m.organisation)
	if err != nil {
		return err
	}
	c := s.owners
	c.malicious, c.from, c.holdings = m.organisation, int(blocks), s.holdings
	c.proposers, c.found, c.asked = map[string]string{}, map[string]int{}, map[[3]string]string{}
	c.check = &Check{ID: "I12", Name: "nothing of an honest organisation's was changed, or written in its name, by " +
		m.organisation}
	m.consent = c
	return nil
}

// start attacks, and acts honestly, until more ends.
func (m *malice) start(ctx, more context.Context) {
	m.group.Go(func() { m.attacker.Run(more, attackPause) })
	m.group.Go(func() { m.honest.run(ctx, more, m.seed, m.strict) })
}

// journal gives the walk over the ledger what the honest did. The load must be over.
func (m *malice) journal(ops []*Op) *consent {
	m.group.Wait()
	m.consent.acts = m.honest.acts
	for _, o := range ops {
		if o.writes() {
			m.consent.asked[[3]string{o.Action, o.Key, o.Value}] = o.BusinessID
		}
	}
	return m.consent
}

// leave ends the attack.
func (m *malice) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, surveyBudget)
	defer cancel()
	return m.attacker.Leave(ctx)
}

// finish compares what every copy says of the honest organisations' things with what they should be.
func (m *malice) finish(ctx context.Context, conns map[string]*grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, surveyBudget)
	defer cancel()
	copies := map[string]map[string]string{}
	for name, conn := range conns {
		s, err := takeSurvey(ctx, conn, m.organisation)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		copies[name] = s.holdings
	}
	m.consent.finish(copies)
	return nil
}

func (m *malice) close() error {
	var errs []error
	if m.attacker != nil {
		errs = append(errs, m.attacker.Close())
	}
	if m.honest != nil {
		errs = append(errs, m.honest.Close())
	}
	return errors.Join(errs...)
}
