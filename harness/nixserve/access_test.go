package nixserve_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/nixserve"
)

var sample = nixserve.Access{
	Time:   time.Date(2025, 1, 31, 10, 0, 0, 123e6, time.UTC),
	Client: "192.168.15.9", Method: "GET", Path: "/0123.narinfo",
	Status: 200, Bytes: 512, Duration: 12300 * time.Microsecond,
}

// The line is an interface: what reads journals depends on it.
const sampleLine = "access time=2025-01-31T10:00:00.123Z client=192.168.15.9 method=GET path=/0123.narinfo status=200 bytes=512 duration=12.3ms"

func TestAccessLine(t *testing.T) {
	if got := sample.String(); got != sampleLine {
		t.Errorf("line %q", got)
	}
	aborted := sample
	aborted.Aborted = true
	if got := aborted.String(); got != sampleLine+" aborted=true" {
		t.Errorf("line %q", got)
	}
}

func TestParseAccess(t *testing.T) {
	changed := func(change func(*nixserve.Access)) nixserve.Access {
		a := sample
		change(&a)
		return a
	}
	tests := map[string]struct {
		line string
		is   bool
		want nixserve.Access
		bad  bool
	}{
		"as it stands":      {sampleLine, true, sample, false},
		"journal, short":    {"Jan 31 10:00:00 desktop nix-serve[4711]: " + sampleLine + "\n", true, sample, false},
		"journal, early":    {"Jan  1 10:00:00 desktop nix-serve[4711]: " + sampleLine, true, sample, false},
		"journal, ISO":      {"2025-01-31T10:00:00+0000 desktop nix-serve[4711]: " + sampleLine + "\r\n", true, sample, false},
		"journal, precise":  {"2025-01-31T10:00:00.123456+00:00 desktop nix-serve[4711]: " + sampleLine, true, sample, false},
		"a field more":      {sampleLine + ` agent="curl Nix/2.26"`, true, sample, false},
		"aborted":           {sampleLine + " aborted=true", true, changed(func(a *nixserve.Access) { a.Aborted = true }), false},
		"quoted path":       {strings.Replace(sampleLine, "/0123.narinfo", `"/a b\n\"c\""`, 1), true, changed(func(a *nixserve.Access) { a.Path = "/a b\n\"c\"" }), false},
		"another line":      {"listening on 0.0.0.0:5000", false, nixserve.Access{}, false},
		"nothing":           {"", false, nixserve.Access{}, false},
		"an error line":     {`error client=1.2.3.4 path="/x access time=1" reason="y"`, false, nixserve.Access{}, false},
		"smuggled":          {`error reason="]: ` + sampleLine + `"`, false, nixserve.Access{}, false},
		"smuggled by name":  {"Jan 31 10:00:00 desktop other[1]: error x nix-serve[2]: " + sampleLine, false, nixserve.Access{}, false},
		"cut":               {sampleLine[:60], true, nixserve.Access{}, true},
		"open quote":        {strings.Replace(sampleLine, "/0123.narinfo", `"/a`, 1), true, nixserve.Access{}, true},
		"glued to a quote":  {strings.Replace(sampleLine, "/0123.narinfo", `"/a"b`, 1), true, nixserve.Access{}, true},
		"given twice":       {sampleLine + " status=404", true, nixserve.Access{}, true},
		"status no number":  {strings.Replace(sampleLine, "200", "OK", 1), true, nixserve.Access{}, true},
		"bytes no number":   {strings.Replace(sampleLine, "bytes=512", "bytes=many", 1), true, nixserve.Access{}, true},
		"duration no time":  {strings.Replace(sampleLine, "12.3ms", "12.3", 1), true, nixserve.Access{}, true},
		"time is no time":   {strings.Replace(sampleLine, "2025-", "20x5-", 1), true, nixserve.Access{}, true},
		"words, not values": {"access denied", true, nixserve.Access{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, is, err := nixserve.ParseAccess(tt.line)
			if is != tt.is || (err != nil) != tt.bad || err == nil && got != tt.want {
				t.Errorf("%+v, %t, %v", got, is, err)
			}
			if err != nil && !errors.Is(err, nixserve.ErrLogLine) {
				t.Errorf("error %v is not ErrLogLine", err)
			}
		})
	}
}

func TestParseAccessLog(t *testing.T) {
	got, err := nixserve.ParseAccessLog(strings.NewReader("listening\n" + sampleLine + "\naccess cut\n" + sampleLine[:70] + "\n" + sampleLine))
	if !slices.Equal(got, []nixserve.Access{sample, sample}) {
		t.Errorf("requests %+v", got)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "2 bad lines") || !strings.Contains(err.Error(), "access cut") {
		t.Errorf("error %v", err)
	}
	if got, err := nixserve.ParseAccessLog(strings.NewReader("")); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestResource(t *testing.T) {
	for path, want := range map[string][2]string{
		"/nix-cache-info":        {"nix-cache-info", ""},
		"/0abc.narinfo":          {"narinfo", "0abc"},
		"/0abc.narinfo?x=1":      {"narinfo", "0abc"},
		"/nar/0abc-9z.nar":       {"nar", "0abc"},
		"/nar/0abc.nar":          {"nar", "0abc"},
		"/nar/0abc.nar.xz":       {"other", ""},
		"/log/0abc-x-1.2.drv":    {"log", "0abc-x-1.2.drv"},
		"/":                      {"other", ""},
		"/x/../0abc.narinfo":     {"other", ""},
		"/nar/../../etc/passwd":  {"other", ""},
		"/0ABC.narinfo":          {"other", ""},
		"/nar/0abc-9z.nar/extra": {"other", ""},
	} {
		if kind, hash := (nixserve.Access{Path: path}).Resource(); string(kind) != want[0] || hash != want[1] {
			t.Errorf("%s: %s %q", path, kind, hash)
		}
	}
}

// What is written is read back as it was, whatever a client sends.
func FuzzAccess(f *testing.F) {
	f.Add("192.168.15.9", "GET", "/x.narinfo", 200, int64(5), int64(12345), false)
	f.Add("unix", "A B", "/\" status=1 ]: access time=1\n\x00\xff", -1, int64(-5), int64(0), true)
	f.Add("", "", "", 0, int64(0), int64(-1), true)
	f.Fuzz(func(t *testing.T, client, method, path string, status int, bytes, duration int64, aborted bool) {
		want := nixserve.Access{Time: sample.Time, Client: client, Method: method, Path: path, Status: status,
			Bytes: bytes, Duration: time.Duration(duration), Aborted: aborted}
		line := want.String()
		if strings.ContainsAny(line, "\n\r") {
			t.Fatalf("a request makes more than a line: %q", line)
		}
		for _, prefix := range []string{"", "Jan 31 10:00:00 desktop nix-serve[4711]: "} {
			got, is, err := nixserve.ParseAccess(prefix + line)
			if !is || err != nil || got != want {
				t.Errorf("%q\nread as %+v, %t, %v\nwas     %+v", line, got, is, err, want)
			}
		}
	})
}

// Lines of anybody: no panic, and what parses is written the same again.
func FuzzParseAccessLog(f *testing.F) {
	f.Add(sampleLine)
	f.Add("Jan 31 10:00:00 desktop nix-serve[4711]: " + sampleLine + "\nother\n" + sampleLine[:50])
	f.Add(`access time="\u00e9" client=`)
	f.Fuzz(func(t *testing.T, log string) {
		list, _ := nixserve.ParseAccessLog(strings.NewReader(log))
		for _, a := range list {
			a.Time = a.Time.Truncate(time.Millisecond)
			again, is, err := nixserve.ParseAccess(a.String())
			if year := a.Time.Year(); year < 0 || year > 9999 {
				continue // RFC 3339 has none of these
			}
			if !is || err != nil || again != a {
				t.Errorf("%+v is written as %q, and read as %+v, %v", a, a.String(), again, err)
			}
		}
	})
}

func TestRecorded(t *testing.T) {
	tests := map[string]struct {
		method  string
		handler http.HandlerFunc
		want    nixserve.Access
	}{
		"an answer":   {"GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("four")) }, nixserve.Access{Status: 200, Bytes: 4}},
		"no body":     {"GET", func(http.ResponseWriter, *http.Request) {}, nixserve.Access{Status: 200}},
		"a status":    {"POST", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, nixserve.Access{Status: 404}},
		"head":        {"HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("four")) }, nixserve.Access{Status: 200}},
		"status once": {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.WriteHeader(200) }, nixserve.Access{Status: 500}},
		"aborted": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("four"))
			panic(http.ErrAbortHandler)
		}, nixserve.Access{Status: 200, Bytes: 4, Aborted: true}},
		"aborted early": {"GET", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nixserve.Access{Status: 200, Aborted: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got nixserve.Access
			h := nixserve.Recorded(tt.handler, time.Minute, func(a nixserve.Access) { got = a })
			func() {
				defer func() {
					if r := recover(); r != nil && r != any(http.ErrAbortHandler) {
						panic(r)
					}
				}()
				r := httptest.NewRequest(tt.method, "/"+strings.Repeat("p", 5000)+"?q", nil)
				r.RemoteAddr = "[fe80::1]:99"
				h.ServeHTTP(httptest.NewRecorder(), r)
			}()
			if got.Status != tt.want.Status || got.Bytes != tt.want.Bytes || got.Aborted != tt.want.Aborted ||
				got.Method != tt.method || got.Client != "fe80::1" || len(got.Path) != 2048 || time.Since(got.Time) > time.Minute {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}
