package console

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// downloadRow is a record in a file. Its JSON names are stable.
type downloadRow struct {
	Version         uint32 `json:"version"`
	Key             string `json:"key"`
	BusinessID      string `json:"businessId"`
	Value           string `json:"value"`
	AccountUID      string `json:"accountUid"`
	Time            string `json:"time"`
	BlockHeight     uint64 `json:"blockHeight"`
	TransactionHash string `json:"transactionHash"`
	DataHash        string `json:"dataHash"`
	DeclaredWrong   bool   `json:"declaredWrong"`
}

// cells are the row's fields in the order of columns.
func (r *downloadRow) cells() []string {
	return []string{strconv.FormatUint(uint64(r.Version), 10), r.Key, r.BusinessID, r.Value, r.AccountUID, r.Time,
		strconv.FormatUint(r.BlockHeight, 10), r.TransactionHash, r.DataHash, strconv.FormatBool(r.DeclaredWrong)}
}

// columns are the names of a file's columns.
func columns() []string {
	return []string{"version", "key", "businessId", "value", "accountUid", "time", "blockHeight", "transactionHash",
		"dataHash", "declaredWrong"}
}

// plainCell is a text that no spreadsheet takes for a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsAny(s[:1], "=+-@\t\r\n") {
		return "'" + s
	}
	return s
}

// download reads all records of a Key that the account may see, the newest first, as the nodes answer to it.
func (v *visit) download() ([]*downloadRow, error) {
	key := strings.TrimSpace(v.r.URL.Query().Get("key"))
	if !v.chain.proof() || key == "" {
		return nil, errNothing
	}
	rows := []*downloadRow{}
	size := 0
	for page := uint64(1); ; page++ {
		in := historyOf(v.chain, v.session.uid, key, page)
		in.Size = rpcPage
		out, err := v.ledger.ListHistory(v.r.Context(), in)
		if err != nil {
			return nil, err
		}
		if code := out.GetCode(); code != rules.OK && code != rules.NotFound {
			return nil, &failure{status: http.StatusConflict, key: "error.refused", code: strconv.Itoa(int(code)),
				detail: rules.Message(code)}
		}
		for _, r := range out.GetRecords() {
			rows, size = append(rows, downloadRowOf(r)), size+len(r.GetValue())
		}
		if len(rows) > maxDownload || size > maxDownloadBytes || out.GetTotal() > maxDownload {
			return nil, &failure{status: http.StatusRequestEntityTooLarge, key: "error.download"}
		}
		if len(out.GetRecords()) < rpcPage {
			return rows, nil
		}
	}
}

func downloadRowOf(r *ltlv1.Record) *downloadRow {
	return &downloadRow{Version: r.GetVersion(), Key: r.GetKey(), BusinessID: r.GetBusinessId(), Value: r.GetValue(),
		AccountUID: r.GetAccountUid(), Time: time.UnixMilli(r.GetTimeMs()).UTC().Format(time.RFC3339Nano),
		BlockHeight: r.GetBlockHeight(), TransactionHash: hex.EncodeToString(r.GetTransactionHash()),
		DataHash: hex.EncodeToString(r.GetDataHash()), DeclaredWrong: r.GetDeclaredWrong() != nil}
}

// recordsCSV sends the records of a Key as CSV.
func (v *visit) recordsCSV() (*view, error) {
	rows, err := v.download()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(columns()); err != nil {
		return nil, err
	}
	for _, r := range rows {
		cells := r.cells()
		for i := range cells {
			cells[i] = plainCell(cells[i])
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return v.file("text/csv; charset=utf-8", "records.csv", b.Bytes())
}

// recordsJSON sends the records of a Key as JSON.
func (v *visit) recordsJSON() (*view, error) {
	rows, err := v.download()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	return v.file("application/json", "records.json", append(b, '\n'))
}

// file answers with a file that the browser saves.
func (v *visit) file(kind, name string, content []byte) (*view, error) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = v.w.Write(content) // an error means that the visitor has disconnected
	return nil, errAnswered
}
