package console

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// kindOf is the name of what a transaction does, as in the protocol: "set_data".
func kindOf(tx *ltlv1.Transaction) string {
	m := tx.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("action")); f != nil {
		return string(f.Name())
	}
	return ""
}

// recordsView is the page on which records are looked up.
type recordsView struct {
	Proof bool
	// Key and Business name records of a proof chain; Phase and DataKey of a collaboration chain.
	Key, Business, Phase, DataKey string
	Groups                        []phaseGroup
	Asked                         bool
	// Refused is the code with which the ledger refused the question, Message what it means.
	Refused int32
	Message string
	Records []*ltlv1.Record
	Phased  []*ltlv1.PhaseRecord
	Pages   pager
	Prefix  string
}

// phaseGroup is a phase group with its phases.
type phaseGroup struct {
	*ltlv1.PhaseGroupInfo
	Phases []*ltlv1.PhaseInfo
}

// records looks up the records of a Key, or those of a data key in a phase.
func (v *visit) records() (*view, error) {
	if v.chain.System() {
		return nil, errNothing
	}
	q := v.r.URL.Query()
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	out := &recordsView{Proof: v.chain.proof(), Key: get("key"), Business: get("business"), Phase: get("phase"),
		DataKey: get("data"), Prefix: rules.KeyVersion + "_" + v.chain.info.GetChainCode() + "_" + v.chain.typeCode + "_"}
	var err error
	switch {
	case !out.Proof:
		err = v.phaseRecords(out)
	case out.Key != "" && out.Business != "":
		err = v.oneRecord(out)
	case out.Key != "":
		err = v.history(out)
	}
	if err != nil {
		return nil, err
	}
	if out.Refused != 0 {
		out.Message = rules.Message(out.Refused)
	}
	return &view{name: "records", title: "records.title", data: out}, nil
}

// oneRecord finds the record with a Key and a BusinessId.
func (v *visit) oneRecord(out *recordsView) error {
	out.Asked = true
	r, err := v.ledger.GetRecord(v.r.Context(), &ltlv1.GetRecordRequest{ChainCode: v.chain.info.GetChainCode(),
		Key: out.Key, BusinessId: out.Business, AccountUid: v.session.uid})
	if err != nil {
		return err
	}
	switch r.GetCode() {
	case rules.OK:
		out.Records = []*ltlv1.Record{r.GetRecord()}
	case rules.NotFound:
	default:
		out.Refused = r.GetCode()
	}
	out.Pages = v.pagerOf(uint64(len(out.Records)))
	return nil
}

// history lists the records of a Key, the newest first.
func (v *visit) history(out *recordsView) error {
	out.Asked = true
	number := v.pagerOf(1 << 40).Number
	r, err := v.ledger.ListHistory(v.r.Context(), historyOf(v.chain, v.session.uid, out.Key, number))
	if err != nil {
		return err
	}
	out.Records, out.Pages = r.GetRecords(), v.pagerOf(r.GetTotal())
	if code := r.GetCode(); code != rules.OK && code != rules.NotFound {
		out.Refused = code
	}
	return nil
}

// historyOf asks for a page of the records of a Key, of all times.
func historyOf(r *reader, uid, key string, page uint64) *ltlv1.ListHistoryRequest {
	return &ltlv1.ListHistoryRequest{ChainCode: r.info.GetChainCode(), Key: key, AccountUid: uid, StartMs: 1,
		EndMs: lastMs, Page: uint32(page), Size: pageSize}
}

// lastMs is later than any record.
const lastMs = 1 << 60

// phaseRecords lists the records of a data key in a phase, the oldest first.
func (v *visit) phaseRecords(out *recordsView) error {
	var err error
	if out.Groups, err = v.phaseGroups(); err != nil || out.Phase == "" || out.DataKey == "" {
		return err
	}
	out.Asked = true
	group := ""
	for _, g := range out.Groups {
		for _, p := range g.Phases {
			if p.GetPhaseId() == out.Phase {
				group = g.GetPhaseGroupId()
			}
		}
	}
	if group == "" {
		return nil
	}
	r, err := v.ledger.ListPhaseRecords(v.r.Context(), &ltlv1.ListPhaseRecordsRequest{
		ChainId: v.chain.info.GetChainId(), AccountUid: v.session.uid, PhaseGroupId: group, PhaseId: out.Phase,
		DataKey: out.DataKey, StartMs: 1, EndMs: lastMs, Page: uint32(v.pagerOf(1 << 40).Number), Size: pageSize})
	if err != nil {
		return err
	}
	out.Phased, out.Pages = r.GetRecords(), v.pagerOf(r.GetTotal())
	if code := r.GetCode(); code != rules.OK && code != rules.NotFound {
		out.Refused = code
	}
	return nil
}

// phaseGroups reads the phase groups of the chain with their phases.
func (v *visit) phaseGroups() ([]phaseGroup, error) {
	ctx, id := v.r.Context(), v.chain.info.GetChainId()
	groups, err := v.ledger.ListPhaseGroups(ctx, &ltlv1.ListPhaseGroupsRequest{ChainId: id, AccountUid: v.session.uid,
		Page: 1, Size: 100})
	if err != nil {
		return nil, err
	}
	var all []phaseGroup
	for _, g := range groups.GetGroups() {
		phases, err := v.ledger.ListPhases(ctx, &ltlv1.ListPhasesRequest{ChainId: id, AccountUid: v.session.uid,
			PhaseGroupId: g.GetPhaseGroupId(), Page: 1, Size: 100})
		if err != nil {
			return nil, err
		}
		all = append(all, phaseGroup{g, phases.GetPhases()})
	}
	return all, nil
}

// shown is a value as a page shows it.
type shown struct {
	// Label is a data key in an upload of several records; Seq its DataSeq.
	Label, Seq string
	Text       string
	// JSON is the value, indented, where it is JSON; Hex its bytes in hexadecimal digits; Digest its SHA-256.
	JSON, Hex, Digest string
	Size              int
	// Cut is set where only the beginning is shown.
	Cut bool
	// Phase is what the ledger says of a record of a phase: corrections and related data; nil where it was not asked.
	Phase *ltlv1.PhaseRecord
}

func showValue(label, seq, value string) shown {
	sum := ledger.DataHash(value)
	s := shown{Label: label, Seq: seq, Text: value, Size: len(value), Digest: hex.EncodeToString(sum[:])}
	var indented bytes.Buffer
	if len(value) > 1 && strings.ContainsAny(value[:1], "{[") && json.Indent(&indented, []byte(value), "", "  ") == nil {
		s.JSON = indented.String()
	}
	if len(s.Text) > maxShown || len(s.JSON) > 2*maxShown {
		s.Text, s.JSON, s.Cut = strings.ToValidUTF8(s.Text[:min(len(s.Text), maxShown)], ""), "", true
	}
	s.Hex = hex.EncodeToString([]byte(s.Text))
	if !utf8.ValidString(s.Text) {
		s.Text = ""
	}
	return s
}

// recordView is the page of a transaction, with what it put on the chain.
type recordView struct {
	ID, Kind       string
	Code           int32
	Message        string
	Height         uint64
	Index          uint32
	Time           time.Time
	BlockHash      string
	Account        string
	Submitter      string
	Record         *ltlv1.Record
	Values         []shown
	Form           string
	Fields         string
	History        []*ltlv1.Record
	HistoryTotal   uint64
	Signed, Silent []string
	Policy         string
	Device         *ltlv1.DeviceProof
	// Certifiable is set where a certificate can be made of it.
	Certifiable bool
}

// transaction shows a transaction that the account may see.
func (v *visit) transaction() (*view, error) {
	found, err := v.wanted()
	if err != nil {
		return nil, err
	}
	at, tx := found.at, found.tx
	out := &recordView{ID: hex.EncodeToString(found.id[:]), Kind: kindOf(tx), Code: found.result,
		Height: at.GetBlockHeight(), Index: at.GetTransactionIndex(), Time: time.UnixMilli(at.GetTimeMs()),
		BlockHash: hex.EncodeToString(at.GetBlockHash()), Account: tx.GetAccountUid(), Submitter: tx.GetSubmitter(),
		Policy: v.chain.info.GetChain().GetPolicy(), Certifiable: true}
	if found.result != rules.OK {
		out.Message = rules.Message(found.result)
	}
	if err := v.showRecord(found, out); err != nil {
		return nil, err
	}
	if err := v.showEndorsers(found, out); err != nil {
		return nil, err
	}
	return &view{name: "record", title: "record.title", data: out}, nil
}

// wanted is the transaction that the path names.
func (v *visit) wanted() (*placed, error) {
	id, err := hex.DecodeString(v.r.PathValue("tx"))
	if err != nil || len(id) != len(ledger.Hash{}) {
		return nil, errNothing
	}
	return v.find(v.chain, ledger.Hash(id))
}

// showRecord adds what the transaction put on the chain, or, of any other transaction, its fields.
func (v *visit) showRecord(found *placed, out *recordView) error {
	tx := found.tx
	if upload := tx.GetUploadPhaseData(); upload != nil {
		out.Device, out.Form = upload.GetDevice(), upload.GetForm().String()
		seqs := rules.DataSeqs(found.id, upload.GetItems())
		for i, item := range upload.GetItems() {
			one := showValue(item.GetDataKey(), seqs[i], item.GetPhaseData())
			if i < maxLooked && found.result == rules.OK {
				r, err := v.ledger.GetPhaseRecord(v.r.Context(), &ltlv1.GetPhaseRecordRequest{ChainId: v.chain.ID(),
					AccountUid: v.session.uid, PhaseGroupId: upload.GetPhaseGroupId(), PhaseId: upload.GetPhaseId(),
					DataKey: one.Label, DataSeq: one.Seq})
				if err != nil {
					return err
				}
				one.Phase = r.GetRecord()
			}
			out.Values = append(out.Values, one)
		}
		if list := upload.GetList(); list != "" {
			out.Values = append(out.Values, showValue("", "", list))
		}
		return nil
	}
	key, _, business, ok := rules.ProofRecord(tx, found.id)
	if !ok {
		out.Fields = fieldsOf(tx)
		return nil
	}
	out.Device = tx.GetSetData().GetDevice()
	if tx.GetAttachData() != nil {
		out.Device = tx.GetAttachData().GetDevice()
	}
	out.Record = &ltlv1.Record{Key: key, BusinessId: business}
	if found.result != rules.OK {
		return nil
	}
	ctx := v.r.Context()
	r, err := v.ledger.GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: v.chain.info.GetChainCode(), Key: key,
		BusinessId: business, AccountUid: v.session.uid})
	if err != nil {
		return err
	}
	if r.GetCode() == rules.OK && bytes.Equal(r.GetRecord().GetTransactionHash(), found.id[:]) {
		out.Record = r.GetRecord()
		out.Values = []shown{showValue("", "", out.Record.GetValue())}
	}
	h, err := v.ledger.ListHistory(ctx, historyOf(v.chain, v.session.uid, key, 1))
	if err != nil {
		return err
	}
	out.History, out.HistoryTotal = h.GetRecords(), h.GetTotal()
	return nil
}

// fieldsOf are the fields of a transaction's action, for people.
func fieldsOf(tx *ltlv1.Transaction) string {
	m := tx.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("action"))
	if f == nil || f.Kind() != protoreflect.MessageKind {
		return ""
	}
	raw, err := protojson.Marshal(m.Get(f).Message().Interface())
	if err != nil {
		return ""
	}
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil { // protojson varies its spaces on purpose
		return ""
	}
	return out.String()
}

// showEndorsers adds the organisations that endorsed the transaction, and those of the chain that did not.
func (v *visit) showEndorsers(found *placed, out *recordView) error {
	err := v.fetch(found.at.GetBlockHeight(), 1, func(b *client.Block, in *ltlv1.Block) error {
		for _, batch := range in.GetBatches() {
			for i, payload := range batch.GetTransactions() {
				if ledger.TransactionID(payload) != found.id {
					continue
				}
				for _, e := range endorsementsOf(b.ChainID, batch) {
					if e.Accepts(i) {
						out.Signed = append(out.Signed, e.Organisation)
					}
				}
			}
		}
		return nil
	})
	slices.Sort(out.Signed)
	out.Signed = slices.Compact(out.Signed)
	for _, o := range v.chain.info.GetChain().GetOrganisations() {
		if !slices.Contains(out.Signed, o) {
			out.Silent = append(out.Silent, o)
		}
	}
	out.Certifiable = len(out.Signed) > 0
	return err
}
