#!/usr/bin/env bash
# Makes the keys and the genesis of the network of deploy/kubernetes in its directory pki/, with the program $LTL
# (bin/ltl by default). Nodes have the names of their pods, because each pod picks its keys by its name.
set -euo pipefail
cd "$(dirname "$0")"

ltl=${LTL:-../../bin/ltl}
args=()
for i in 0 1 2; do
	args+=(--node "node-$i,org$((i + 1)),node-$i.node.ltl-nodes.svc.cluster.local:7000")
done
for i in 1 2 3; do
	args+=(--org "org$i,Organisation $i,endorser.ltl-org$i.svc.cluster.local:7100")
done
"$ltl" pki create --dir pki --network ltl-kubernetes "${args[@]}"
for i in 0 1 2; do
	"$ltl" pki metrics --ca "pki/orgs/org$((i + 1))" --out "pki/nodes/node-$i"
	"$ltl" pki metrics --ca "pki/orgs/org$((i + 1))" --out "pki/orgs/org$((i + 1))/endorser"
done
"$ltl" pki metrics --ca pki/orgs/org1 --out pki/facades/facade1
