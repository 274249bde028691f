package console

import (
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Row is a row of the table of routes.
type Row struct {
	Method, Path string
	Scope        string
}

// Rows are the routes, without the one for every other path.
func Rows() []Row { return listOf(routes()) }

// OwnRows are those of the console of an organisation.
func OwnRows(votes bool) []Row { return listOf(organisationRoutes(votes)) }

// Votes reports whether the reader of an organisation's console may vote.
func (c *Console) Votes() bool { return c.own.cfg.Vote != nil }

func listOf(table []route) []Row {
	var rows []Row
	for _, r := range table {
		method, path, ok := strings.Cut(r.pattern, " ")
		if ok {
			rows = append(rows, Row{method, strings.TrimSuffix(path, "{$}"),
				map[scope]string{open: "open", signedIn: "signed in", member: "member", administrator: "administrator"}[r.scope]})
		}
	}
	return rows
}

// Words are the sentences of a language.
func Words(lang string) map[string]string {
	assets, err := loadAssets()
	if err != nil {
		panic(err)
	}
	p, err := loadPages(assets)
	if err != nil {
		panic(err)
	}
	return p.words[lang]
}

// Sees is reader.sees.
func Sees(administrator bool, uid, typeCode string, chain *ltlv1.ChainInfo, id ledger.Hash, tx *ltlv1.Transaction,
	result int32) bool {
	r := &reader{uid: uid, administrator: administrator, typeCode: typeCode, info: chain}
	return r.sees(id, tx, result)
}
