package provider

import (
	"context"
	"io"
	"io/fs"
)

// Transport runs commands on a machine, on a way that no fault touches. It dials
// when it is first used, and again after Reset.
type Transport interface {
	Exec(ctx context.Context, cmd Command) (Result, error)
	CopyTo(ctx context.Context, content io.Reader, path string, mode fs.FileMode) error
	CopyFrom(ctx context.Context, path string, w io.Writer) error
	// Reset gives up the connection there is, if any: the machine at its other
	// end has lost its power or its memory.
	Reset()
	Close() error
}
