package proof

import "fmt"

// Failure says why a file does not verify: the first check that failed.
type Failure struct {
	// Word names the check; docs/evidence.md lists all. Programs compare it.
	Word string
	// Detail is a sentence for people.
	Detail string
}

// Error implements error.
func (f *Failure) Error() string { return f.Word + ": " + f.Detail }

func fail(word, format string, args ...any) *Failure {
	return &Failure{Word: word, Detail: fmt.Sprintf(format, args...)}
}
