package main

import (
	"log/slog"
	"os"
)

// roleLogger is what a long-running role logs with: one JSON line an event on standard error.
func roleLogger() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stderr, nil)) }

// quietLogger is what short commands run with: only what a person must see.
func quietLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
