// Command switch-to-configuration runs inside an embedded guest, as root: it reads
// a Configuration as JSON from standard input and makes the machine what it says,
// as NixOS's program of that name does. Its result is JSON on standard output.
//
//	switch-to-configuration switch <configuration.json
//	switch-to-configuration boot      (at boot: activate the current generation)
//
// Exit status: 0, or 4 where units failed, 1 where a part could not be done, 2 for
// usage and a configuration that NixOS would not build.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	s := &activate.Switcher{Settle: 2 * time.Second, Say: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	switch {
	case len(args) == 1 && args[0] == "switch":
		c := &nixos.Configuration{}
		if err := json.NewDecoder(os.Stdin).Decode(c); err != nil {
			fmt.Fprintf(os.Stderr, "switch-to-configuration: read the configuration: %v\n", err)
			return 2
		}
		result, err := s.Switch(ctx, c)
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", " ")
		if e := enc.Encode(result); e != nil {
			err = errors.Join(err, e)
		}
		switch {
		case errors.Is(err, activate.ErrAssertions):
			fmt.Fprintln(os.Stderr, err)
			return 2
		case err != nil:
			fmt.Fprintf(os.Stderr, "switch-to-configuration: %v\n", err)
			return 1
		case len(result.Failed) > 0:
			return 4
		}
		return 0
	case len(args) == 1 && args[0] == "boot":
		if err := s.Boot(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "switch-to-configuration: %v\n", err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "usage: switch-to-configuration switch <configuration.json | switch-to-configuration boot")
	return 2
}
