package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// settings is what a role's configuration file may hold, as YAML. The same settings are options of the command and,
// in capitals after LTL_, variables of the environment (LTL_RULE_FILE). An option takes precedence over a variable, a
// variable over the file. Paths in the file are relative to the file.
type settings struct {
	// Trust is the path of the network's trust file.
	Trust string `yaml:"trust"`
	// Identity is the directory with the process's certificate and keys. Secrets stay in files there; they are never
	// settings.
	Identity string `yaml:"identity"`
	// Dir is the data directory, of nodes and endorsers.
	Dir string `yaml:"dir"`
	// Listen is the HOST:PORT that is served: gRPC, or the LTL API for a facade.
	Listen string `yaml:"listen"`
	// Admin is the loopback HOST:PORT of health, metrics and profiles; empty for none.
	Admin string `yaml:"admin"`
	// MetricsListen is the HOST:PORT of metrics over mutual TLS; empty for none.
	MetricsListen string `yaml:"metrics-listen"`
	// TraceEndpoint is the loopback HOST:PORT of a collector for traces; empty for none. TraceRatio is the share of
	// requests that are traced.
	TraceEndpoint string `yaml:"trace-endpoint"`
	TraceRatio    string `yaml:"trace-ratio"`
	// Rule is an endorser's own rule, a CEL expression; RuleFile is a file that holds it.
	Rule     string `yaml:"rule"`
	RuleFile string `yaml:"rule-file"`
	// ScrubInterval is the pause between two readings of the whole stored ledger, of nodes and endorsers: "1h", "30m".
	ScrubInterval string `yaml:"scrub-interval"`
	// TLSCert and TLSKey are the files of a facade's certificate of HTTPS; TrustedProxies are those whose word says who
	// calls.
	TLSCert        string `yaml:"tls-cert"`
	TLSKey         string `yaml:"tls-key"`
	TrustedProxies string `yaml:"trusted-proxies"`
	// AccountCalls, AccountRate, ChainCalls and ChainRate are a facade's bounds for one account and one chain.
	AccountCalls string `yaml:"account-calls"`
	AccountRate  string `yaml:"account-rate"`
	ChainCalls   string `yaml:"chain-calls"`
	ChainRate    string `yaml:"chain-rate"`
	// Console is whether a facade serves the web console, ConsoleHost under which names, ConsoleBehindTLS whether a proxy
	// with TLS is in front of it.
	Console          string `yaml:"console"`
	ConsoleHost      string `yaml:"console-host"`
	ConsoleBehindTLS string `yaml:"console-behind-tls"`
}

const (
	flagConfig = "config"
	flagScrub  = "scrub-interval"
)

// pathSettings are the settings that are paths, relative to the file.
func (s *settings) pathSettings() []*string {
	return []*string{&s.Trust, &s.Identity, &s.Dir, &s.RuleFile, &s.TLSCert, &s.TLSKey}
}

// values are the settings under the names of their options.
func (s *settings) values() map[string]string {
	return map[string]string{
		flagTrust: s.Trust, flagIdentity: s.Identity, flagDir: s.Dir, "listen": s.Listen, "admin": s.Admin,
		"metrics-listen": s.MetricsListen, "trace-endpoint": s.TraceEndpoint, "trace-ratio": s.TraceRatio,
		"rule": s.Rule, "rule-file": s.RuleFile, flagScrub: s.ScrubInterval,
		"tls-cert": s.TLSCert, "tls-key": s.TLSKey, "trusted-proxies": s.TrustedProxies,
		"account-calls": s.AccountCalls, "account-rate": s.AccountRate, "chain-calls": s.ChainCalls,
		"chain-rate": s.ChainRate,
		"console":    s.Console, "console-host": s.ConsoleHost, "console-behind-tls": s.ConsoleBehindTLS,
	}
}

// readSettings reads a configuration file. An unknown name is an error: otherwise a misspelt setting would have no
// effect.
func readSettings(path string) (*settings, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the file of --config: %w", err)
	}
	s := &settings{}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil && !errors.Is(err, io.EOF) { // an empty file has no settings
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range s.pathSettings() {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return s, nil
}

// configure completes the options of a role's command from the environment and from the file of --config. Its error
// names everything that is wrong, not only the first.
func configure(cmd *cobra.Command, required []string) error {
	fromFile := map[string]string{}
	var wrong []error
	if path := cmd.Flags().Lookup(flagConfig).Value.String(); path != "" {
		s, err := readSettings(path)
		if err != nil {
			return err
		}
		fromFile = s.values()
		for name, value := range fromFile {
			if value != "" && cmd.Flags().Lookup(name) == nil {
				wrong = append(wrong, fmt.Errorf("%s: %q is no setting of a %s; remove it", path, name, cmd.Name()))
			}
		}
	}
	for name := range new(settings).values() {
		f := cmd.Flags().Lookup(name)
		if f == nil || f.Changed {
			continue
		}
		value, ok := os.LookupEnv(variable(name))
		if !ok {
			value, ok = fromFile[name], fromFile[name] != ""
		}
		if !ok {
			continue
		}
		if err := cmd.Flags().Set(name, value); err != nil {
			wrong = append(wrong, fmt.Errorf("setting %q: %w", name, err))
		}
	}
	for _, name := range required {
		if cmd.Flags().Lookup(name).Value.String() == "" {
			wrong = append(wrong, fmt.Errorf("%q is missing: give --%s, %s, or %q in the file of --config",
				name, name, variable(name), name))
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// variable is the variable of the environment that holds a setting.
func variable(name string) string {
	return "LTL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
