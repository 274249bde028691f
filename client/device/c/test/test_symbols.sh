#!/bin/sh
# The library shows its public functions and nothing else, and calls nothing that allocates.
# usage: test_symbols.sh NM OBJECT "FUNCTION…"
set -eu
want=$(printf '%s\n' $3 | sort)
have=$("$1" -g --defined-only "$2" | awk 'NF == 3 {print $3}' | sort)
if [ "$want" != "$have" ]; then
	echo "$2 shows:" $have >&2
	exit 1
fi
if "$1" -u "$2" | grep -wE 'malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|strdup|mmap|sbrk|brk'; then
	echo "$2 allocates with these functions" >&2
	exit 1
fi
