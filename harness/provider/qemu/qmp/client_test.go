package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"}, "capabilities": ["oob"]}}` + "\r\n"

// fakeQEMU is the other end of a client's socket.
type fakeQEMU struct {
	t    *testing.T
	conn *net.UnixConn
	in   *bufio.Reader
}

// newPair is a client's socket, and who answers it.
func newPair(t *testing.T) (*net.UnixConn, *fakeQEMU) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		conn, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { _ = conn.Close() })
	}
	return ends[0], &fakeQEMU{t: t, conn: ends[1], in: bufio.NewReader(ends[1])}
}

func (q *fakeQEMU) send(text string) {
	if _, err := io.WriteString(q.conn, text); err != nil {
		q.t.Errorf("fake QEMU: %v", err)
	}
}

type request struct {
	Execute   string          `json:"execute"`
	ID        uint64          `json:"id"`
	Arguments json.RawMessage `json:"arguments"`
}

func (q *fakeQEMU) next() (request, bool) {
	line, err := q.in.ReadBytes('\n')
	if err != nil {
		return request{}, false
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		q.t.Errorf("the client sent %q: %v", line, err)
		return request{}, false
	}
	return r, true
}

// serve greets, accepts capabilities, and answers all else by answer.
func (q *fakeQEMU) serve(answer func(request)) {
	q.send(greeting)
	go func() {
		for {
			r, ok := q.next()
			switch {
			case !ok:
				return
			case r.Execute == "qmp_capabilities":
				q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\r\n", r.ID))
			default:
				answer(r)
			}
		}
	}()
}

// client is a client of a fake QEMU that answers by answer.
func client(t *testing.T, onEvent func(Event), answer func(*fakeQEMU, request)) *Client {
	t.Helper()
	conn, q := newPair(t)
	q.serve(func(r request) { answer(q, r) })
	c, err := New(t.Context(), conn, onEvent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestExecute(t *testing.T) {
	t.Parallel()
	c := client(t, nil, func(q *fakeQEMU, r request) {
		switch r.Execute {
		case "query-status":
			q.send(fmt.Sprintf("\r\n"+`{"return": {"status": "running", "extra": [1]}, "id": %d}`+"\r\n", r.ID))
		case "echo":
			q.send(fmt.Sprintf(`{"id": %d, "return": %s}`+"\n", r.ID, r.Arguments))
		default:
			q.send(fmt.Sprintf(`{"id": %d, "error": {"class": "CommandNotFound", "desc": "The command %s has not been found"}}`+"\n", r.ID, r.Execute))
		}
	})
	if got := c.Version().String(); got != "7.2.22 (Debian 1:7.2)" {
		t.Errorf("version %q", got)
	}
	var status struct{ Status string }
	if err := c.Execute(t.Context(), "query-status", nil, &status); err != nil || status.Status != "running" {
		t.Errorf("query-status: %+v, %v", status, err)
	}
	err := c.Execute(t.Context(), "nonsense", nil, nil)
	var refused *CommandError
	if !errors.As(err, &refused) || refused.Class != "CommandNotFound" || refused.Command != "nonsense" {
		t.Errorf("refusal: %v", err)
	}
	if err := c.Execute(t.Context(), "query-status", nil, new(int)); !errors.Is(err, errMalformed) {
		t.Errorf("an answer of another type: %v", err)
	}
	if err := c.Execute(t.Context(), "echo", func() {}, nil); err == nil {
		t.Error("a function was encoded")
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			var got struct{ N int }
			if err := c.Execute(t.Context(), "echo", map[string]int{"n": i}, &got); err != nil || got.N != i {
				t.Errorf("echo %d: %d, %v", i, got.N, err)
			}
		})
	}
	wg.Wait()
}

func TestEventsComeInOrder(t *testing.T) {
	t.Parallel()
	const many = 5000
	var got []int
	c := client(t, func(e Event) {
		var data struct{ N int }
		if e.Name != "RESUME" || e.Time.Unix() != 1795387470 || json.Unmarshal(e.Data, &data) != nil {
			t.Errorf("event %+v", e)
		}
		got = append(got, data.N)
	}, func(q *fakeQEMU, r request) {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, `{"timestamp": {"seconds": 1795387470, "microseconds": 5}, "event": "RESUME", "data": {"n": %d}}`+"\n", i)
		}
		q.send(b.String() + fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", r.ID))
	})
	if err := c.Execute(t.Context(), "go", nil, nil); err != nil {
		t.Fatal(err)
	}
	if len(got) != many || got[0] != 0 || got[many-1] != many-1 {
		t.Errorf("%d events of %d, last %d", len(got), many, got[len(got)-1])
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	late := make(chan uint64, 1)
	c := client(t, nil, func(q *fakeQEMU, r request) {
		if r.Execute == "hang" {
			late <- r.ID
			return
		}
		q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", <-late)) // answered too late
		q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", r.ID))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Execute(ctx, "hang", nil, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "hang") {
		t.Errorf("no answer: %v", err)
	}
	if err := c.Execute(t.Context(), "next", nil, nil); err != nil {
		t.Errorf("after a late answer: %v", err)
	}
	if err := c.Execute(ctx, "next", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	conn, q := newPair(t)
	q.send(greeting)
	go func() {
		if r, ok := q.next(); ok {
			q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", r.ID))
		}
		// And never read again.
	}()
	c, err := New(t.Context(), conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = c.Execute(ctx, "big", strings.Repeat("x", 4<<20), nil)
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("to a QEMU that does not read: %v", err)
	}
}

func TestGreetingFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sends string
		end   bool
		want  error
	}{
		"silence":          {"", false, context.DeadlineExceeded},
		"end":              {"", true, io.EOF},
		"half a greeting":  {greeting[:30], true, errMalformed},
		"not JSON":         {"SSH-2.0-OpenSSH\r\n", false, errMalformed},
		"an event first":   {`{"event": "STOP"}` + "\n", false, errMalformed},
		"an array":         {"[1]\n", false, errMalformed},
		"nothing but dots": {strings.Repeat(".", maxMessage+(1<<20)), false, errMalformed},
		"no capabilities":  {greeting, true, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, q := newPair(t)
			go func() {
				_, _ = io.WriteString(q.conn, c.sends)
				if c.end {
					_ = q.conn.CloseWrite()
				}
			}()
			timeout := 30 * time.Second
			if errors.Is(c.want, context.DeadlineExceeded) {
				timeout = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if _, err := New(ctx, conn, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the socket was left open: %v", err)
			}
		})
	}
}

func TestConnectionEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sends string
		want  error
	}{
		"end":                   {"", ErrClosed},
		"garbage":               {"\x00\xff}\n", errMalformed},
		"a second greeting":     {greeting, errMalformed},
		"unreadable command":    {`{"error": {"class": "GenericError", "desc": "JSON parse error"}}` + "\n", errMalformed},
		"an answer without id":  {`{"return": {}}` + "\n", errMalformed},
		"answer and error":      {`{"return": {}, "error": {"desc": "x"}, "id": 2}` + "\n", errMalformed},
		"a cut off answer":      {`{"return": {}, "id": 2`, errMalformed},
		"an id that is a word":  {`{"return": {}, "id": "two"}` + "\n", errMalformed},
		"a message of no kind":  {`{"id": 2}` + "\n", errMalformed},
		"an event of bad shape": {`{"event": 7}` + "\n", errMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := client(t, nil, func(q *fakeQEMU, _ request) {
				q.send(c.sends)
				_ = q.conn.CloseWrite()
			})
			if err := cl.Execute(t.Context(), "x", nil, nil); !errors.Is(err, c.want) {
				t.Errorf("under way: %v, want %v", err, c.want)
			}
			<-cl.Done()
			if err := cl.Execute(t.Context(), "x", nil, nil); !errors.Is(err, c.want) || !errors.Is(cl.Err(), c.want) {
				t.Errorf("afterwards: %v, want %v", err, c.want)
			}
		})
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	c := client(t, nil, func(*fakeQEMU, request) { close(asked) })
	failed := make(chan error, 1)
	go func() { failed <- c.Execute(context.Background(), "hang", nil, nil) }()
	<-asked
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("under way at close: %v", err)
	}
}

func TestPassFile(t *testing.T) {
	t.Parallel()
	conn, q := newPair(t)
	content := make(chan string, 1)
	q.send(greeting)
	go func() {
		r, _ := q.next()
		q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", r.ID))
		buf, oob := make([]byte, 4096), make([]byte, 4096)
		n, oobn, _, _, err := q.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			t.Error(err)
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(messages) != 1 {
			t.Errorf("control messages: %v, %v", messages, err)
			return
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Errorf("files: %v, %v", fds, err)
			return
		}
		f := os.NewFile(uintptr(fds[0]), "passed")
		b, _ := io.ReadAll(f)
		_ = f.Close()
		content <- string(b)
		_ = json.Unmarshal(buf[:n], &r)
		if r.Execute != "getfd" || string(r.Arguments) != `{"fdname":"state"}` {
			t.Errorf("request %+v", r)
		}
		q.send(fmt.Sprintf(`{"return": {}, "id": %d}`+"\n", r.ID))
	}()
	c, err := New(t.Context(), conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := w.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := c.PassFile(t.Context(), "state", r); err != nil {
		t.Fatal(err)
	}
	if got := <-content; got != "hello" {
		t.Errorf("the file passed holds %q", got)
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, seed := range []string{
		greeting, `{"return": {}, "id": 1}`, `{"error": {"class": "GenericError", "desc": "x"}, "id": 2}`,
		`{"event": "SHUTDOWN", "data": {"guest": true}, "timestamp": {"seconds": 1, "microseconds": 2}}`,
		"\r\n\r\n{}", `{"return": null, "id": 18446744073709551615}`, `[`, `{"QMP": {}, "event": "X"}`, "\x00",
	} {
		f.Add([]byte(seed + "\n"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bufio.NewReaderSize(strings.NewReader(string(input)), 16)
		for {
			m, err := readMessage(r)
			if err != nil {
				if !errors.Is(err, errMalformed) && !errors.Is(err, io.EOF) {
					t.Errorf("an error of no kind: %v", err)
				}
				return
			}
			kinds := 0
			for _, set := range []bool{m.greeting != nil, m.event != nil, m.result != nil, m.failure != nil} {
				if set {
					kinds++
				}
			}
			if kinds != 1 || m.result != nil && !m.hasID {
				t.Errorf("message %+v of %d kinds", m, kinds)
			}
		}
	})
}
