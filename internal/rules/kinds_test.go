package rules

import (
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestKindTable: every action of transaction.proto has exactly one row, under its own name, and the row finds it. A
// device's proof is found for every action whose message has one.
func TestKindTable(t *testing.T) {
	rows := map[string]int{}
	for _, k := range kindTable {
		rows[k.name]++
	}
	fields := (&ltlv1.Transaction{}).ProtoReflect().Descriptor().Oneofs().ByName("action").Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		if rows[name] != 1 {
			t.Errorf("%s has %d rows in the table of kinds", name, rows[name])
		}
		delete(rows, name)
		tx := &ltlv1.Transaction{}
		message := tx.ProtoReflect().NewField(field)
		proof := field.Message().Fields().ByName("device")
		if proof != nil {
			message.Message().Set(proof, message.Message().NewField(proof))
		}
		tx.ProtoReflect().Set(field, message)
		if k := kindOf(tx); k == nil || k.name != name {
			t.Errorf("%s is taken for %v", name, k)
		}
		if (DeviceProofOf(tx) != nil) != (proof != nil) {
			t.Errorf("%s: its device's proof is %v", name, DeviceProofOf(tx))
		}
	}
	for name := range rows {
		t.Errorf("%s is in the table of kinds, but not in transaction.proto", name)
	}
	if kindOf(&ltlv1.Transaction{}) != nil {
		t.Error("a transaction without an action has a kind")
	}
}
