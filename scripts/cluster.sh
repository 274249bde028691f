#!/usr/bin/env bash
# The compose deployment: scripts/cluster.sh up|down|status|wipe|compose ARGS. The first `up` makes keys, genesis,
# accounts and chains below deploy/state; later ones continue the same ledger. NODES=4 at the first `up` adds a fourth
# node. LTL_STATE, LTL_IMAGE, LTL_HTTP1, LTL_HTTP2 and COMPOSE_PROJECT_NAME let several deployments run side by side.
set -euo pipefail
cd "$(dirname "$0")/.."

state=${LTL_STATE:-$PWD/deploy/state}
image=${LTL_IMAGE:-ltl:local}
files=(-f deploy/compose.yaml)
nodes=${NODES:-3}
[ ! -d "$state/pki/nodes/node4" ] || nodes=4
[ "$nodes" != 4 ] || files+=(-f deploy/compose.four.yaml)

# Containers run as this user, or as 65532 where that would be root; the keys belong to the same user.
uid=$(id -u) gid=$(id -g)
[ "$uid" != 0 ] || uid=65532 gid=65532
export LTL_USER=$uid:$gid LTL_STATE=$state LTL_IMAGE=$image
export LTL_HTTP1=${LTL_HTTP1:-127.0.0.1:8800} LTL_HTTP2=${LTL_HTTP2:-127.0.0.1:8801}
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-ltl}

compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose "${files[@]}" "$@"
	else
		docker-compose "${files[@]}" "$@"
	fi
}

keys() {
	[ ! -e "$state/pki/trust.json" ] || return 0
	mkdir -p "$state"
	[ "$(id -u)" != 0 ] || chown "$uid:$gid" "$state"
	chmod 0700 "$state"
	local args=()
	for i in $(seq "$nodes"); do
		args+=(--node "node$i,org$(((i - 1) % 3 + 1)),node$i:7000")
	done
	for i in 1 2 3; do
		args+=(--org "org$i,Organisation $i,endorser-org$i:7100")
	done
	docker run --rm --user "$LTL_USER" --network none --read-only -v "$state:/state" "$image" \
		pki create --dir /state/pki --network ltl-compose --facades facade1,facade2 "${args[@]}"
}

case "${1:-}" in
up)
	keys
	compose up -d
	compose run --rm operator setup --dir /state --endpoint "http://$LTL_HTTP1" --endpoint "http://$LTL_HTTP2"
	;;
down) compose down ;;
compose) compose "${@:2}" ;;
status)
	compose ps
	compose run --rm operator status --dir /state
	;;
wipe)
	compose down --volumes
	rm -rf "$state"
	;;
*)
	echo "usage: scripts/cluster.sh up|down|status|wipe|compose ARGS" >&2
	exit 2
	;;
esac
