// Package insider acts with the real keys of one organisation of a network against the others: its operators, facade,
// client, endorser and certificate authority. Scene has the single attacks, which test/adversary tries one by one; Insider
// makes them and variations of them again and again, which test/chaos does.
//
// It uses no key of another organisation. Nothing here judges what came of an attack: the callers do.
package insider
