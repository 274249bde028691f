package console_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// downloads: a file has all records of a Key that the account may see, in both forms, and no cell is a formula.
func (w *world) downloads() {
	w.signIn(w.member)
	w.signIn(w.other)
	formulas := []string{"=1+1", "+1", "-1", "@a", "\tx", "plain, \"quoted\"\nand more"}
	for i, text := range formulas {
		w.call(w.member, "AttachData", map[string]string{"ProductKey": w.proof.GetChainCode(),
			"Key": w.keyOf(w.member, "download"), "Value": text, "BusinessId": fmt.Sprintf("%064x", 0xd000+i)})
	}
	path := "/console/c/" + w.proof.GetChainId() + "/records"
	query := "?key=" + w.keyOf(w.member, "download")
	p := w.get(w.member.browser, path+".csv"+query)
	rows, err := csv.NewReader(strings.NewReader(p.body)).ReadAll()
	if err != nil || len(rows) != len(formulas)+1 || !strings.HasPrefix(p.header.Get("Content-Disposition"), "attachment") {
		w.t.Fatalf("%d, %d rows, error %v\n%s", p.status, len(rows), err, p.body)
	}
	column := slices.Index(rows[0], "value")
	for i, text := range formulas {
		want := text
		if i < 5 {
			want = "'" + text
		}
		if got := rows[len(rows)-1-i][column]; got != want {
			w.t.Errorf("the cell of %q is %q, want %q", text, got, want)
		}
	}
	var values []struct{ Value string }
	p = w.get(w.member.browser, path+".json"+query)
	if err := json.Unmarshal([]byte(p.body), &values); err != nil || len(values) != len(formulas) ||
		values[len(values)-1].Value != formulas[0] {
		w.t.Errorf("%d, error %v\n%s", p.status, err, p.body)
	}
	for _, form := range []string{".csv", ".json"} {
		if p := w.get(w.other.browser, path+form+query); p.status != http.StatusConflict || strings.Contains(p.body, "1+1") {
			w.t.Errorf("another member gets %d for a foreign Key%s\n%s", p.status, form, p.body)
		}
		if p := w.get(w.member.browser, path+form); p.status != http.StatusNotFound {
			w.t.Errorf("without a Key: %d", p.status)
		}
	}
}
