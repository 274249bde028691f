// Package houserules holds tests, and nothing else: the rules of this house that a compiler does not know. They read
// the source of the whole module, so a broken rule names its file and line.
package houserules
