#!/bin/sh
# Prints the path of a Go that builds this repository, installing one by apt-get
# where there is none. From 1.21 on, Go fetches the release that go.mod names by
# itself (GOTOOLCHAIN=auto), so any such Go will do.
set -eu

oldest=21 # of Go 1
certificates=/etc/ssl/certs/ca-certificates.crt

say() { printf '%s\n' "$*" >&2; }

fail() {
  say ""
  say "There is no Go"
  say "  $1"
  say "  Install Go 1.$oldest or later (https://go.dev/dl), put it on PATH, and try again."
  exit 3
}

# minor GO: prints the y of its version 1.y. It runs outside of the module, which
# would make an old Go fetch a new one.
minor() {
  version=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  version=${version#go1.}
  version=${version%%[!0-9]*}
  [ -n "$version" ] && printf '%s\n' "$version"
}

find_go() {
  for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-*/bin/go /usr/lib/go/bin/go; do
    if [ -x "$go" ] && found=$(minor "$go") && [ "$found" -ge "$oldest" ]; then
      printf '%s\n' "$go"
      return 0
    fi
  done
  return 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

# apt ARGS: quiet, and told about only when it fails.
apt() {
  log=$(mktemp)
  if as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 15 "$log" >&2
    rm -f "$log"
    fail "apt-get $1 failed."
  fi
}

# newest: prints the newest package of a Go that is new enough.
newest() {
  apt-cache search --names-only '^golang-1\.[0-9]+-go$' | awk -v oldest="$oldest" '
    { split($1, part, /[.-]/); if (part[3] + 0 >= oldest && part[3] + 0 > best) { best = part[3] + 0; name = $1 } }
    END { if (name == "") exit 1; print name }'
}

# add_backports: Debian 12 has too old a Go, its backports have a newer one.
# Nothing else is taken from there: backports rank below all other sources.
add_backports() {
  # shellcheck source=/dev/null
  . /etc/os-release
  [ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ] || return 1
  say "adding $VERSION_CODENAME-backports to apt's sources, for Go"
  line="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
  # From the mirror that apt uses for the release itself.
  mirror=${OFFLOAD_E2E_MIRROR:-$(apt-cache policy | awk -v suite="$VERSION_CODENAME/main" '$3 == suite { print $2; exit }')}
  [ -n "$mirror" ] || return 1
  line="$line $mirror $VERSION_CODENAME-backports main"
  printf '%s\n' "$line" | as_root tee /etc/apt/sources.list.d/offload-e2e-backports.list >/dev/null
  apt update
}

install_go() {
  command -v apt-get >/dev/null || fail "It is installed by apt-get, on Debian and Ubuntu only."
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail "Only root can install it, and there is no sudo."
  say "installing Go"
  apt update
  package=$(newest) || { add_backports && package=$(newest); } || fail "apt-get has no package of it that is new enough."
  apt install --no-install-recommends "$package" ca-certificates
}

if ! go=$(find_go); then
  install_go
  go=$(find_go) || fail "It was installed, and cannot be found."
fi
# Go fetches modules over TLS.
if [ ! -e "$certificates" ] && [ -z "${SSL_CERT_FILE:-}" ] && command -v apt-get >/dev/null; then
  apt update
  apt install --no-install-recommends ca-certificates
fi
printf '%s\n' "$go"
