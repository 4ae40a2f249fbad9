package nixserve_test

import (
	"testing"
	"time"

	"offload-e2e/harness/nixserve"
)

// The real nix-serve logs as Plack does; a NixOS guest runs that.
func TestParseAccessOfTheRealOne(t *testing.T) {
	const line = `192.168.15.9 - - [25/Nov/2026:22:30:01 +0100] "GET /nar/0abc-9z.nar HTTP/1.1" 200 512 "-" "curl/8.16.0 Nix/2.31.2"`
	want := nixserve.Access{Time: time.Date(2026, 11, 25, 21, 30, 1, 0, time.UTC), Client: "192.168.15.9", Method: "GET", Path: "/nar/0abc-9z.nar", Status: 200, Bytes: 512}
	streamed := want
	streamed.Bytes = 0
	for name, tt := range map[string]struct {
		line string
		want nixserve.Access
		is   bool
	}{
		"as it stands":   {line, want, true},
		"journalctl":     {"Nov 25 22:30:01 desktop nix-serve[812]: " + line, want, true},
		"length unknown": {`192.168.15.9 - - [25/Nov/2026:22:30:01 +0100] "GET /nar/0abc-9z.nar HTTP/1.1" 200 - "-" "curl"`, streamed, true},
		"no month":       {`192.168.15.9 - - [25/Nvo/2026:22:30:01 +0100] "GET / HTTP/1.1" 200 1 "-" "x"`, nixserve.Access{}, false},
		"in a path":      {`10.0.0.1 - - [25/Nov/2026:22:30:01 +0100] "GET /x ` + line, nixserve.Access{}, false},
		"quoted":         {`said: "` + line + `"`, nixserve.Access{}, false},
		"start-up":       {"Starman::Server (type Net::Server::PreFork) starting! pid(812)", nixserve.Access{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, is, err := nixserve.ParseAccess(tt.line)
			if got != tt.want || is != tt.is || err != nil {
				t.Errorf("%+v, %t, %v", got, is, err)
			}
		})
	}
	if what, of := want.Resource(); what != nixserve.NAR || of != "0abc" {
		t.Errorf("it is a %s of %s", what, of)
	}
}
