#!/usr/bin/env bash
# Installs what a fresh Debian machine with Go lacks for `make test`: git for the checks on the source, a C compiler, which the race
# detector links with and the device SDK in C is built with, and for that SDK mbedTLS and valgrind. Everything else comes as a Go
# module. Does nothing where all is there.
set -euo pipefail

missing=()
command -v git >/dev/null || missing+=(git)
command -v gcc >/dev/null || missing+=(gcc)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ -e /usr/include/mbedtls/version.h ] || missing+=(libmbedtls-dev)
command -v valgrind >/dev/null || missing+=(valgrind)
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	sudo=(sudo)
fi
"${sudo[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
