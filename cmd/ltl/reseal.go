package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxReseals bounds the passes over all AccessKeys: other operators may make some meanwhile.
const maxReseals = 10

// resealResult is what `ltl account key reseal` prints.
type resealResult struct {
	// Resealed counts the AccessKeys that were sealed again; Facades are the directories that got the key.
	Resealed int      `json:"resealed"`
	Facades  []string `json:"facades"`
	Prepared bool     `json:"prepared"`
}

func newKeyReseal() *cobra.Command {
	var organisation string
	var facades []string
	var prepare bool
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Replace the key that seals an organisation's AccessKeys, and seal all of them with the new one",
		Long: `Makes a new sealing key, puts it into the directories of all facades, which load it without a restart,
seals every AccessKey of the organisation with it, and uses it for new AccessKeys. Secrets and callers stay as they
are, and nothing is interrupted. The former key is kept beside the new one as sealing-FINGERPRINT.key, since backups are sealed with it;
delete it when no such backup is left.

Facades on other machines: run this with --prepare first, copy sealing.key.next from the operator's directory into
each facade's directory as sealing-next.key, and run it again without --prepare. To a facade of another organisation the
next key goes with ltl org delegate --export after --prepare. An interrupted run continues where
it stopped. Do not disable or enable AccessKeys meanwhile.

A thief of the former key who also has a copy of a node's disk knows the secrets: then replace the AccessKeys, too.`,
		Example: `  ltl account key reseal --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reseal := func(s *session) error { return s.resealAndPrint(facades, prepare) }
			if organisation == "" {
				return withSession(cmd, reseal)
			}
			return withOperator(cmd, organisation, reseal)
		},
	}
	cmd.Flags().StringVar(&organisation, "organisation", "", "whose key; by default that of the caller's certificate")
	cmd.Flags().StringArrayVar(&facades, "facade-dir", nil,
		"directory with a facade's sealing.key; once each; by default those of facades/ next to the trust file")
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only make the next key and put it into the facades' directories")
	return cmd
}

// resealAndPrint is reseal with the facades next to the trust file where none are given, and prints the result.
func (s *session) resealAndPrint(facades []string, prepare bool) error {
	if len(facades) == 0 {
		found, err := filepath.Glob(filepath.Join(s.pki(), "facades", "*"))
		if err != nil {
			return err
		}
		facades = found
	}
	result, err := s.reseal(facades, prepare)
	if err != nil {
		return err
	}
	if result.Prepared {
		return emitSentence(s.cmd, result, "the next sealing key is ready for the facades: %s",
			filepath.Join(s.identity, "sealing.key.next"))
	}
	return emitSentence(s.cmd, result, "%d AccessKeys sealed with the new key, which %d facades have",
		result.Resealed, len(result.Facades))
}

// reseal replaces the sealing key in the operator's directory and in the facades' directories.
func (s *session) reseal(facades []string, prepare bool) (*resealResult, error) {
	own, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return nil, err
	}
	next, err := identity.NextSealingKey(s.identity)
	if err != nil {
		return nil, err
	}
	result := &resealResult{Facades: facades, Prepared: prepare}
	if result.Facades == nil {
		result.Facades = []string{}
	}
	for _, dir := range facades {
		if err := identity.AddSealingKey(dir, next); err != nil {
			return nil, fmt.Errorf("couldn't put the new sealing key into a facade's directory; mend that and run it again: "+
				"%w", err)
		}
	}
	if prepare {
		return result, nil
	}
	former, err := identity.LoadSealingKeys(s.identity)
	if err != nil {
		return nil, err
	}
	keys := append([][]byte{next}, former...)
	written := map[string]uint64{}
	for range maxReseals {
		n, err := s.resealOnce(keys, own.Identity.Organisation, written)
		result.Resealed += n
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		return result, promote(own.Identity.Organisation, append([]string{s.identity}, facades...), next)
	}
	return nil, errors.New("other operators keep making AccessKeys with the former key; run it again when they have " +
		"finished")
}

// promote makes the new sealing key the one of an organisation's own directories. A facade of another one, which the
// organisation delegates to, has it as a further key.
func promote(organisation string, dirs []string, key []byte) error {
	for _, dir := range dirs {
		c, err := identity.ReadCertificate(dir)
		if err == nil && c.Identity.Organisation == organisation {
			err = identity.PromoteSealingKey(dir, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxLostVersions is how many versions back a sealed secret is looked for whose successor was never stored.
const maxLostVersions = 16

// watchTimeout bounds the reading of AccessKeys and sealed secrets: long enough for some nodes that withhold them.
const watchTimeout = 3 * time.Minute

// errDelivered ends a watch once everything has arrived that was looked for.
var errDelivered = errors.New("everything has been delivered")

// resealOnce seals with the first key every AccessKey of the session's organisation that is not yet sealed with it, and
// counts them. written are the versions that were put on the ledger before, by AccessKey.
func (s *session) resealOnce(keys [][]byte, organisation string, written map[string]uint64) (int, error) {
	own, err := s.ownAccessKeys(organisation, written)
	if err != nil {
		return 0, err
	}
	search := &sealedSearch{wanted: own, nodes: len(s.participants(s.cmd.Context()).nodes), found: map[string]openedSecret{},
		unreadable: map[string]bool{}, open: func(k *ltlv1.AccessKeyInfo, sealed []byte) (string, int, error) {
			return s.openSealed(k, keys, sealed)
		}}
	ctx, cancel := context.WithTimeout(s.cmd.Context(), watchTimeout)
	defer cancel()
	if err := s.client.WatchSealed(ctx, 0, search.take); !errors.Is(err, errDelivered) && len(search.found) == 0 {
		return 0, fmt.Errorf("couldn't read the sealed AccessKeys; that needs an operator's certificate and most nodes: %w",
			err)
	}
	n := 0
	for _, id := range slices.Sorted(maps.Keys(own)) {
		k := own[id]
		found, ok := search.found[id]
		switch {
		case !ok:
			return n, search.missing(k)
		case found.committed && found.at == 0:
			continue
		}
		if err := s.sealKey(k, keys[0], found.secret); err != nil {
			return n, err
		}
		written[id] = k.GetVersion()
		n++
	}
	return n, nil
}

// ownAccessKeys reads the AccessKeys of the caller's organisation that are not deleted, by their ids, from its own
// endorser: what nodes say of them would have to be believed. The endorser must have the versions that were written.
func (s *session) ownAccessKeys(organisation string, written map[string]uint64) (map[string]*ltlv1.AccessKeyInfo, error) {
	ctx, cancel := context.WithTimeout(s.cmd.Context(), watchTimeout)
	defer cancel()
	all := map[string]*ltlv1.AccessKeyInfo{}
	whole := false
	err := s.client.WatchAccessKeys(ctx, func(infos []*ltlv1.AccessKeyInfo) {
		for _, k := range infos {
			if k.GetOrganisation() == organisation {
				all[k.GetId()] = k
			}
		}
		if whole = len(infos) == 0; whole {
			for id, version := range written {
				whole = whole && all[id].GetVersion() >= version
			}
		}
		if whole {
			cancel()
		}
	})
	if !whole {
		return nil, fmt.Errorf("couldn't read the AccessKeys of organisation %s from its endorser; look with `ltl status` "+
			"whether it runs and is up to date, and run it again: %w", organisation, err)
	}
	maps.DeleteFunc(all, func(_ string, k *ltlv1.AccessKeyInfo) bool {
		return k.GetState() == ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED
	})
	return all, nil
}

// sealedSearch looks for the sealed secrets of AccessKeys at one node after the other. What a node gives proves itself by
// the ledger's commitment, or at least by opening: a node that withholds a secret or gives another one has the next one
// asked.
type sealedSearch struct {
	wanted map[string]*ltlv1.AccessKeyInfo
	nodes  int // of the network
	open   func(k *ltlv1.AccessKeyInfo, sealed []byte) (secret string, at int, err error)

	asked int // nodes that said that they had sent everything
	found map[string]openedSecret
	// unreadable are AccessKeys whose sealed secret is there, and not opened by any key.
	unreadable map[string]bool
}

// openedSecret is a secret that a sealing key opened, the first one where at is 0. committed is set when the ledger
// commits to what it was sealed in; otherwise that is of a former version.
type openedSecret struct {
	secret    string
	at        int
	committed bool
}

// take takes a sealed secret; nil says that a node has sent everything.
func (s *sealedSearch) take(k *ltlv1.SealedKey) error {
	if k == nil {
		s.asked++
		for id := range s.wanted {
			if !s.found[id].committed && !s.unreadable[id] && s.asked < s.nodes {
				return client.ErrAnotherNode
			}
		}
		return errDelivered
	}
	info := s.wanted[k.GetAccessKeyId()]
	if info == nil || s.found[info.GetId()].committed {
		return nil
	}
	c := ledger.SealedCommitment(k.GetSealed())
	committed := string(c[:]) == string(info.GetCommitment())
	switch secret, at, err := s.open(info, k.GetSealed()); {
	case err == nil:
		s.found[info.GetId()] = openedSecret{secret, at, committed}
	case committed:
		s.unreadable[info.GetId()] = true
	}
	return nil
}

// missing says what to do about an AccessKey whose secret was not found.
func (s *sealedSearch) missing(k *ltlv1.AccessKeyInfo) error {
	if s.unreadable[k.GetId()] {
		return fmt.Errorf("no key of this directory opens AccessKey %s of account %s; delete it and give the account another",
			k.GetId(), k.GetAccountUid())
	}
	return fmt.Errorf("none of the %d nodes that were asked has the sealed secret of AccessKey %s of account %s to which "+
		"the ledger commits; start the nodes that are down (`ltl status`) and run it again. If none has it then, delete "+
		"the AccessKey and give the account another. What was sealed so far stays", s.asked, k.GetId(), k.GetAccountUid())
}

// openSealed opens the sealed secret of an AccessKey. It may be one of a former version, when the one after it was lost
// between its transaction and its storing.
func (s *session) openSealed(k *ltlv1.AccessKeyInfo, keys [][]byte, sealed []byte) (secret string, at int, err error) {
	for i := range min(k.GetSealedVersion(), maxLostVersions) {
		secret, at, err = s.sealOf(k, k.GetSealedVersion()-i).Open(keys, sealed)
		if err == nil {
			return secret, at, nil
		}
	}
	return "", -1, err
}
