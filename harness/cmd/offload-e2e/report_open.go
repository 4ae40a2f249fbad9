package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
)

func newReportOpenCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use:   "open [run]",
		Short: "Open the page of a run in the browser",
		Long:  `Open index.html of the last run, or of another, in the browser. Where there is none, its address is printed.`,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := findReport(report.Layout{Root: p.reports()}, args)
			if err != nil {
				return err
			}
			page := filepath.Join(dir, report.HTMLFile)
			if _, err := os.Stat(page); err != nil {
				return &userError{Heading: "This run has no page", Sentence: err.Error(), WayOut: "It was made by an older harness: run again.", Exit: exitUsage, Cause: err}
			}
			fmt.Fprintln(c.OutOrStdout(), (&url.URL{Scheme: "file", Path: page}).String())
			return openBrowser(c.Context(), os.Getenv, page)
		},
	}
}

// openBrowser shows a page where there is somebody to see it; without a desktop
// nothing is done.
func openBrowser(ctx context.Context, getenv func(string) string, page string) error {
	opener := getenv("BROWSER")
	if opener == "" {
		if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
			return nil
		}
		opener = "xdg-open"
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, opener, page).CombinedOutput(); err != nil {
		return &userError{Heading: "The browser does not open", Sentence: fmt.Sprintf("%s: %v %s", opener, err, out), WayOut: "Open " + page + " by hand."}
	}
	return nil
}

func newReportServeCommand(p *paths) *cobra.Command {
	port := 0
	c := &cobra.Command{
		Use:   "serve [run]",
		Short: "Serve a run's folder to this machine's browser, until interrupted",
		Long: `Serve the folder of the last run, or of another, over HTTP on the loopback
interface alone, until interrupted: for a machine that one is logged into
(ssh -L 8000:localhost:8000). What was captured may hold secrets; nobody else
is served.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := findReport(report.Layout{Root: p.reports()}, args)
			if err != nil {
				return err
			}
			release, err := report.Hold(dir)
			if err != nil {
				return err
			}
			defer release()
			return serve(c.Context(), dir, port, c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&port, "port", 8000, "the port; 0 takes a free one")
	return c
}

// serve serves a folder on the loopback interface until ctx ends.
func serve(ctx context.Context, dir string, port int, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return &userError{Heading: "The port cannot be used", Sentence: err.Error(), WayOut: "Name another: --port 8001, or --port 0 for a free one.", Exit: exitUsage, Cause: err}
	}
	server := &http.Server{Handler: loopbackOnly(http.FileServer(http.Dir(dir))), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	fmt.Fprintf(out, "http://localhost:%d/ until interrupted\n", listener.Addr().(*net.TCPAddr).Port)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// loopbackOnly refuses names that a page elsewhere could have made to point here.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != "localhost" && host != "127.0.0.1" {
			http.Error(w, "this is served to localhost only", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
