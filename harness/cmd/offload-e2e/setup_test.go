package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// aptWorks is an apt-get that brings the programs of packages.
const aptWorks = `echo "apt-get $*" >>"$FAKE_LOG"
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
for word; do
  case $word in
  qemu-utils) program=qemu-img ;; mmdebstrap) program=mmdebstrap ;; *) continue ;;
  esac
  echo "Unpacking $word"
  printf '#!/bin/sh\n' >"$FAKE_BIN/$program" && chmod +x "$FAKE_BIN/$program"
done`

var debian = distribution{ID: "debian", Name: "Debian 13"}

func TestInstall(t *testing.T) {
	aptFails := func(verb string) string {
		return `echo "apt-get $*" >>"$FAKE_LOG"; case "$*" in *" ` + verb + ` "*) echo "E: no route to the mirror"; exit 100 ;; esac` + "\n" + aptWorks
	}
	const sudo = `echo "sudo $1" >>"$FAKE_LOG"; [ "$1" = -n ] && shift; exec "$@"`
	for _, test := range []struct {
		name     string
		system   system
		programs map[string]string
		lacks    []string
		calls    []string // in order, each a part of a line; nil is no call at all
		heading  string
		says     []string
	}{
		{name: "nothing is missing", system: system{distribution: debian}},
		{name: "root", system: system{distribution: debian}, programs: map[string]string{"apt-get": aptWorks}, lacks: []string{"qemu-img", "mmdebstrap"},
			calls: []string{"update", "install -q -y --no-install-recommends qemu-utils mmdebstrap"}},
		{name: "a derivative of Debian", system: system{distribution: distribution{ID: "pop", Like: []string{"ubuntu", "debian"}}},
			programs: map[string]string{"apt-get": aptWorks}, lacks: []string{"qemu-img"}, calls: []string{"update", "install"}},
		{name: "a user with sudo", system: system{distribution: debian, uid: 1000}, programs: map[string]string{"apt-get": aptWorks, "sudo": sudo},
			lacks: []string{"qemu-img"}, calls: []string{"sudo -n", "sudo -n", "update", "sudo -n", "install"}},
		{name: "a user without sudo", system: system{distribution: debian, uid: 1000}, programs: map[string]string{"apt-get": aptWorks}, lacks: []string{"qemu-img"},
			heading: "Programs are missing, and only root can install them", says: []string{"qemu-img", "as root: apt-get install --no-install-recommends qemu-utils"}},
		{name: "sudo wants a password", system: system{distribution: debian, uid: 1000},
			programs: map[string]string{"apt-get": aptWorks, "sudo": "echo sudo: a password is required; exit 1"}, lacks: []string{"qemu-img"},
			heading: "Programs are missing, and only root can install them", says: []string{"a password is required", "sudo apt-get install"}},
		{name: "the mirror is away", system: system{distribution: debian}, programs: map[string]string{"apt-get": aptFails("install")}, lacks: []string{"qemu-img"},
			calls: []string{"update", "install"}, heading: "The packages could not be installed", says: []string{"E: no route to the mirror", "make setup again"}},
		{name: "only a foreign source is away", system: system{distribution: debian}, programs: map[string]string{"apt-get": aptFails("update")},
			lacks: []string{"qemu-img"}, calls: []string{"update", "install"}},
		{name: "apt-get installs something else", system: system{distribution: debian}, programs: map[string]string{"apt-get": `echo "$*" >>"$FAKE_LOG"`},
			lacks: []string{"qemu-img"}, calls: []string{"update", "install"}, heading: "A program is missing even so", says: []string{"qemu-img cannot be found"}},
		{name: "Debian without apt-get", system: system{distribution: debian}, lacks: []string{"qemu-img"}, heading: "Programs are missing", says: []string{"qemu-utils"}},
		{name: "another distribution", system: system{distribution: distribution{ID: "fedora", Name: "Fedora 43"}}, lacks: []string{"qemu-img", "mmdebstrap"},
			heading: "Programs are missing", says: []string{"this is Fedora 43", "qemu-img, mmdebstrap", "qemu-utils mmdebstrap"}},
		{name: "NixOS", system: system{distribution: distribution{ID: "nixos"}}, lacks: []string{"qemu-img"}, heading: "Programs are missing", says: []string{"nix shell nixpkgs#qemu"}},
		{name: "another processor", system: system{arch: "arm64", distribution: debian}, lacks: []string{"qemu-img"},
			heading: "This machine is not supported", says: []string{"linux/arm64"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newFakePath(t)
			path.real("env", "chmod", "true")
			for name, script := range test.programs {
				path.program(name, script)
			}
			var lacks []need
			for _, n := range needs() {
				if slices.Contains(test.lacks, n.name) {
					lacks = append(lacks, n)
				}
			}
			test.system.os, test.system.root = "linux", t.TempDir()
			if test.system.arch == "" {
				test.system.arch = "amd64"
			}
			var said strings.Builder
			i := installer{system: test.system, say: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) }}
			err := i.install(t.Context(), lacks)
			switch {
			case test.heading == "" && err != nil:
				t.Fatal(err)
			case test.heading != "" && err == nil:
				t.Fatal("no error")
			case err != nil:
				e := explain(err)
				if e.Heading != test.heading || e.Exit != exitInfra {
					t.Errorf("got %q, exit %d", e.Heading, e.Exit)
				}
				contains(t, e.Text(), test.says...)
			}
			checkCalls(t, path.calls(), test.calls)
		})
	}
}

func checkCalls(t *testing.T, got, want []string) {
	t.Helper()
	if want == nil && got != nil {
		t.Fatalf("called: %q", got)
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(line string) bool { return strings.Contains(line, w) })
		if i < 0 {
			t.Fatalf("no call %q in what is left: %q", w, got)
		}
		got = got[i+1:]
	}
}

func TestInstallIsInterrupted(t *testing.T) {
	path := newFakePath(t)
	path.real("env", "sleep")
	path.program("apt-get", `trap 'echo asked >>"$FAKE_LOG"; exit 1' TERM; echo started >>"$FAKE_LOG"; while :; do sleep 0.02; done`)
	ctx, cancel := context.WithCancel(t.Context())
	i := installer{system: system{os: "linux", arch: "amd64", distribution: debian, root: t.TempDir()}, say: func(string, ...any) {}}
	done := make(chan error, 1)
	go func() { done <- i.install(ctx, missing(i.system, forRun)) }()
	waitFor(t, func() bool { return len(path.calls()) > 0 })
	cancel()
	if e := explain(<-done); e.Exit != exitInfra {
		t.Errorf("got %+v", e)
	}
	if calls := path.calls(); !slices.Contains(calls, "asked") {
		t.Errorf("apt-get was not asked to end: %q", calls)
	}
}

func TestMissing(t *testing.T) {
	path := newFakePath(t)
	root := t.TempDir()
	for _, name := range []string{"qemu-system-x86_64", "qemu-img", "mmdebstrap", "mount", "gpg"} {
		path.program(name, "")
	}
	// Where Debian keeps it, which is not on every user's PATH.
	write(t, filepath.Join(root, "usr/sbin/mke2fs"), "")
	chmod(t, filepath.Join(root, "usr/sbin/mke2fs"))
	write(t, root+debianKeys, "")
	for _, test := range []struct {
		name     string
		uid      int
		purposes []purpose
		want     []string
	}{
		{"root needs no uidmap", 0, []purpose{forRun, forImage}, nil},
		{"a user does", 1000, []purpose{forRun, forImage}, []string{"uidmap"}},
		{"tests need more", 0, []purpose{forTest}, []string{"ca-certificates", "openssh-client", "tshark", "shellcheck"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := system{uid: test.uid, root: root}
			if got := packagesOf(missing(s, test.purposes...)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSetupTellsTheKeyOfTheImage(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: "/nowhere"}
	must(t, os.CopyFS(p.recipe(), os.DirFS("../../../fixtures/guests/embedded")))
	first, exit := offload(t, p, "setup", "--image-key")
	if exit != exitOK || len(strings.TrimSpace(first)) < 16 || strings.Contains(strings.TrimSpace(first), " ") {
		t.Fatalf("exit %d: %q", exit, first)
	}
	write(t, filepath.Join(p.recipe(), "rootfs", "etc", "more"), "another image")
	if second, _ := offload(t, p, "setup", "--image-key"); second == first {
		t.Error("another recipe has the same key")
	}
}
