package network

import (
	"errors"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newManagement(t *testing.T, machine string) (*Management, *guest) {
	t.Helper()
	m, err := NewManagement(machine, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "mgmt0")
	if err := m.Listen(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.DialContext(deadline(t), 22); !errors.Is(err, ErrDetached) || !strings.Contains(err.Error(), machine) {
		t.Errorf("dialling a machine without power: %v", err)
	}
	// The gateway of the guest is the harness's end: the way out, if there were one.
	g := attachGuest(t, path, "52:54:00:0e:00:02", netip.PrefixFrom(ManagementAddr(), 24), ManagementPrefix().Addr().Next())
	if err := m.WaitAttached(deadline(t)); err != nil {
		t.Fatal(err)
	}
	return m, g
}

func TestManagementReachesItsMachine(t *testing.T) {
	m, g := newManagement(t, "laptop")
	g.serveEcho(t, 2222)
	conn, err := m.DialContext(deadline(t), 2222)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := exchange(conn, make([]byte, 1<<20), patience); err != nil {
		t.Error(err)
	}
	m.Reset()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err == nil {
		t.Error("a connection outlived the reset")
	}
	again, err := m.DialContext(deadline(t), 2222)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := exchange(again, []byte("hello"), patience); err != nil {
		t.Error(err)
	}
	if _, err := m.DialContext(deadline(t), 23); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a closed port says %v", err)
	}
}

// TestManagementLeadsNowhere is a machine that tries to get out, or across.
func TestManagementLeadsNowhere(t *testing.T) {
	_, a := newManagement(t, "laptop")
	_, b := newManagement(t, "desktop") // the same addresses, another cable
	l, dir := newLAN(t, nil)
	lan := newGuest(t, l, dir, laptop)
	lan.serveEcho(t, 22)
	b.serveEcho(t, 22)
	for _, addr := range []string{"192.168.15.9", "192.168.15.1", "203.0.113.10", "127.0.0.1", "192.0.2.3"} {
		if got := a.probe(t, netip.MustParseAddr(addr), 22); got == open || got == refused {
			t.Errorf("%s is %s over the management cable", addr, got)
		}
	}
	if got := a.probe(t, ManagementPrefix().Addr().Next(), 22); got != refused {
		t.Errorf("the harness's end is %s, want %s", got, refused)
	}
}
