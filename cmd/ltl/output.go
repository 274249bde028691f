package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const (
	flagOutput  = "output"
	outputJSON  = "json"
	outputTable = "table"
)

// checkOutput refuses an unknown --output before anything is done.
func checkOutput(cmd *cobra.Command, _ []string) error {
	format, err := cmd.Flags().GetString(flagOutput)
	if err != nil {
		return err
	}
	if format != outputJSON && format != outputTable {
		return fmt.Errorf("--output is %q; it can be json or table", format)
	}
	return nil
}

// emit prints a result: value as JSON, or what table writes, columns divided by tabs.
func emit(cmd *cobra.Command, value any, table func(w io.Writer)) error {
	if format, _ := cmd.Flags().GetString(flagOutput); format == outputJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}
