package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// sealedTimeout bounds the storing of a sealed secret after its transaction: without it the AccessKey is of no use.
const sealedTimeout = 2 * time.Minute

// keyResult is an AccessKey as `ltl account key` prints it; the secret only where it was just made. Its JSON names are
// stable.
type keyResult struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret,omitempty"`
	UID             string `json:"uid"`
	Disabled        bool   `json:"disabled"`
	// State is enabled, disabled or deleted; the last is final.
	State string `json:"state"`
}

// keyResultOf is an AccessKey of the ledger.
func keyResultOf(k *ltlv1.AccessKeyInfo) keyResult {
	r := keyResult{AccessKeyID: k.GetId(), UID: k.GetAccountUid(), Disabled: true, State: "disabled"}
	switch k.GetState() {
	case ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE:
		r.Disabled, r.State = false, "enabled"
	case ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED:
		r.State = "deleted"
	}
	return r
}

// newAccountKey makes `ltl account key`. What an AccessKey is, and whose, is on the system chain. Its sealed secret is
// beside it on the nodes, bound by a commitment.
func newAccountKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "List, create, disable, enable and delete AccessKeys"}
	cmd.AddCommand(newKeyList(), newKeyCreate(), newKeyReseal(),
		newKeySwitch("enable", "Enable a disabled AccessKey again, at all facades",
			ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE),
		newKeySwitch("disable", "Disable an AccessKey at all facades", ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED),
		newKeySwitch("delete", "Delete an AccessKey for good", ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED))
	return cmd
}

func newKeyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [UID]",
		Short: "List the AccessKeys of all accounts or of one, without their secrets",
		Args:  cobra.MaximumNArgs(1),
		RunE: online(func(s *session, args []string) error {
			uid := ""
			if len(args) == 1 {
				account, err := s.account(args[0])
				if err != nil {
					return err
				}
				uid = account.UID
			}
			rows, err := s.keysOf(uid)
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "ACCESSKEY ID|UID|STATE", func(r keyResult) []any {
				return []any{r.AccessKeyID, r.UID, r.State}
			})
		}),
	}
}

func newKeyCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create UID",
		Short: "Give an account an AccessKey; its secret is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner := func(s *session) (string, error) { return s.ownerOfAccount(args[0]) }
			return withOwner(cmd, owner, func(s *session) error {
				result, err := s.createKey(args[0])
				if err != nil {
					return err
				}
				return emitFields(s.cmd, result, field{"AccessKey ID", result.AccessKeyID},
					field{"AccessKey secret", result.AccessKeySecret},
					field{}, field{"The secret is stored nowhere in readable form: keep it now."})
			})
		},
	}
}

// createKey makes an AccessKey for an account. The secret leaves this process only on its output: the network gets it
// sealed with a key that nodes do not have.
func (s *session) createKey(uid string) (*keyResult, error) {
	sealingKey, err := s.sealingKey()
	if err != nil {
		return nil, err
	}
	account, err := s.account(uid)
	if err != nil {
		return nil, err
	}
	id, secret := localnet.NewAccessKey()
	info := &ltlv1.AccessKeyInfo{Id: id, AccountUid: account.UID, Organisation: account.Organisation,
		State: ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE}
	if err := s.sealKey(info, sealingKey, secret); err != nil {
		return nil, err
	}
	r := keyResultOf(info)
	r.AccessKeySecret = secret
	return &r, nil
}

// sealKey seals a secret for the next version of an AccessKey, puts that version on the ledger and stores the sealed
// secret: the transaction first, because nodes take only a secret to which the ledger commits.
func (s *session) sealKey(info *ltlv1.AccessKeyInfo, sealingKey []byte, secret string) error {
	sealed, err := s.sealOf(info, info.GetVersion()+1).Seal(sealingKey, secret)
	if err != nil {
		return err
	}
	commitment := ledger.SealedCommitment(sealed)
	info.Commitment = commitment[:]
	if err := s.putKey(info, info.GetState()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.cmd.Context(), sealedTimeout)
	defer cancel()
	if err := s.client.PutSealed(ctx, info.GetId(), sealed); err != nil {
		return fmt.Errorf("AccessKey %s is on the ledger, but no node took its sealed secret, so that it is of no use; "+
			"delete it (`ltl account key delete %s`) and make another, or if it was there before, run the reseal again: %w",
			info.GetId(), info.GetId(), err)
	}
	return nil
}

// sealOf says what a secret of the AccessKey is bound to when it is sealed for that version.
func (s *session) sealOf(info *ltlv1.AccessKeyInfo, version uint64) identity.AccessKeySeal {
	return identity.AccessKeySeal{Network: s.trust.NetworkID(), Organisation: info.GetOrganisation(),
		AccessKeyID: info.GetId(), UID: info.GetAccountUid(), Version: version}
}

// putKey puts the next version of an AccessKey on the ledger.
func (s *session) putKey(info *ltlv1.AccessKeyInfo, state ltlv1.AccessKeyState) error {
	_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_PutAccessKey{
		PutAccessKey: &ltlv1.PutAccessKey{Id: info.GetId(), AccountUid: info.GetAccountUid(), State: state,
			Version: info.GetVersion() + 1, Commitment: info.GetCommitment()},
	}}, advice{
		rules.Forbidden: adviceOperator,
		rules.NotFound:  "there is no such account or AccessKey; `ltl account list` and `ltl account key list` list them",
		rules.Conflict:  "another change came first; look with `ltl account key list` and repeat it",
		rules.QuotaExceeded: fmt.Sprintf("account %s has %d enabled AccessKeys, which is the most; disable one first: "+
			"`ltl account key list %s`", info.GetAccountUid(), rules.MaxActiveAccessKeys, info.GetAccountUid()),
	})
	if err == nil {
		info.State, info.Version = state, info.GetVersion()+1
	}
	return err
}

// newKeySwitch makes `ltl account key disable`, `enable` or `delete`.
func newKeySwitch(use, short string, state ltlv1.AccessKeyState) *cobra.Command {
	return &cobra.Command{
		Use:   use + " ACCESS-KEY-ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner := func(s *session) (string, error) {
				k, err := s.accessKey(args[0])
				return k.GetOrganisation(), err
			}
			return withOwner(cmd, owner, func(s *session) error {
				info, err := s.accessKey(args[0])
				if err == nil && info.GetState() != state { // doing it again changes nothing
					err = s.putKey(info, state)
				}
				if err != nil {
					return err
				}
				r := keyResultOf(info)
				return emitSentence(s.cmd, r, "AccessKey %s of account %s is %s", r.AccessKeyID, r.UID, r.State)
			})
		},
	}
}

// accessKey reads an AccessKey.
func (s *session) accessKey(id string) (*ltlv1.AccessKeyInfo, error) {
	all, err := s.accessKeys("")
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.GetId() == id {
			return k, nil
		}
	}
	return nil, fmt.Errorf("there is no AccessKey %q; `ltl account key list` lists the existing ones", id)
}

// keysOf reads the AccessKeys of an account, or of all with an empty uid, in the order of account and id.
func (s *session) keysOf(uid string) ([]keyResult, error) {
	keys, err := s.accessKeys(uid)
	if err != nil {
		return nil, err
	}
	rows := []keyResult{}
	for _, k := range keys {
		rows = append(rows, keyResultOf(k))
	}
	slices.SortFunc(rows, func(a, b keyResult) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.AccessKeyID, b.AccessKeyID))
	})
	return rows, nil
}

// accessKeys reads the AccessKeys of an account, or of all with an empty uid, from the ledger.
func (s *session) accessKeys(uid string) ([]*ltlv1.AccessKeyInfo, error) {
	return allPages(func(page uint32) (keyPage, error) {
		out, err := s.client.Ledger().ListAccessKeys(s.cmd.Context(),
			&ltlv1.ListAccessKeysRequest{AccountUid: uid, Page: page, Size: pageSize})
		return keyPage{out}, err
	}, func(p keyPage) []*ltlv1.AccessKeyInfo { return p.GetAccessKeys() },
		func(k *ltlv1.AccessKeyInfo) *ltlv1.AccessKeyInfo { return k })
}

// keyPage is a page of AccessKeys; reading one is never refused.
type keyPage struct{ *ltlv1.ListAccessKeysResponse }

// GetCode is success.
func (keyPage) GetCode() int32 { return rules.OK }
