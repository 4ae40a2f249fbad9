package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

func TestSucceedAndFail(t *testing.T) {
	m := Wrap(answers(map[string][]provider.Result{
		"good": {out(" yes \n")},
		"bad":  {status(3, "one\ntwo\n")},
	}))
	ctx := context.Background()
	if got, err := m.Succeed(ctx, "good"); got != "yes" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_, err := m.Succeed(ctx, "bad", "thing")
	var failed *CommandError
	if !errors.As(err, &failed) || failed.Result.ExitStatus != 3 || err.Error() != "laptop: bad thing: exit status 3: one\ntwo" {
		t.Errorf("got %v", err)
	}
	if got, err := m.Fail(ctx, "bad"); got != "one\ntwo" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := m.Fail(ctx, "good"); !errors.As(err, &failed) || err.Error() != "laptop: good: succeeded, but was to fail: yes" {
		t.Errorf("got %v", err)
	}
}

func TestWaitForUnit(t *testing.T) {
	const show = "systemctl show"
	journal := []provider.Result{out(journalLine)}
	for name, c := range map[string]struct {
		table map[string][]provider.Result
		want  string // in the error; "": none
	}{
		"starts": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "activating", "start", "success"), unitShow("loaded", "active", "running", "success")}}},
		"failed": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "activating", "start", "success"), unitShow("loaded", "failed", "failed", "exit-code")}, "journalctl": journal},
			want: "gave up waiting for unit x.service to be active"},
		"failed, journal quoted": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "failed", "failed", "exit-code")}, "journalctl": journal},
			want: "it is failed (failed), result exit-code\nlast lines of its journal:\n  22:13:20.123 nix-serve[42]: cannot read key"},
		"absent": {table: map[string][]provider.Result{
			show: {unitShow("not-found", "inactive", "dead", "")}, "journalctl": journal}, want: "not-found"},
		"nothing will start it": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "inactive", "dead", "success")}, "systemctl list-jobs": {out("No jobs running.\n")}, "journalctl": journal},
			want: "no job is left"},
		"a job is left": {table: map[string][]provider.Result{
			show:                  {unitShow("loaded", "inactive", "dead", ""), unitShow("loaded", "inactive", "dead", ""), unitShow("loaded", "active", "exited", "success")},
			"systemctl list-jobs": {out("1 y.service start waiting\n")}}},
		"started between the questions": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "inactive", "dead", ""), unitShow("loaded", "active", "running", "success")}, "systemctl list-jobs": {out("")}}},
		"no journal": {table: map[string][]provider.Result{
			show: {unitShow("loaded", "failed", "failed", "timeout")}, "journalctl": {status(1, "no journal files")}},
			want: "journal not read: read journal: laptop: journalctl"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			err := Wrap(answers(c.table)).WaitForUnit(context.Background(), "x.service")
			if time.Since(began) > 5*time.Second {
				t.Error("it took too long")
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if failed := new(WaitError); c.want != "" && (!errors.As(err, &failed) || failed.TimedOut || failed.Machine != "laptop") {
				t.Errorf("got %#v", failed)
			}
		})
	}
}

func TestWaitTimesOutWithTheLastReason(t *testing.T) {
	m := Wrap(answers(map[string][]provider.Result{"test -e": {status(1, "")}}))
	err := m.WaitForFile(soon(t, 200*time.Millisecond), "/etc/nix/builder_key")
	var failed *WaitError
	if !errors.As(err, &failed) || !failed.TimedOut || !strings.Contains(err.Error(), "timed out waiting for file /etc/nix/builder_key") ||
		!strings.HasSuffix(err.Error(), "it does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithADeadMachine(t *testing.T) {
	f := answers(map[string][]provider.Result{"test -e": {status(1, "")}})
	began := time.Now()
	f.off = true
	err := Wrap(powered{f}).WaitForFile(context.Background(), "/x")
	if err == nil || !strings.Contains(err.Error(), "powered off") {
		t.Errorf("got %v", err)
	}
	gone := &UnreachableError{Machine: "laptop", Stage: StageKeepalive, Err: errors.New("it sent nothing for 20s")}
	err = Wrap(&fake{answer: func(string) (provider.Result, error) {
		return provider.Result{}, &ExecError{Machine: "laptop", Err: gone}
	}}).WaitForUnit(context.Background(), "x")
	if failed := new(UnreachableError); !errors.As(err, &failed) || failed != gone {
		t.Errorf("got %v", err)
	}
	if time.Since(began) > 3*time.Second {
		t.Error("waited for a dead machine")
	}
}

func TestWaitIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m := Wrap(answers(nil))
	err := m.WaitUntil(ctx, "the moon", func(context.Context) error { cancel(); return errors.New("not yet") })
	var failed *WaitError
	if !errors.As(err, &failed) || failed.TimedOut {
		t.Errorf("got %v", err)
	}
}

func TestWaitsCompose(t *testing.T) {
	m := Wrap(answers(map[string][]provider.Result{
		"systemctl show": {unitShow("loaded", "active", "running", "success")},
		"curl":           {status(7, "refused"), out("StoreDir: /nix/store")},
		"cat /proc/net":  {out(tcpTable)},
	}))
	w := All(Unit("nix-serve.service"), Port(5000), CommandOK("curl", "http://localhost:5000/nix-cache-info"))
	for range 2 {
		if err := m.Wait(soon(t, 5*time.Second), w); err != nil {
			t.Fatal(err)
		}
	}
	err := m.Wait(soon(t, 5*time.Second), All(Unit("a"), Within(100*time.Millisecond, Port(22))))
	if err == nil || !strings.Contains(err.Error(), "unit a to be active, then TCP port 22 to listen") || !strings.Contains(err.Error(), "nothing listens on it") {
		t.Errorf("got %v", err)
	}
}

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 070FA8C0:0016 090FA8C0:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 000080FE00000000FF005450030F0F00:0801 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
`

func TestListeners(t *testing.T) {
	got, err := parseListeners(tcpTable)
	want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3306"), netip.MustParseAddrPort("[::]:5000"),
		netip.MustParseAddrPort("[fe80::5054:ff:f:f03]:2049")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "cat: no such file", "sl\n 0: zz:1 0:0 0A", "sl\n 0: 0100007F:XYZ 0:0 0A", "sl\n 0: 01:1 0:0 0A"} {
		if _, err := parseListeners(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzListeners(f *testing.F) {
	f.Add(tcpTable)
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseListeners(text)
		if err != nil && found != nil {
			t.Fatal("an error with listeners")
		}
		for _, l := range found {
			if !l.Addr().IsValid() {
				t.Fatalf("%v", l)
			}
		}
	})
}

func TestJournal(t *testing.T) {
	f := answers(map[string][]provider.Result{"journalctl": {out(journalLine +
		`{"__CURSOR":"c","MESSAGE":[104,105,255],"SYSLOG_IDENTIFIER":["a","b"],"_SYSTEMD_UNIT":null}` + "\n")}})
	j, err := Wrap(f).Journal(context.Background(), JournalQuery{Unit: "nix-serve.service", After: "s=1;i=1", Since: time.Unix(5, 7000), Lines: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := JournalEntry{Time: time.UnixMicro(1700000000123456), Unit: "nix-serve.service", Identifier: "nix-serve", PID: 42, Priority: 3, Message: "cannot read key", Cursor: "s=1;i=2"}
	if len(j) != 2 || j[0] != want || j[1].Message != "hi�" || j[1].Identifier != "a" || j[1].Priority != 6 {
		t.Errorf("got %+v", j)
	}
	if cmd := f.asked[0]; cmd != "journalctl --no-pager --quiet --output=json --all --unit=nix-serve.service --after-cursor=s=1;i=1 --since=@5.000007 --lines=3 --boot" {
		t.Errorf("asked %s", cmd)
	}
	if c, err := Wrap(f).JournalCursor(context.Background()); c != "c" || err != nil {
		t.Errorf("got %q, %v", c, err)
	}
	if _, err := parseJournal([]byte("{broken\n")); err == nil {
		t.Error("a broken entry was taken")
	}
	if j, err := parseJournal([]byte(journalLine + `{"a":"b` + "\n[… 9" + leftOut + "]\n" + `c"}` + "\n" + journalLine)); err != nil || len(j) != 2 {
		t.Errorf("got %v, %v", j, err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(journalLine))
	f.Add([]byte(`{"MESSAGE":[[],[1]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := parseJournal(text)
		if err == nil {
			_ = j.String()
		}
	})
}

func TestWaitForReboot(t *testing.T) {
	n := 0
	f := &fake{answer: func(string) (provider.Result, error) {
		switch n++; n {
		case 1:
			return out("old\n"), nil
		case 2:
			return provider.Result{}, &UnreachableError{Machine: "laptop", Stage: StageDial, Err: errors.New("refused")}
		}
		return out("new\n"), nil
	}}
	if err := Wrap(f).WaitForReboot(soon(t, 5*time.Second), "old"); err != nil || n != 3 {
		t.Errorf("got %v after %d questions", err, n)
	}
	f.answer = func(string) (provider.Result, error) {
		return provider.Result{}, &UnreachableError{Machine: "laptop", Stage: StageKeyExchange, Err: ErrHostKey}
	}
	if err := Wrap(f).WaitForReboot(soon(t, 5*time.Second), "old"); !errors.Is(err, ErrHostKey) {
		t.Errorf("got %v", err)
	}
}

func TestWaitForUnitState(t *testing.T) {
	m := Wrap(answers(map[string][]provider.Result{
		"systemctl show": {unitShow("loaded", "deactivating", "stop", ""), unitShow("loaded", "inactive", "dead", "")}}))
	if err := m.WaitForUnitState(soon(t, 5*time.Second), "nix-serve.service", "inactive"); err != nil {
		t.Error(err)
	}
}

func ExampleMachine_Wait() {
	desktop := Wrap(answers(map[string][]provider.Result{
		"systemctl show": {unitShow("loaded", "failed", "failed", "exit-code")},
		"journalctl":     {out(journalLine)},
	}))
	err := desktop.Wait(context.Background(), All(Unit("nix-serve.service"), Port(5000)))
	var failed *WaitError
	fmt.Println(errors.As(err, &failed), failed.TimedOut)
	fmt.Println(failed.Last)
	fmt.Print(failed.Journal)
	// Output:
	// true false
	// unit nix-serve.service to be active: it is failed (failed), result exit-code
	// 22:13:20.123 nix-serve[42]: cannot read key
}

func ExampleMachine_Succeed() {
	laptop := Wrap(answers(map[string][]provider.Result{"hostname": {out("kernelcore\n")}}))
	name, err := laptop.Succeed(context.Background(), "hostname")
	fmt.Println(name, err)
	// Output: kernelcore <nil>
}
