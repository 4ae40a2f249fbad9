package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/daemon"
)

// Starman listens there when it is told nothing.
const (
	defaultHost = "0.0.0.0"
	defaultPort = "5000"
)

// config is what a command line and an environment say.
type config struct {
	listen  []string // host:port, or the path of a unix socket
	workers int
	ignored []string // arguments that mean nothing here
}

// takesValue are the options of starman(1) and plackup(1) that a value follows.
// All others are switches, or unknown; what follows those without a dash is
// ignored with them. One dash does for two, as Perl's Getopt::Long has it.
var takesValue = set("listen", "l", "port", "p", "host", "o", "workers",
	"backlog", "max-requests", "user", "group", "pid", "error-log", "access-log",
	"keepalive-timeout", "read-timeout", "timeout", "proctitle", "net_server", "net_server-ca_file",
	"socket", "S", "server", "s", "env", "E", "loader", "L", "app", "a", "e", "I", "M", "R",
	"path", "ssl_cert", "ssl-cert", "ssl_key", "ssl-key")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

// parseArgs reads starman's options, as nix-serve passes its own on to it.
// What it does not know is ignored, and reported in config.ignored.
func parseArgs(args []string) (config, error) {
	c := config{workers: nixserve.DefaultWorkers}
	host, port := defaultHost, defaultPort
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			c.ignored = append(c.ignored, arg) // an application for starman, or an unknown option's value
			continue
		}
		if arg == "--" {
			c.ignored = append(c.ignored, args[i+1:]...)
			break
		}
		name, value, attached := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !takesValue[name] {
			c.ignored = append(c.ignored, arg)
			continue
		}
		if !attached {
			if i+1 == len(args) {
				return c, fmt.Errorf("option %s needs a value", arg)
			}
			i++
			value = args[i]
		}
		switch name {
		case "listen", "l":
			c.listen = append(c.listen, value)
		case "socket", "S":
			c.listen = append(c.listen, value)
		case "port", "p":
			port = value
		case "host", "o":
			host = value
		case "workers":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return c, fmt.Errorf("option --workers: %q is not a number above 0", value)
			}
			c.workers = n
		default:
			c.ignored = append(c.ignored, arg)
			if !attached {
				c.ignored = append(c.ignored, value)
			}
		}
	}
	if len(c.listen) == 0 {
		c.listen = []string{net.JoinHostPort(host, port)}
	}
	for i, at := range c.listen {
		address, err := listenAddress(at)
		if err != nil {
			return c, err
		}
		c.listen[i] = address
	}
	return c, nil
}

// listenAddress completes "host:port", ":port", "port", "[::1]:port" and
// "host"; what has a slash is a unix socket.
func listenAddress(at string) (string, error) {
	if strings.Contains(at, "/") {
		return at, nil
	}
	host, port := at, defaultPort
	if h, p, err := net.SplitHostPort(at); err == nil {
		host, port = h, p
	} else if _, err := strconv.Atoi(at); err == nil {
		host, port = "", at
	}
	if host == "" || host == "*" {
		host = defaultHost
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", fmt.Errorf("option --listen %s: port %q is not a number from 0 to 65535", at, port)
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port), nil
}

// environment is what Nix, and nix-serve, take from the environment.
type environment struct {
	keyFile, storeDir, logDir, socket string
}

// parseEnv reads NIX_SECRET_KEY_FILE, NIX_REMOTE, and where the store is:
// NIX_STORE_DIR, NIX_STATE_DIR, NIX_LOG_DIR, NIX_DAEMON_SOCKET_PATH, as
// nix-env(1) has them. NIX_REMOTE may be daemon, unix://<socket>, or not set.
func parseEnv(get func(string) string) (environment, error) {
	or := func(name, otherwise string) string {
		if value := get(name); value != "" {
			return value
		}
		return otherwise
	}
	e := environment{
		keyFile:  get("NIX_SECRET_KEY_FILE"),
		storeDir: or("NIX_STORE_DIR", daemon.DefaultStoreDir),
		logDir:   or("NIX_LOG_DIR", "/nix/var/log/nix"),
		socket:   or("NIX_DAEMON_SOCKET_PATH", or("NIX_STATE_DIR", "/nix/var/nix")+"/daemon-socket/socket"),
	}
	remote := get("NIX_REMOTE")
	socket, isSocket := strings.CutPrefix(remote, "unix://")
	switch {
	case remote == "" || remote == "daemon" || remote == "auto" || isSocket && socket == "":
	case isSocket:
		e.socket, _, _ = strings.Cut(socket, "?")
	default:
		return e, fmt.Errorf("NIX_REMOTE=%s: this nix-serve speaks to a nix daemon only: set it to daemon, or to unix://<socket>", remote)
	}
	return e, nil
}
