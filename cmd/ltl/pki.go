package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
)

// newPKI makes `ltl pki`. Its commands only write files: they need no network, and no key leaves the machine that
// makes it.
func newPKI() *cobra.Command {
	cmd := &cobra.Command{Use: "pki", Short: "Make a network's keys, certificates and genesis"}
	cmd.AddCommand(newPKICreate(), newPKIOrganisation(), newPKIIssue(), newPKIRenew(), newPKIDeviceKey(), newPKIMetrics(),
		newPKITransferKey(), newPKIImportSealing())
	return cmd
}

// pkiResult is what `ltl pki create` prints.
type pkiResult struct {
	Trust     string `json:"trust"`
	NetworkID string `json:"networkId"`
}

func newPKICreate() *cobra.Command {
	var spec identity.NetworkSpec
	var dir string
	var organisations, nodes []string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make the keys and the genesis of a new network",
		Example: `  ltl pki create --dir pki --network example \
    --org "org1,First Ltd,endorser1.example:7101" --org "org2,Second Ltd,endorser2.example:7101" \
    --node "node1,org1,node1.example:7000" --node "node2,org2,node2.example:7000" --node "node3,org1,node3.example:7000"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := parseSpec(&spec, organisations, nodes); err != nil {
				return err
			}
			if err := identity.CreateNetwork(dir, spec); err != nil {
				return err
			}
			path := filepath.Join(dir, "trust.json")
			trust, err := identity.LoadTrust(path)
			if err != nil {
				return err
			}
			id := trust.NetworkID()
			result := pkiResult{Trust: path, NetworkID: fmt.Sprintf("%x", id[:])}
			return emitFields(cmd, result, field{"trust file", result.Trust}, field{"network id", result.NetworkID})
		},
	}
	cmd.Flags().StringVar(&dir, flagDir, "pki", "directory to make; it must not hold a network yet")
	cmd.Flags().StringVar(&spec.Network, "network", "ltl", "name of the network")
	cmd.Flags().StringArrayVar(&organisations, "org", nil, `organisation as "ID,NAME,HOST:PORT of its endorser"; once each`)
	cmd.Flags().StringArrayVar(&nodes, "node", nil, `node as "ID,ORGANISATION,HOST:PORT"; once each`)
	cmd.Flags().StringSliceVar(&spec.Facades, "facades", []string{"facade1"},
		"names of the facades, all of the first organisation")
	return cmd
}

// parseSpec reads the values of --org and --node. Names cannot contain commas, so that splitting is unambiguous.
func parseSpec(spec *identity.NetworkSpec, organisations, nodes []string) error {
	for _, o := range organisations {
		parts := strings.Split(o, ",")
		if len(parts) != 3 {
			return fmt.Errorf(`--org %q is not "ID,NAME,HOST:PORT", as in "org1,First Ltd,endorser1.example:7101"`, o)
		}
		spec.Organisations = append(spec.Organisations,
			identity.OrgSpec{ID: parts[0], Name: parts[1], EndorserAddress: parts[2]})
	}
	for _, n := range nodes {
		parts := strings.Split(n, ",")
		if len(parts) != 3 {
			return fmt.Errorf(`--node %q is not "ID,ORGANISATION,HOST:PORT", as in "node1,org1,node1.example:7000"`, n)
		}
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{ID: parts[0], Organisation: parts[1], Address: parts[2]})
	}
	return nil
}

func newPKIOrganisation() *cobra.Command {
	var spec identity.OrgSpec
	var dir, trustPath string
	cmd := &cobra.Command{
		Use:   "organisation ID",
		Short: "Make the keys of an organisation that joins a running network",
		Long: `Makes an organisation's certificate authority and its endorser's keys in DIR/orgs/ID, and describes it in
organisation.json there, which holds no secret. Hand that file to an operator of the network, who adds the
organisation with ltl org add. The authority signs that it is the organisation's in the network of the trust file, so
that no other organisation can enter it first, and the file is good for that network only.`,
		Example: `  ltl pki organisation org4 --trust trust.json --dir pki --name "Fourth Ltd" --endorser endorser4.example:7101`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.ID = args[0]
			trust, err := identity.LoadTrust(trustPath)
			if err != nil {
				return err
			}
			invited, err := identity.CreateOrganisation(dir, trust.NetworkID(), spec, time.Now())
			if err != nil {
				return err
			}
			o := invited.GetOrganisation()
			own := filepath.Join(dir, "orgs", o.GetId())
			result := map[string]string{
				"directory": own, "file": filepath.Join(own, identity.OrganisationFile), "endorserKey": fmt.Sprintf("%x",
					o.GetEndorserKey()),
			}
			return emitFields(cmd, result, field{"keys", own}, field{"for `ltl org add`", result["file"]},
				field{"endorser key", result["endorserKey"]})
		},
	}
	cmd.Flags().StringVar(&dir, flagDir, "pki", "directory to make them in")
	cmd.Flags().StringVar(&spec.Name, "name", "", "the name that people read, in endorsementNames too (required)")
	cmd.Flags().StringVar(&spec.EndorserAddress, "endorser", "", "HOST:PORT of its endorser (required)")
	cmd.Flags().StringVar(&trustPath, flagTrust, "", "trust file of the network that it joins (required)")
	mustRequire(cmd, "name", "endorser", flagTrust)
	return cmd
}

// newPKIIssue makes `ltl pki issue`. A node also gets the key with which it signs; the keys of endorsers are made with
// their organisation.
func newPKIIssue() *cobra.Command {
	var authority, out string
	cmd := &cobra.Command{
		Use:   "issue ORGANISATION/ROLE/NAME",
		Short: "Issue a certificate under an organisation's authority; for a node also its signing key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := identity.Parse(args[0])
			if err != nil {
				return err
			}
			if err := identity.Issue(authority, out, id, time.Now()); err != nil {
				return err
			}
			if id.Role == identity.RoleNode {
				if _, err := identity.CreateFirstSignKey(out); err != nil {
					return err
				}
			}
			result := map[string]string{"identity": id.String(), "directory": out}
			return emitSentence(cmd, result, "certificate of %s in %s", id, out)
		},
	}
	cmd.Flags().StringVar(&authority, "ca", "", "directory with the organisation's ca.pem and ca.key (required)")
	cmd.Flags().StringVar(&out, "out", "", "directory to write tls.pem and tls.key into (required)")
	mustRequire(cmd, "ca", "out")
	return cmd
}

func newPKIRenew() *cobra.Command {
	var authority string
	var newKey bool
	cmd := &cobra.Command{
		Use:   "renew DIRECTORY…",
		Short: "Renew the certificates in directories of processes or people, for the same identities",
		Long: `Replaces tls.pem in each directory by a certificate for the same identity and the same key, under the
authority of --ca, even when the former certificate has expired. A running process notices within a second and uses
it for new connections; nothing is restarted. With --new-key the key is replaced too. Do that when the key was
stolen: keep a copy of the former tls.pem, and revoke it afterwards with ltl cert revoke --key-only.`,
		Example: `  ltl pki renew nodes/node1 facades/facade1 --ca orgs/org1`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			renew := identity.Renew
			if newKey {
				renew = identity.Rekey
			}
			rows := []certRow{}
			for _, dir := range args {
				if err := renew(authority, dir, time.Now()); err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				row, err := readCert(dir)
				if err != nil {
					return err
				}
				rows = append(rows, *row)
			}
			return emitRows(cmd, rows, "IDENTITY|EXPIRES|KEY (SHA-256)", func(r certRow) []any {
				return []any{r.Identity, formatTime(*r.Expires), r.KeyHash}
			})
		},
	}
	cmd.Flags().StringVar(&authority, "ca", "", "directory with the organisation's ca.pem and ca.key (required)")
	cmd.Flags().BoolVar(&newKey, "new-key", false, "make a new key too")
	mustRequire(cmd, "ca")
	return cmd
}

func newPKIDeviceKey() *cobra.Command {
	return &cobra.Command{
		Use:   "renew-device-key DIRECTORY",
		Short: "Replace the key with which an endorser seals its devices' AES keys",
		Long: `Makes a new key in the endorser's directory, devices.key.next. The running endorser, or the next one that
starts, seals its devices' keys with it and renames it to devices.key, within seconds. An earlier backup of
devices.sealed needs the former devices.key: keep a copy of it with the backup.`,
		Example: `  ltl pki renew-device-key orgs/org2/endorser`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			own, err := identity.ReadCertificate(args[0])
			if err != nil {
				return err
			}
			if own.Identity.Role != identity.RoleEndorser {
				return fmt.Errorf("%s is the directory of %s; give an endorser's directory", args[0], own.Identity)
			}
			path, err := identity.NextDeviceKey(args[0])
			if err != nil {
				return err
			}
			return emitSentence(cmd, map[string]string{"key": path}, "%s: the running endorser loads it within seconds", path)
		},
	}
}

func newPKIMetrics() *cobra.Command {
	var authority, out string
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Issue a certificate with which a process serves its metrics to the monitoring of its organisation",
		Long: `Writes metrics.pem and metrics.key into a process's directory of keys, for its option --metrics-listen. The
certificate is no identity of the network. Its name is ORGANISATION.metrics.ltl: configure it as the server name in
the monitoring.`,
		Example: `  ltl pki metrics --ca pki/orgs/org1 --out pki/nodes/node1`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := identity.IssueMetrics(authority, out, time.Now()); err != nil {
				return err
			}
			return emitSentence(cmd, map[string]string{"directory": out}, "certificate for metrics in %s", out)
		},
	}
	cmd.Flags().StringVar(&authority, "ca", "", "directory with the organisation's ca.pem and ca.key (required)")
	cmd.Flags().StringVar(&out, "out", "", "directory of the process's keys (required)")
	mustRequire(cmd, "ca", "out")
	return cmd
}
