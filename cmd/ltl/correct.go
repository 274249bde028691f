package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// correctOptions are the options of `ltl correct`.
type correctOptions struct {
	value, reason, key, businessID string
	administrator                  bool
	// item is the number of the wrong record in an upload of several; -1 is the only one.
	item int
}

// newCorrect makes `ltl correct`.
func newCorrect() *cobra.Command {
	var o correctOptions
	cmd := &cobra.Command{
		Use:   "correct TRANSACTION",
		Short: "Declare a record wrong, and put another one in its place",
		Long: `Writes a record that declares another one wrong and takes its place. The wrong record stays on the chain; a
reader is shown when, why and by whom it was declared wrong, and the transaction that replaced it. TRANSACTION is the
hash of the wrong record's transaction, transactionHash of GetBlockChainInfo or TransactionHash of
DescribeMPCoSPhaseInfo.

The new record is written in the name of the account that wrote the wrong one, by an operator of that account's
organisation; with --administrator in the name of the chain's administrator, which the answer to a reader says then. It
goes under the same Key; a Key of SetData holds one value for good, so give another one with --key. On a collaboration
chain it goes to the same phase, and --item says which record of an upload of several is wrong.`,
		Example: `  ltl correct --dir ltl-data 5f0c… --value '21.5 °C' --reason 'the probe was not connected'
  ltl correct --dir ltl-data 5f0c… --item 2 --value '21.5 °C' --reason 'the second meter was not connected'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := hex.DecodeString(args[0])
			if err != nil || len(id) != len(ledger.Hash{}) {
				return fmt.Errorf("%q is not the hash of a transaction, 64 hexadecimal digits; GetBlockChainInfo and "+
					"DescribeMPCoSPhaseInfo show it", args[0])
			}
			var made *ltlv1.Transaction
			owner := func(s *session) (string, error) {
				if made, err = s.correction(ledger.Hash(id), &o); err != nil {
					return "", err
				}
				return s.ownerOfAccount(made.GetAccountUid())
			}
			return withOwner(cmd, owner, func(s *session) error { return s.correct(made) })
		},
	}
	addConnection(cmd)
	f := cmd.Flags()
	f.StringVar(&o.value, "value", "", "the right value (required)")
	f.StringVar(&o.reason, "reason", "", "why the record is wrong, 1 to 200 characters (required)")
	f.StringVar(&o.key, "key", "", "Key, or DataKey, of the new record (default that of the wrong one)")
	f.StringVar(&o.businessID, "business-id", "", "BusinessId, or DataSeq, of the new record (default assigned by the "+
		"ledger)")
	f.IntVar(&o.item, "item", -1, "place of the wrong record in an upload of several, from 0")
	f.BoolVar(&o.administrator, "administrator", false, "in the name of the chain's administrator; on a proof chain it "+
		"needs --key")
	mustRequire(cmd, "value", "reason")
	return cmd
}

// correction makes the transaction that corrects the record of another one.
func (s *session) correction(id ledger.Hash, o *correctOptions) (*ltlv1.Transaction, error) {
	r, err := s.client.Ledger().GetTransaction(s.cmd.Context(), &ltlv1.GetTransactionRequest{TransactionHash: id[:]})
	if err != nil {
		return nil, err
	}
	wrong, err := rules.Decode(r.GetTransaction())
	key, _, businessID, ok := rules.ProofRecord(wrong, id)
	if r.GetCode() != rules.OK || r.GetResult() != rules.OK || err != nil || !ok && wrong.GetUploadPhaseData() == nil {
		return nil, fmt.Errorf("transaction %x wrote no record; GetHistoryDataList and ListMPCoSPhaseHistory show the hashes "+
			"of those that did", id)
	}
	if !ok {
		return s.phaseCorrection(r.GetChainId(), wrong, id, o)
	}
	if o.item > 0 {
		return nil, fmt.Errorf("transaction %x wrote one record; leave out --item", id)
	}
	uid := wrong.GetAccountUid()
	if o.administrator {
		chain, err := s.chain(r.GetChainId())
		if err != nil {
			return nil, err
		}
		if uid = chain.Administrator; o.key == "" {
			return nil, errors.New("give the Key of the new record with --key: it has the administrator's data type code, " +
				"`ltl member list` shows it")
		}
	}
	at := o.key
	switch {
	case at != "":
	case businessID == "":
		return nil, errors.New("the wrong record was written by SetData, and its Key holds one value for good: give the Key " +
			"of the new record with --key")
	default:
		at = key
	}
	tx := client.AttachData(r.GetChainId(), uid, at, o.value)
	tx.GetAttachData().BusinessId = o.businessID
	tx.GetAttachData().Corrects = &ltlv1.Correction{
		TransactionId: id[:], Key: key, BusinessId: businessID, Reason: o.reason,
	}
	return tx, nil
}

// phaseCorrection makes the transaction that corrects a record of an upload to a phase. It goes to the same phase.
func (s *session) phaseCorrection(chainID string, wrong *ltlv1.Transaction, id ledger.Hash,
	o *correctOptions) (*ltlv1.Transaction, error) {
	of := wrong.GetUploadPhaseData()
	items, code := rules.PhaseItems(of)
	if code != rules.OK {
		return nil, refused(code)
	}
	at := o.item
	if len(items) == 1 && at < 0 {
		at = 0
	}
	if at < 0 || at >= len(items) {
		return nil, fmt.Errorf("transaction %x wrote %d records: say with --item which is wrong, 0 to %d", id, len(items),
			len(items)-1)
	}
	seq := rules.DataSeqs(id, items)[at]
	found, err := s.client.Ledger().GetPhaseRecord(s.cmd.Context(), &ltlv1.GetPhaseRecordRequest{ChainId: chainID,
		PhaseGroupId: of.GetPhaseGroupId(), PhaseId: of.GetPhaseId(), DataKey: items[at].GetDataKey(), DataSeq: seq})
	if err != nil {
		return nil, err
	}
	if found.GetCode() != rules.OK {
		return nil, refused(found.GetCode())
	}
	uid := wrong.GetAccountUid()
	if o.administrator {
		chain, err := s.chain(chainID)
		if err != nil {
			return nil, err
		}
		uid = chain.Administrator
	}
	return &ltlv1.Transaction{ChainId: chainID, AccountUid: uid, Action: &ltlv1.Transaction_UploadPhaseData{
		UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: of.GetPhaseGroupId(), PhaseId: of.GetPhaseId(),
			Form: of.GetForm(), Items: []*ltlv1.PhaseItem{{DataKey: cmp.Or(o.key, items[at].GetDataKey()), PhaseData: o.value,
				DataSeq: o.businessID}}, Corrects: &ltlv1.Correction{TransactionId: id[:], Key: found.GetRecord().GetKey(),
				BusinessId: seq, Reason: o.reason, ByAdministrator: o.administrator}},
	}}, nil
}

// correctedRow is a correction as `ltl correct` prints it. Its JSON names are stable.
type correctedRow struct {
	Key         string `json:"key"`
	BusinessID  string `json:"businessId"`
	Wrong       string `json:"wrongTransaction"`
	BlockHeight uint64 `json:"blockHeight"`
	// ByAdministrator is set when the chain's administrator corrected another account's record.
	ByAdministrator bool `json:"byAdministrator"`
}

// correct writes a correction and prints it.
func (s *session) correct(tx *ltlv1.Transaction) error {
	result, err := s.submit(tx, advice{
		rules.BadTypeCode: "the Key has another account's data type code; give one with the code of the account with --key",
		rules.OutOfRange: "a reason has 1 to 200 characters, a BusinessId 64 hexadecimal digits, a DataSeq 1 to 64 letters, " +
			"digits, - and .",
	})
	if err != nil {
		return err
	}
	c, key := rules.CorrectionOf(tx), tx.GetAttachData().GetKey()
	if u := tx.GetUploadPhaseData(); u != nil { // of the same phase, so its Key differs in the data key at most
		key = c.GetKey()[:strings.LastIndexByte(c.GetKey(), '_')+1] + u.GetItems()[0].GetDataKey()
	}
	row := correctedRow{Key: key, BusinessID: result.GetOutput(), Wrong: hex.EncodeToString(c.GetTransactionId()),
		BlockHeight: result.GetBlockHeight(), ByAdministrator: rules.ByAdministrator(c, key)}
	by := "its owner"
	if row.ByAdministrator {
		by = "the chain's administrator"
	}
	return emitFields(s.cmd, row, field{"key", row.Key}, field{"business id", row.BusinessID},
		field{"in the place of", row.Wrong}, field{"declared wrong by", by}, field{"block", row.BlockHeight})
}
