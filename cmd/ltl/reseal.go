package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxReseals bounds the passes over all AccessKeys: others may make some meanwhile.
const maxReseals = 10

// resealResult is what `ltl account key reseal` prints.
type resealResult struct {
	// Resealed counts the AccessKeys that were sealed anew; Facades are the directories that got the key.
	Resealed int      `json:"resealed"`
	Facades  []string `json:"facades"`
	Prepared bool     `json:"prepared"`
}

func newKeyReseal() *cobra.Command {
	var facades []string
	var prepare bool
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Replace the key under which AccessKeys are sealed, and seal all anew",
		Long: `Makes a new sealing key, puts it into the directories of all facades, which take it without a restart, seals every AccessKey under it, and makes it
the one that new AccessKeys are sealed under. Secrets and callers stay as they are, and nothing is interrupted. The former key stays beside as
sealing-FINGERPRINT.key, since backups are sealed under it; delete it when none is left.

Facades on other machines: run it with --prepare first, copy sealing.key.next from the operator's directory into each facade's directory as
sealing-next.key, and run it again without. An interrupted run goes on where it was. Do not switch AccessKeys off or on meanwhile.

Who had the former key and a copy of a node's disk knows the secrets: then replace the AccessKeys, too.`,
		Example: `  ltl account key reseal --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if len(facades) == 0 {
					found, err := filepath.Glob(filepath.Join(con.pki(), "facades", "*"))
					if err != nil {
						return err
					}
					facades = found
				}
				result, err := reseal(cmd.Context(), c, con.identity, facades, prepare)
				if err != nil {
					return err
				}
				return emit(cmd, result, func(w io.Writer) {
					if result.Prepared {
						fmt.Fprintf(w, "the next sealing key is ready for the facades: %s\n", filepath.Join(con.identity, "sealing.key.next"))
						return
					}
					fmt.Fprintf(w, "%d AccessKeys sealed under the new key, which %d facades have\n", result.Resealed, len(result.Facades))
				})
			})
		},
	}
	cmd.Flags().StringArrayVar(&facades, "facade-dir", nil, "directory with a facade's sealing.key; once each; by default those of facades/ beside the trust file")
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only make the next key and hand it out")
	return cmd
}

// reseal replaces the sealing key of the operator's directory own and of the facades' directories.
func reseal(ctx context.Context, c *client.Client, own string, facades []string, prepare bool) (*resealResult, error) {
	next, err := identity.NextSealingKey(own)
	if err != nil {
		return nil, err
	}
	result := &resealResult{Facades: facades, Prepared: prepare}
	if result.Facades == nil {
		result.Facades = []string{}
	}
	for _, dir := range facades {
		if err := identity.AddSealingKey(dir, next); err != nil {
			return nil, fmt.Errorf("facade's directory: %w", err)
		}
	}
	if prepare {
		return result, nil
	}
	former, err := identity.LoadSealingKeys(own)
	if err != nil {
		return nil, err
	}
	keys := append([][]byte{next}, former...)
	for range maxReseals {
		n, err := resealOnce(ctx, c, keys)
		result.Resealed += n
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		for _, dir := range append([]string{own}, facades...) {
			if err := identity.PromoteSealingKey(dir, next); err != nil {
				return nil, err
			}
		}
		return result, nil
	}
	return nil, errors.New("others go on making AccessKeys under the former key; run it again when they are done")
}

// resealOnce seals every AccessKey under the first key that is not yet, and counts them.
func resealOnce(ctx context.Context, c *client.Client, keys [][]byte) (int, error) {
	all, err := accessKeys(ctx, c)
	if err != nil {
		return 0, err
	}
	n := 0
	for id, k := range all {
		secret, at, err := identity.UnsealAny(keys, id, k.GetSealed())
		if err != nil {
			return n, fmt.Errorf("AccessKey %s of account %s opens under no key of this directory; disable it and give the account another: %w", id, k.GetAccountUid(), err)
		}
		if at == 0 {
			continue
		}
		sealed, err := identity.Seal(keys[0], id, secret)
		if err != nil {
			return n, err
		}
		if _, err := c.PutAccessKey(ctx, &ltlv1.AccessKey{AccessKeyId: id, AccountUid: k.GetAccountUid(), Sealed: sealed, Disabled: k.GetDisabled()}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
