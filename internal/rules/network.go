package rules

import (
	"fmt"
	"strings"

	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// checkModifyNetwork: the policy counts organisations and names none, since only their number decides for the network.
func checkModifyNetwork(tx *ltlv1.Transaction) int32 {
	m := tx.GetModifyNetwork()
	p, err := policy.Parse(m.GetPolicy())
	if text := p.String(); err != nil || m.GetPolicy() == "" || strings.ContainsAny(text, "&(") || text == "submitter" {
		return OutOfRange
	}
	return OK
}

// modifyNetwork sets the policy of the network.
func (e *exec) modifyNetwork(act action) (int32, string, error) {
	m := act.tx.GetModifyNetwork()
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	if n.Policy != m.GetFormer() {
		return e.refuse(Conflict, fmt.Sprintf(reasonFormerPolicy, n.Policy)), "", nil
	}
	p, err := policy.Parse(m.GetPolicy())
	if err != nil || !p.Satisfiable(n.Organisations[0], n.Organisations) {
		return OutOfRange, "", nil
	}
	n.Policy = p.String()
	e.put(keyNetwork, n.encode())
	return OK, "", nil
}

func modifyNetworkObject(*ltlv1.Transaction) string { return "" }

func modifyNetworkWords(_ View, tx *ltlv1.Transaction) (string, error) {
	m := tx.GetModifyNetwork()
	return fmt.Sprintf("the policy of the network becomes %q instead of %q", m.GetPolicy(), m.GetFormer()), nil
}
