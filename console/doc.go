// Package console serves the web console of a facade: pages rendered on the server on which the holder of an AccessKey
// looks at chains, records and blocks, and checks them.
//
// A request passes these files, in this order:
//
//	console.go   host, headers, the table of routes, limits
//	session.go   sign-in without the secret, the sealed cookie; rate.go bounds the attempts
//	confine.go   which account sees what: the one place that decides it
//	chains.go, members.go, sources.go, groups.go, records.go, blocks.go, search.go
//	             the pages; acts.go runs the Actions of their forms, live.go sends blocks as they are made
//	verify.go    certificates, and the page that checks them in the browser
//	render.go    templates, languages, errors
//
// It promises that the secret of an AccessKey never reaches it, that an account sees what the ledger lets it read and no
// byte more, that reading and forms work without a script, and that no page runs a script that is not this package's.
// It stores nothing: every facade of an organisation takes the cookie of another.
package console
