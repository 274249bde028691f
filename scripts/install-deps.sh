#!/usr/bin/env bash
# Installs what a fresh Debian machine with Go lacks for `make test`: git for the checks on the source, a C compiler, which the race
# detector links with and the device SDK in C is built with, and for that SDK mbedTLS and valgrind; promtool, which tests the alert
# rules; nginx, behind which the API is tested; Node, which runs the verifier of certificates in JavaScript; for the disk faults strace and tools for file systems; and ip and nft, with which networks are cut under test. Everything else
# comes as a Go module. Does nothing where all is there.
set -euo pipefail

missing=()
command -v git >/dev/null || missing+=(git)
command -v gcc >/dev/null || missing+=(gcc)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ -e /usr/include/mbedtls/version.h ] || missing+=(libmbedtls-dev)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v node >/dev/null || missing+=(nodejs)
command -v strace >/dev/null || missing+=(strace)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
command -v losetup >/dev/null && command -v mount >/dev/null || missing+=(mount)
command -v unshare >/dev/null && command -v prlimit >/dev/null || missing+=(util-linux)
command -v ip >/dev/null || missing+=(iproute2)
[ -e /usr/sbin/nft ] || command -v nft >/dev/null || missing+=(nftables)
promtool=
command -v promtool >/dev/null || promtool=promtool
nginx=
command -v nginx >/dev/null || nginx=nginx
[ ${#missing[@]} -gt 0 ] || [ -n "$promtool$nginx" ] || exit 0

echo "installing: ${missing[*]} $promtool $nginx"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	sudo=(sudo)
fi
"${sudo[@]}" apt-get update -q
if [ ${#missing[@]} -gt 0 ]; then
	DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
# The packages prometheus and nginx would bring a server each and start it. Of their files these alone are wanted.
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
if [ -n "$promtool" ]; then
	(cd "$unpacked" && apt-get download -q prometheus && dpkg-deb --extract prometheus_*.deb .)
	"${sudo[@]}" install -m 755 "$unpacked/usr/bin/promtool" /usr/local/bin/promtool
fi
if [ -n "$nginx" ]; then
	(cd "$unpacked" && apt-get download -q nginx && dpkg-deb --extract nginx_*.deb .)
	"${sudo[@]}" install -m 755 "$unpacked/usr/sbin/nginx" /usr/local/bin/nginx
fi
