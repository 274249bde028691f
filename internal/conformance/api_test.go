package conformance

import "testing"

// TestAPI calls one network in every way that the table of Actions allows and forbids.
func TestAPI(t *testing.T) {
	w := start(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Valid", w.testValid}, {"Shapes", w.testShapes}, {"Presence", w.testPresence}, {"Bounds", w.testBounds}, {"Roles", w.testRoles}, {"Codes", w.testCodes}, {"Lists", w.testLists}, {"Unicode", w.testUnicode}, {"SDK", w.testSDK}, {"ScenarioA", w.testScenarioA}, {"ScenarioB", w.testScenarioB}, {"Model", w.testModel}, {"Example", w.testExample},
	} {
		t.Run(part.name, part.run)
	}
}

// testValid: every Action works for the administrator, and for the member where it may call it.
func (w *world) testValid(t *testing.T) {
	for _, a := range w.table {
		w.wants(t, w.admin, a.Name, "valid", w.call(a, w.admin, nil), "200")
	}
}
