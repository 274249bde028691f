#!/usr/bin/env bash
# Builds an image without a registry: scripts/image.sh [TAG [BINARY]], by default ltl:local from bin/ltl. Two builds
# of one commit have the same layers: the files' times are fixed, and the binary is built with -trimpath.
set -euo pipefail
cd "$(dirname "$0")/.."

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir -p "$context/root/data"
cp "${2:-bin/ltl}" "$context/root/ltl"
chmod 0755 "$context/root" "$context/root/ltl"
chmod 1777 "$context/root/data"
cp deploy/Dockerfile "$context/Dockerfile"
find "$context" -exec touch -h -d @0 {} +
DOCKER_BUILDKIT=0 docker build --no-cache --quiet --tag "${1:-ltl:local}" "$context" 2>/dev/null
