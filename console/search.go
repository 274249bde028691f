package console

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// searchView says what a text was taken for, where nothing was found.
type searchView struct {
	Text string
	// Taken are the keys of what it was taken for.
	Taken []string
	// Long says that the text cannot be anything.
	Long bool
}

// what a text in the search box may be.
var (
	hashForm   = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	heightForm = regexp.MustCompile(`^[0-9]{1,12}$`)
	idForm     = regexp.MustCompile(`^[0-9]{16}$`)
	codeForm   = regexp.MustCompile(`^[0-9A-Za-z]{16}$`)
	keyForm    = regexp.MustCompile(`^0001_([0-9A-Za-z]{16})_`)
)

// maxSearch bounds the text of a search, in bytes; a Key is shorter.
const maxSearch = 512

// search goes to what a text names: a transaction by its hash, a block of the present chain by its height, a chain by id
// or code, the records of a Key. It finds exact texts only.
func (v *visit) search() (*view, error) {
	q := v.r.URL.Query()
	text, chain := strings.TrimSpace(q.Get("q")), q.Get("chain")
	out := &searchView{Text: text}
	page := &view{name: "search", title: "search.title", data: out}
	if text == "" || len(text) > maxSearch {
		out.Long = len(text) > maxSearch
		return page, nil
	}
	for _, one := range []struct {
		taken string
		fits  bool
		find  func(text, chain string) (string, error)
	}{
		{"search.transaction", hashForm.MatchString(text), v.searchTransaction},
		{"search.height", heightForm.MatchString(text) && chain != "", v.searchBlock},
		{"search.id", idForm.MatchString(text), v.searchID},
		{"search.code", codeForm.MatchString(text), v.searchCode},
		{"search.key", keyForm.MatchString(text), v.searchKey},
	} {
		if !one.fits {
			continue
		}
		to, err := one.find(text, chain)
		if err != nil {
			return nil, err
		}
		if to != "" {
			http.Redirect(v.w, v.r, to, http.StatusSeeOther)
			return nil, errAnswered
		}
		out.Taken = append(out.Taken, one.taken)
	}
	return page, nil
}

// searchTransaction is the address of a transaction that the account may see.
func (v *visit) searchTransaction(text, _ string) (string, error) {
	id, err := hex.DecodeString(text)
	if err != nil {
		return "", nil
	}
	at, err := v.ledger.GetTransaction(v.r.Context(), &ltlv1.GetTransactionRequest{TransactionHash: id})
	if err != nil || at.GetCode() != rules.OK {
		return "", err
	}
	r, err := v.readChain(at.GetChainId())
	if isNothing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := v.find(r, ledger.Hash(id)); err != nil {
		if isNothing(err) {
			return "", nil
		}
		return "", err
	}
	return Prefix + joinPath([]any{"c", at.GetChainId(), "r", strings.ToLower(text)}), nil
}

// searchBlock is the address of a block of a chain.
func (v *visit) searchBlock(text, chain string) (string, error) {
	height, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return "", nil
	}
	r, err := v.readChain(chain)
	if isNothing(err) || err == nil && height > r.info.GetHeight() {
		return "", nil
	}
	return Prefix + joinPath([]any{"c", chain, "blocks", height}), err
}

// searchID is the address of a chain by its id.
func (v *visit) searchID(text, _ string) (string, error) {
	_, err := v.readChain(text)
	if isNothing(err) {
		return "", nil
	}
	return Prefix + "c/" + text + "/", err
}

// searchCode is the address of a chain by its code.
func (v *visit) searchCode(text, _ string) (string, error) {
	id, err := v.chainByCode(text)
	if id == "" || err != nil {
		return "", err
	}
	return Prefix + "c/" + id + "/", nil
}

// searchKey is the address of the records of a Key.
func (v *visit) searchKey(text, _ string) (string, error) {
	id, err := v.chainByCode(keyForm.FindStringSubmatch(text)[1])
	if id == "" || err != nil {
		return "", err
	}
	return Prefix + "c/" + id + "/records?key=" + queryEscape(text), nil
}

// chainByCode is the id of the account's chain with a code; empty when it has none.
func (v *visit) chainByCode(code string) (string, error) {
	all, _, err := v.allChains()
	for _, c := range all {
		if c.GetChainCode() == code {
			return c.GetChainId(), err
		}
	}
	return "", err
}

// isNothing reports whether an error says that there is nothing to see.
func isNothing(err error) bool { return err == error(errNothing) }
