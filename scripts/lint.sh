#!/usr/bin/env bash
# Checks that need no test run, cheap ones first. Prints what is wrong and exits non-zero at the first kind of fault.
# `lint.sh quick` leaves out what only a change of the protos or of the module file can break.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
	echo "lint: $1" >&2
	[ $# -lt 2 ] || printf '%s\n' "$2" >&2
	exit 1
}
step() { echo "lint: $1"; }

# The working tree's own files; git is not asked to look at anything ignored.
mapfile -t go_files < <(git ls-files --cached --others --exclude-standard '*.go')
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard 'scripts/*.sh' '.ci/*')

step "shell scripts"
for script in "${scripts[@]}"; do
	bash -n "$script" || fail "$script is not a shell script"
	[ -x "$script" ] || fail "$script is not executable"
done

step "gofmt"
unformatted=$(gofmt -l "${go_files[@]}")
[ -z "$unformatted" ] || fail "run gofmt -w on:" "$unformatted"

step "loose ends"
# The brackets keep these lines from finding themselves.
loose=$(git grep -nIE '(TOD[O]|FIXM[E]|(^|[^[:alnum:]_])share[d]/)' -- ':!*.sum' || true)
[ -z "$loose" ] || fail "finish these first:" "$loose"

step "go vet"
go vet ./...

step "staticcheck"
go tool -modfile=tools/go.mod staticcheck ./...

if [ "${1:-}" = quick ]; then
	exit 0
fi

step "module file"
go mod tidy -diff || fail "run go mod tidy"

step "protos"
go tool -modfile=tools/go.mod buf lint

step "generated code"
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
go tool -modfile=tools/go.mod buf generate --output "$generated"
(cd "$generated" && find . -name '*.pb.go' | sort) >"$generated/fresh"
find ./proto -name '*.pb.go' | sort >"$generated/committed"
diff "$generated/committed" "$generated/fresh" || fail "other files are generated than are there; run make generate"
while read -r file; do
	diff "$file" "$generated/$file" || fail "$file is not what its .proto generates; run make generate"
done <"$generated/committed"
