package node

import (
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// hcLogger passes raft's log lines to slog. It is an hclog.Logger.
type hcLogger struct {
	to   *slog.Logger
	name string
	with []any
}

func newHCLog(to *slog.Logger) hclog.Logger {
	return &hcLogger{to: to.With("component", "raft"), name: "raft"}
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Info:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// Log implements hclog.Logger.
func (l *hcLogger) Log(level hclog.Level, msg string, args ...any) {
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = f[1:]
		}
	}
	l.to.Log(context.Background(), slogLevel(level), msg, args...)
}

// Trace implements hclog.Logger.
func (l *hcLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }

// Debug implements hclog.Logger.
func (l *hcLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info implements hclog.Logger.
func (l *hcLogger) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn implements hclog.Logger.
func (l *hcLogger) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error implements hclog.Logger.
func (l *hcLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *hcLogger) enabled(level slog.Level) bool { return l.to.Enabled(context.Background(), level) }

// IsTrace implements hclog.Logger.
func (l *hcLogger) IsTrace() bool { return false }

// IsDebug implements hclog.Logger.
func (l *hcLogger) IsDebug() bool { return l.enabled(slog.LevelDebug) }

// IsInfo implements hclog.Logger.
func (l *hcLogger) IsInfo() bool { return l.enabled(slog.LevelInfo) }

// IsWarn implements hclog.Logger.
func (l *hcLogger) IsWarn() bool { return l.enabled(slog.LevelWarn) }

// IsError implements hclog.Logger.
func (l *hcLogger) IsError() bool { return l.enabled(slog.LevelError) }

// ImpliedArgs implements hclog.Logger.
func (l *hcLogger) ImpliedArgs() []any { return l.with }

// With implements hclog.Logger.
func (l *hcLogger) With(args ...any) hclog.Logger {
	return &hcLogger{to: l.to.With(args...), name: l.name, with: append(append([]any(nil), l.with...), args...)}
}

// Name implements hclog.Logger.
func (l *hcLogger) Name() string { return l.name }

// Named implements hclog.Logger.
func (l *hcLogger) Named(name string) hclog.Logger { return l.ResetNamed(l.name + "." + name) }

// ResetNamed implements hclog.Logger.
func (l *hcLogger) ResetNamed(name string) hclog.Logger {
	return &hcLogger{to: l.to, name: name, with: l.with}
}

// SetLevel implements hclog.Logger. It does nothing: slog's handler decides the level.
func (l *hcLogger) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (l *hcLogger) GetLevel() hclog.Level { return hclog.Debug }

// StandardLogger implements hclog.Logger.
func (l *hcLogger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(o), "", 0)
}

// StandardWriter implements hclog.Logger.
func (l *hcLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelInfo).Writer()
}
