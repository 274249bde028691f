package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ltl/internal/rules"
)

// version is the next release; CHANGELOG.md lists its changes.
const version = "0.1.0"

// versionInfo is what `ltl version` prints. Revision and Modified are empty in a build without version control.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	// Rules is the newest version of the rules that the program knows.
	Rules uint32 `json:"rules"`
	Go    string `json:"go"`
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionInfo{Version: version, Rules: rules.Version, Go: runtime.Version()}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Revision = s.Value
					case "vcs.modified":
						v.Modified = s.Value == "true"
					}
				}
			}
			return emitFields(cmd, v, field{"ltl " + v.Version, v.Revision, fmt.Sprint("rules ", v.Rules), v.Go})
		},
	}
}
