package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/network"
	"offload-e2e/harness/provider"
)

// Addresses of the machines, as every lab's.
const (
	desktopAddr = "192.168.15.7"
	laptopAddr  = "192.168.15.9"
)

// port is where a machine says who it is.
const port = 7007

// serve lets a machine say a word to whoever connects.
func serve(t *testing.T, m provider.Machine, word string) {
	t.Helper()
	succeed(t, m, "systemd-run", "--quiet", "--collect", "--unit=conformance", "socat",
		fmt.Sprintf("TCP-LISTEN:%d,fork,reuseaddr", port), "SYSTEM:echo "+word)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		_, _ = m.Exec(ctx, provider.Cmd("systemctl", "stop", "conformance.service"))
	})
}

// ask connects to a machine from another, and gives what it says.
func ask(ctx context.Context, from provider.Machine, addr string) (string, error) {
	r, err := from.Exec(ctx, provider.Cmd("timeout", "5", "socat", "-T", "4", fmt.Sprintf("TCP:%s:%d,connect-timeout=4", addr, port), "-"))
	if err == nil {
		err = r.Err()
	}
	return r.Text(), err
}

func hears(t *testing.T, from provider.Machine, addr, word string) {
	t.Helper()
	eventually(t, commandTimeout, func(ctx context.Context) error {
		said, err := ask(ctx, from, addr)
		if err == nil && said != word {
			err = fmt.Errorf("it says %q, not %q", said, word)
		}
		return err
	})
}

func neighbours(t *testing.T, bed Bed, lab *Lab) {
	if bed.NoNetwork != "" {
		t.Skip(bed.NoNetwork)
	}
	desktop, laptop := of(t, lab, Desktop), of(t, lab, Laptop)
	serve(t, desktop, "i-am-the-desktop")
	serve(t, laptop, "i-am-the-laptop")
	hears(t, laptop, desktopAddr, "i-am-the-desktop")
	hears(t, desktop, laptopAddr, "i-am-the-laptop")
}

// otherNetworks prints the interfaces with an address that are none of a lab's.
const otherNetworks = `ip -o addr show scope global | awk '$2 != "lan0" && $2 != "mgmt0" { print $2, $4 }'`

// alone proves that a machine is on no network but the lab's: what is on another would
// go there, past the internet's stand-in and every fault.
func alone(t *testing.T, bed Bed, lab *Lab) {
	if bed.NoNetwork != "" {
		t.Skip(bed.NoNetwork)
	}
	for _, m := range lab.Provider.Machines() {
		if other := succeed(t, m, "sh", "-c", otherNetworks); other != "" {
			t.Errorf("%s is on other networks: %s", m.Name(), other)
		}
	}
}

func faults(t *testing.T, bed Bed, lab *Lab) {
	if lab.LAN == nil {
		t.Skip(cmp.Or(bed.NoNetwork, "the network between the machines is none of ours"))
	}
	desktop, laptop := of(t, lab, Desktop), of(t, lab, Laptop)
	serve(t, desktop, "here")
	hears(t, laptop, desktopAddr, "here")
	match := network.Match{From: Laptop, To: Desktop, Proto: network.TCP, Port: port}
	for _, c := range []struct {
		fault network.Fault
		says  string // in what the laptop's socat says; "" for nothing wrong
	}{
		{lab.LAN.Refuse(match), "Connection refused"},
		{lab.LAN.Drop(match), "timed out"},
		{lab.LAN.LinkDown(Desktop), "timed out|No route to host"},
		{lab.LAN.Loss(match, 1, 1), "timed out"},
		{lab.LAN.Delay(match, 50*time.Millisecond, 0, 1), ""},
	} {
		undo, err := c.fault.Apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = ask(t.Context(), laptop, desktopAddr)
		took := time.Since(began)
		switch {
		case c.says == "" && (err != nil || took < 200*time.Millisecond):
			t.Errorf("%s: %v after %s", c.fault, err, took)
		case c.says != "" && (err == nil || !containsOne(err.Error(), c.says)):
			t.Errorf("%s: %v, want one of %s", c.fault, err, c.says)
		}
		if err := errors.Join(undo(t.Context()), undo(t.Context())); err != nil {
			t.Error(err)
		}
		hears(t, laptop, desktopAddr, "here")
	}
}

func containsOne(text, words string) bool {
	// timeout(1) may end socat first.
	if strings.Contains(words, "timed out") && strings.Contains(text, "exit status 124") {
		return true
	}
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// twoLabs has a second lab with the same addresses beside the first.
func twoLabs(t *testing.T, bed Bed, first *Lab) {
	if bed.NoSecond != "" {
		t.Skip(bed.NoSecond)
	}
	second := bed.Up(t)
	for lab, word := range map[*Lab]string{first: "first", second: "second"} {
		m := of(t, lab, Desktop)
		if err := m.CopyTo(t.Context(), strings.NewReader(word), "/var/tmp/which", 0o644); err != nil {
			t.Fatal(err)
		}
		if bed.NoNetwork == "" {
			serve(t, m, word)
		}
	}
	for lab, word := range map[*Lab]string{first: "first", second: "second"} {
		if got := succeed(t, of(t, lab, Desktop), "cat", "/var/tmp/which"); got != word {
			t.Errorf("the %s lab's desktop is the %s lab's", word, got)
		}
		if bed.NoNetwork == "" {
			hears(t, of(t, lab, Laptop), desktopAddr, word)
		}
	}
	if err := second.Provider.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if left := second.Left(t); len(left) > 0 {
		t.Errorf("the second lab left %v", left)
	}
	if got := succeed(t, of(t, first, Desktop), "cat", "/var/tmp/which"); got != "first" {
		t.Errorf("the first lab's desktop says %q after the second lab's end", got)
	}
}
