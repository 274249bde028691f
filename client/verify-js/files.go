// Package verifyjs holds the modules of the verifier in JavaScript, for programs that serve it to browsers.
package verifyjs

import "embed"

// Files are the modules, without the command line.
//
//go:embed checkpoint.mjs consistency.mjs ed25519.mjs json.mjs majorities.mjs payload.mjs primitives.mjs trust.mjs verify.mjs
var Files embed.FS
