package main

import (
	"slices"
	"testing"
)

func TestParseArgs(t *testing.T) {
	tests := map[string]struct {
		args    []string
		listen  []string
		workers int
		ignored []string
	}{
		"nothing":          {nil, []string{"0.0.0.0:5000"}, 5, nil},
		"as NixOS":         {[]string{"--listen", "0.0.0.0:5000"}, []string{"0.0.0.0:5000"}, 5, nil},
		"attached":         {[]string{"--listen=127.0.0.1:8080"}, []string{"127.0.0.1:8080"}, 5, nil},
		"one dash":         {[]string{"-listen", ":81"}, []string{"0.0.0.0:81"}, 5, nil},
		"port alone":       {[]string{"-l", "81"}, []string{"0.0.0.0:81"}, 5, nil},
		"host alone":       {[]string{"-l", "192.168.15.7"}, []string{"192.168.15.7:5000"}, 5, nil},
		"any":              {[]string{"-l", "*:81"}, []string{"0.0.0.0:81"}, 5, nil},
		"IPv6":             {[]string{"-l", "[::]:5000"}, []string{"[::]:5000"}, 5, nil},
		"several":          {[]string{"-l", ":1", "-l", "/run/s", "--listen", ":2"}, []string{"0.0.0.0:1", "/run/s", "0.0.0.0:2"}, 5, nil},
		"socket":           {[]string{"-S", "/run/nix-serve.sock"}, []string{"/run/nix-serve.sock"}, 5, nil},
		"host and port":    {[]string{"--host", "::1", "--port", "99"}, []string{"[::1]:99"}, 5, nil},
		"short":            {[]string{"-o", "127.0.0.1", "-p", "99"}, []string{"127.0.0.1:99"}, 5, nil},
		"workers":          {[]string{"--workers", "12"}, []string{"0.0.0.0:5000"}, 12, nil},
		"known, unused":    {[]string{"--max-requests", "9", "-E", "development", "--preload-app"}, []string{"0.0.0.0:5000"}, 5, []string{"--max-requests", "9", "-E", "development", "--preload-app"}},
		"unknown":          {[]string{"--odd", "value", "--listen", ":7", "--odder=x"}, []string{"0.0.0.0:7"}, 5, []string{"--odd", "value", "--odder=x"}},
		"end of options":   {[]string{"--", "--listen", ":7"}, []string{"0.0.0.0:5000"}, 5, []string{"--listen", ":7"}},
		"the later counts": {[]string{"-p", "1", "-p", "2"}, []string{"0.0.0.0:2"}, 5, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := parseArgs(tt.args)
			if err != nil || !slices.Equal(c.listen, tt.listen) || c.workers != tt.workers || !slices.Equal(c.ignored, tt.ignored) {
				t.Errorf("%+v, %v; want %v, %d workers, ignored %v", c, err, tt.listen, tt.workers, tt.ignored)
			}
		})
	}
}

func TestParseEnv(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want environment
	}{
		"NixOS": {map[string]string{"NIX_REMOTE": "daemon", "NIX_SECRET_KEY_FILE": "/run/credentials/nix-serve.service/NIX_SECRET_KEY_FILE"},
			environment{"/run/credentials/nix-serve.service/NIX_SECRET_KEY_FILE", "/nix/store", "/nix/var/log/nix", "/nix/var/nix/daemon-socket/socket"}},
		"nothing":      {nil, environment{"", "/nix/store", "/nix/var/log/nix", "/nix/var/nix/daemon-socket/socket"}},
		"state":        {map[string]string{"NIX_STATE_DIR": "/s"}, environment{"", "/nix/store", "/nix/var/log/nix", "/s/daemon-socket/socket"}},
		"socket":       {map[string]string{"NIX_STATE_DIR": "/s", "NIX_DAEMON_SOCKET_PATH": "/x"}, environment{"", "/nix/store", "/nix/var/log/nix", "/x"}},
		"remote":       {map[string]string{"NIX_REMOTE": "unix:///y?root=/z", "NIX_DAEMON_SOCKET_PATH": "/x"}, environment{"", "/nix/store", "/nix/var/log/nix", "/y"}},
		"store, logs":  {map[string]string{"NIX_STORE_DIR": "/st", "NIX_LOG_DIR": "/lo"}, environment{"", "/st", "/lo", "/nix/var/nix/daemon-socket/socket"}},
		"empty remote": {map[string]string{"NIX_REMOTE": "unix://"}, environment{"", "/nix/store", "/nix/var/log/nix", "/nix/var/nix/daemon-socket/socket"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseEnv(func(name string) string { return tt.env[name] })
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}
