package nixserve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Access is one answered request. Its line in the log is
//
//	access time=2025-01-31T10:00:00.123Z client=192.168.15.9 method=GET path=/x.narinfo status=200 bytes=512 duration=12.3ms
//
// with fields parted by one space, in this order. A value with spaces, quotes,
// control or non-ASCII characters is quoted as a Go string; times are UTC; a
// request that ended before its body was whole has aborted=true at its end.
// Fields may be added at the end; [ParseAccess] passes over those it does not
// know.
type Access struct {
	Time     time.Time // when the request came; to the millisecond in the log
	Client   string    // address without port; "unix" for a unix socket
	Method   string
	Path     string // with its query, as sent; cut after 2048 bytes
	Status   int
	Bytes    int64 // of the body
	Duration time.Duration
	Aborted  bool
}

const maxLoggedPath = 2048

// String is the access log's line, without a line end.
func (a Access) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "access time=%s client=%s method=%s path=%s status=%d bytes=%d duration=%s",
		a.Time.UTC().Format("2006-01-02T15:04:05.000Z"), logValue(a.Client), logValue(a.Method),
		logValue(a.Path), a.Status, a.Bytes, a.Duration)
	if a.Aborted {
		b.WriteString(" aborted=true")
	}
	return b.String()
}

// Resource says what was asked for: a narinfo, a nar, or something else.
type Resource string

const (
	CacheInfo Resource = "nix-cache-info"
	NarInfo   Resource = "narinfo"
	NAR       Resource = "nar"
	Log       Resource = "log"
	Other     Resource = "other"
)

// Resource tells what the path of a request names, and the hash part of the
// store path it is about (for a log: the derivation's base name).
func (a Access) Resource() (Resource, string) {
	path, _, _ := strings.Cut(a.Path, "?")
	return parseResource(path)
}

func parseResource(path string) (Resource, string) {
	if path == "/nix-cache-info" {
		return CacheInfo, ""
	}
	if m := narinfoPath.FindStringSubmatch(path); m != nil {
		return NarInfo, m[1]
	}
	if m := narPath.FindStringSubmatch(path); m != nil {
		return NAR, m[1]
	}
	if m := logPath.FindStringSubmatch(path); m != nil {
		return Log, m[1]
	}
	return Other, ""
}

// The paths that nix-serve knows, as its nix-serve.psgi has them.
var (
	narinfoPath = regexp.MustCompile(`^/([0-9a-z]+)\.narinfo$`)
	narPath     = regexp.MustCompile(`^/nar/([0-9a-z]+)(?:-([0-9a-z]+))?\.nar$`)
	logPath     = regexp.MustCompile(`^/log/([0-9a-z]+-[0-9a-zA-Z+\-._?=]+)`)
)

// linePrefix is what journalctl's short formats put before a line: time, host,
// unit[pid]. Anchored, so that no request can smuggle a line into the log: a
// value never has a bare space or a line end.
var linePrefix = regexp.MustCompile(`^(?:(?:[A-Z][a-z]{2} +\d+ [\d:.]+|\d{4}-\d\d-\d\dT[\d:.+,Z-]+) \S+ [^\s\[\]]+\[\d+\]: )?access `)

// ErrLogLine: an access line that is cut or damaged.
var ErrLogLine = errors.New("malformed access line")

// ParseAccess reads one line of a log, as it stands or as journalctl shows it; one
// of the real nix-serve too. Lines that are not access lines give false.
func ParseAccess(line string) (Access, bool, error) {
	line = strings.TrimRight(line, "\r\n")
	prefix := linePrefix.FindString(line)
	if prefix == "" {
		a, is := parseCombined(line)
		return a, is, nil
	}
	values, err := logValues(line[len(prefix):])
	if err != nil {
		return Access{}, true, fmt.Errorf("%w: %w: %q", ErrLogLine, err, line)
	}
	a, err := accessOf(values)
	if err != nil {
		return Access{}, true, fmt.Errorf("%w: %w: %q", ErrLogLine, err, line)
	}
	return a, true, nil
}

// ParseAccessLog reads the requests out of a log, which may be a whole journal:
// other lines are passed over. Malformed access lines are passed over too, and
// counted in the error, which quotes the first; the requests are good then.
func ParseAccessLog(r io.Reader) ([]Access, error) {
	var list []Access
	var first error
	bad := 0
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		a, is, parseErr := ParseAccess(line)
		switch {
		case parseErr != nil:
			if bad++; first == nil {
				first = parseErr
			}
		case is:
			list = append(list, a)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return list, fmt.Errorf("read access log: %w", err)
		}
	}
	if bad > 0 {
		return list, fmt.Errorf("%d bad lines in the access log, the first: %w", bad, first)
	}
	return list, nil
}

func accessOf(values map[string]string) (a Access, err error) {
	for _, key := range []string{"time", "client", "method", "path", "status", "bytes", "duration"} {
		if _, ok := values[key]; !ok {
			return a, fmt.Errorf("no %s", key)
		}
	}
	a.Client, a.Method, a.Path = values["client"], values["method"], values["path"]
	a.Aborted = values["aborted"] == "true"
	if a.Time, err = time.Parse(time.RFC3339Nano, values["time"]); err != nil {
		return a, err
	}
	a.Time = a.Time.UTC()
	if a.Status, err = strconv.Atoi(values["status"]); err != nil {
		return a, err
	}
	if a.Bytes, err = strconv.ParseInt(values["bytes"], 10, 64); err != nil {
		return a, err
	}
	a.Duration, err = time.ParseDuration(values["duration"])
	return a, err
}

// logValue quotes a value where it would not be read back bare.
func logValue(s string) string {
	if s == "" {
		return `""`
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}

func logValues(s string) (map[string]string, error) {
	values := map[string]string{}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsAny(key, ` "`) {
			return nil, fmt.Errorf("no key=value at %q", s)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("value of %s: %w", key, err)
			}
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, fmt.Errorf("value of %s: %w", key, err)
			}
			s = rest[len(quoted):]
			if s != "" && s[0] != ' ' {
				return nil, fmt.Errorf("value of %s goes on after its quote", key)
			}
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		values[key] = value
	}
	return values, nil
}

// Recorded wraps a handler: every request is told to record once it is
// answered, and every write to a client has to get on within stall, so that a
// client that stopped reading holds nothing for ever. A handler that ends by
// panicking with [http.ErrAbortHandler] is recorded as aborted.
func Recorded(h http.Handler, stall time.Duration, record func(Access)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w), stall: stall, head: r.Method == http.MethodHead}
		start := time.Now()
		path := r.URL.RequestURI()
		path = path[:min(len(path), maxLoggedPath)]
		whole := false
		defer func() {
			record(Access{
				Time: start, Client: clientOf(r), Method: r.Method, Path: path,
				Status: rec.statusCode(), Bytes: rec.bytes, Duration: time.Since(start),
				Aborted: !whole || rec.failed,
			})
		}()
		h.ServeHTTP(rec, r)
		whole = true
	})
}

func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unix"
	}
	return host
}

// recorder counts what goes to a client, and renews its deadline as it goes.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	status  int
	bytes   int64
	head    bool // writes go nowhere
	failed  bool
}

func (w *recorder) statusCode() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// A writer in a test has no deadlines to set; nothing is lost by that.
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall))
	n, err := w.ResponseWriter.Write(p)
	if !w.head {
		w.bytes += int64(n)
	}
	if err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		w.failed = true
	}
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
