#!/usr/bin/env bash
# Runs every fuzz target, one after another, for FUZZTIME each (20s by default). `make test` runs only their seeds.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-20s}
grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do
	grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/^func //' | while read -r target; do
		echo "fuzz: $(dirname "$file") $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
	done
done
