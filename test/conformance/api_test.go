package conformance

import "testing"

// TestAPI makes all calls to one network that the table of Actions allows and forbids.
func TestAPI(t *testing.T) {
	w := start(t)
	t.Run("Parallel", func(t *testing.T) {
		for _, part := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"Shapes", w.testShapes},
			{"Presence", w.testPresence},
			{"Bounds", w.testBounds},
			{"Roles", w.testRoles},
			{"Lists", w.testLists},
			{"Unicode", w.testUnicode},
			{"SDK", w.testSDK},
			{"ScenarioA", w.testScenarioA},
			{"ScenarioB", w.testScenarioB},
			{"Corrections", w.testCorrections},
			{"PhaseCorrections", w.testPhaseCorrections},
			{"Model", w.testModel},
			{"Example", w.testExample},
			{"Evidence", w.testEvidence},
		} {
			t.Run(part.name, func(t *testing.T) {
				t.Parallel()
				part.run(t)
			})
		}
	})
	t.Run("Codes", w.testCodes) // not in parallel: it stops an endorser for a while
}
