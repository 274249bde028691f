package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
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

// emitRows prints a list: rows as JSON, or a table with a line of cells for each. columns are divided by "|".
func emitRows[Row any](cmd *cobra.Command, rows []Row, columns string, cells func(Row) []any) error {
	return emit(cmd, rows, func(w io.Writer) {
		fmt.Fprintln(w, strings.ReplaceAll(columns, "|", "\t"))
		for _, r := range rows {
			writeCells(w, cells(r)...)
		}
	})
}

// writeCells writes a line of cells for tabwriter.
func writeCells(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
}

// field is a line of what is printed of one thing: its label, and its value or values.
type field []any

// emitFields prints one thing: value as JSON, or a line for each field.
func emitFields(cmd *cobra.Command, value any, fields ...field) error {
	return emit(cmd, value, func(w io.Writer) {
		for _, f := range fields {
			writeCells(w, f...)
		}
	})
}

// emitSentence prints the outcome of a command that changed something: value as JSON, or one sentence.
func emitSentence(cmd *cobra.Command, value any, format string, args ...any) error {
	return emit(cmd, value, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}

// roleLogger is the log of a long-running role: one JSON line per event on standard error.
func roleLogger() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stderr, nil)) }

// quietLogger is the log of short commands: errors only.
func quietLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
