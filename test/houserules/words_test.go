package houserules

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// bannedPersons put persons where processes are meant.
const bannedPersons = `(?-i:(?:[Nn]o|[Ss]ome|[Ee]very|[Aa]ny)body(?:'s)?\b)|everyone(?:'s)?\b|whoever\b|anew\b|` +
	`(?:is|are) told\b`

// bannedNames are names that were given up.
const bannedNames = `(?:spoilt|tally|jury|lanes?|furnish\w*|obey\w*|doubted|relieve[ds]?|blocks 0)\b|goes on\.|` +
	`(?:meetLeader|toAsk|orNotReadable|malformedAs|LTLLedgerStands|LTLDiskRots|LTLCallsFail)\b|` +
	`\w*(?:OnDoubt|Affairs|OpenRemains|errGarbage)\b`

// bannedWords are not used in code, comments, messages, documents, alerts or scripts; docs/glossary.md has the words that
// are. The change log names what a name was before.
func bannedWords(file string) *regexp.Regexp {
	words := bannedPersons
	if file != "CHANGELOG.md" {
		words += "|" + bannedNames
	}
	return regexp.MustCompile(`(?i)\b(?:` + words + `)`)
}

// wordsExcepted are the glossary, which has the old words beside the new, and this rule.
func wordsExcepted(file string) bool {
	return file == "docs/glossary.md" || file == "test/houserules/words_test.go" || strings.HasSuffix(file, ".sum")
}

// TestWords: the words of the house are plain ones, and one for each idea.
func TestWords(t *testing.T) {
	read := 0
	var lines []string
	for _, file := range files(t) {
		if wordsExcepted(file) || !textFile(file) {
			continue
		}
		banned := bannedWords(file)
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		read++
		if !banned.Match(raw) {
			continue
		}
		number := 0
		for line := range strings.Lines(string(raw)) {
			number++
			if found := banned.FindString(line); found != "" {
				lines = append(lines, fmt.Sprintf("%s:%d: %q", file, number, found))
			}
		}
	}
	if len(lines) > 0 {
		t.Errorf("%d lines have banned words; docs/glossary.md has the words of this project:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if read < 300 {
		t.Errorf("only %d files were read", read)
	}
}

// textFile reports whether people write and read a file: code, documents, configuration, scripts.
func textFile(file string) bool {
	switch path.Ext(file) {
	case ".go", ".mjs", ".md", ".yml", ".yaml", ".proto", ".sh", ".c", ".h", ".html", ".json", ".txt", ".chaos", ".service", ".conf", ".mk", ".tmpl":
		return true
	}
	switch path.Base(file) {
	case "Makefile", "Dockerfile", ".gitignore", "run", "go.mod":
		return true
	}
	return false
}

// TestBannedWordsAreFound: the rule finds what it is for, and leaves words alone that only contain a banned one.
func TestBannedWordsAreFound(t *testing.T) {
	for text, want := range map[string]bool{
		"Nobody reads this": true, "so nobody registers": true, "it is told": true, "The network goes on.": true, "type clientAffairs struct": true, "made anew": true, "http.NoBody": false,
		"a planet": false, "explanes": false, "goes on with the next": false, "is toldable": false, "renewed": false,
	} {
		if found := bannedWords("").MatchString(text); found != want {
			t.Errorf("%q: found is %v, want %v", text, found, want)
		}
	}
	log := bannedWords("CHANGELOG.md")
	if !log.MatchString("so nobody registers") || log.MatchString("LTLDiskRots is now LTLDiskCorruption") {
		t.Error("the change log has the rule of the persons, and may name old names")
	}
}
