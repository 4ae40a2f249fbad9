// Command nix-serve serves a machine's Nix store as a binary cache, with the
// flags and environment of Perl nix-serve under Starman, as NixOS's
// services.nix-serve runs it. It is for guests whose distribution has none.
//
// Exit status: 0 when told to stop, 1 when it cannot serve, 2 for usage.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "nix-serve: %v\n", err)
		return code
	}
	cfg, err := parseArgs(args)
	if err != nil {
		return fail(2, err)
	}
	env, err := parseEnv(getenv)
	if err != nil {
		return fail(2, err)
	}
	opts := nixserve.Options{
		StoreDir: env.storeDir,
		LogDir:   env.logDir,
		Daemon:   &daemon.Client{Socket: env.socket, StoreDir: env.storeDir},
		Workers:  cfg.workers,
		Log:      stderr,
	}
	if env.keyFile != "" {
		key, err := os.ReadFile(env.keyFile)
		if err != nil {
			return fail(1, fmt.Errorf("read the secret key: %w; NIX_SECRET_KEY_FILE must name a file that this user may read", err))
		}
		opts.SecretKey = string(key)
		if opts.SecretKey == "" {
			opts.SecretKey = "\n" // an empty file is a key that does not parse, not the absence of one
		}
	}
	var listeners []net.Listener
	for _, at := range cfg.listen {
		l, err := listen(ctx, at)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return fail(1, fmt.Errorf("listen on %s: %w", at, err))
		}
		listeners = append(listeners, l)
	}
	server := nixserve.New(opts)
	if len(cfg.ignored) > 0 {
		server.Logf("ignored arguments: %s", strings.Join(cfg.ignored, " "))
	}
	for _, l := range listeners {
		server.Logf("listening on %s", l.Addr())
	}
	if err := server.Serve(ctx, listeners...); err != nil {
		return fail(1, err)
	}
	server.Logf("stopped")
	return 0
}

func listen(ctx context.Context, at string) (net.Listener, error) {
	var lc net.ListenConfig
	if !strings.Contains(at, "/") {
		return lc.Listen(ctx, "tcp", at)
	}
	// A socket that a killed predecessor left is in the way; a file is not ours.
	if info, err := os.Lstat(at); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(at); err != nil {
			return nil, err
		}
	}
	return lc.Listen(ctx, "unix", at)
}
