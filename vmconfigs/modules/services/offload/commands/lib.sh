# shellcheck shell=bash
# What the commands share. They print ✅ only for what they proved, ❌ for what
# is broken, exit 1 if anything is, and give every probe a deadline.

failures=0

ok() { printf '✅ %s\n' "$1"; }
bad() {
  printf '❌ %s\n' "$1"
  failures=$((failures + 1))
}
warn() { printf '⚠️  %s\n' "$1"; }
note() { printf '   %s\n' "$1"; }
title() { printf '\n%s\n' "$1"; }

# verdict WHAT: the last line, and the exit status.
verdict() {
  printf '\n'
  if [ "$failures" -eq 0 ]; then
    ok "$1: all is well"
    exit 0
  fi
  printf '❌ %s: %d broken\n' "$1" "$failures"
  exit 1
}

# within SECONDS COMMAND...: 124 when it had to be stopped, 137 when killed.
# Nothing is asked on the terminal.
within() { timeout --kill-after=2 "$@" </dev/null; }

usage() {
  printf '%s\n' "$1" >&2
  exit 2
}

# need_root NAME ARGUMENTS...: run again through sudo, if that is possible.
need_root() {
  local name=$1
  shift
  [ "$(id -u)" -ne 0 ] || return 0
  if within 5 sudo -n true 2>/dev/null; then
    exec sudo -n -- "$0" "$@"
  fi
  if [ -t 0 ] && [ -t 1 ] && command -v sudo >/dev/null; then
    exec sudo -- "$0" "$@"
  fi
  usage "$name: needs root, because the keys and the daemon's settings are root's; run: sudo $name"
}

# A directory for this run's files, removed at the end.
export SCRATCH=""
make_scratch() {
  SCRATCH=$(mktemp -d)
  trap 'rm -rf -- "$SCRATCH"' EXIT
}

# --- Nix ---------------------------------------------------------------------

nix_cli() { within "$1" nix --extra-experimental-features nix-command "${@:2}"; }

# The daemon's settings: /etc/nix/nix.conf, and not this user's own.
nix_settings=""
load_nix_settings() {
  nix_settings=$(NIX_CONFIG='' NIX_USER_CONF_FILES=/dev/null nix_cli 10 config show 2>/dev/null) &&
    [ -n "$nix_settings" ]
}

# nix_setting NAME: its value, empty if there is none.
nix_setting() {
  printf '%s\n' "$nix_settings" | awk -v name="$1" '
    { at = index($0, " =") }
    at > 0 && substr($0, 1, at - 1) == name { print substr($0, at + 3); exit }'
}

# has_word WORD TEXT: is it one of the words?
has_word() {
  local word
  for word in $2; do
    [ "$word" != "$1" ] || return 0
  done
  return 1
}

# nonce_build NONCE OPTIONS...: a derivation nobody has built before, in 90 s. Its
# output holds the nonce and the boot id of the machine that built it. It needs
# no nixpkgs: the sandbox has /bin/sh.
nonce_build() {
  local nonce=$1
  shift
  # shellcheck disable=SC2016 # $out is the builder's
  NIX_REMOTE=daemon within 90 nix-build --no-out-link --option substitute false "$@" --expr '
    derivation {
      name = "offload-'"$nonce"'";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [ "-c" "read -r boot < /proc/sys/kernel/random/boot_id; echo \"'"$nonce"' $boot\" > $out" ];
      allowSubstitutes = false;
    }'
}

new_nonce() { printf '%s-%s-%s' "$(date +%s)" "$$" "$RANDOM"; }

# --- HTTP --------------------------------------------------------------------

# http_code URL: the status, 000 or nothing when there was no answer.
http_code() {
  within 8 curl --silent --output /dev/null --write-out '%{http_code}' \
    --connect-timeout 3 --max-time 6 "$1" || true
}

# probe_cache: does CACHE_URL serve a Nix store? Sets CACHE_INFO, or
# CACHE_PROBLEM.
export CACHE_INFO="" CACHE_PROBLEM=""
probe_cache() {
  local code
  CACHE_PROBLEM=""
  if ! CACHE_INFO=$(within 8 curl --silent --show-error --fail \
    --connect-timeout 3 --max-time 6 "$CACHE_URL/nix-cache-info" 2>&1); then
    CACHE_PROBLEM="$CACHE_URL/nix-cache-info: ${CACHE_INFO:-no answer}"
    return 1
  fi
  if ! grep -q '^StoreDir: /nix/store$' <<<"$CACHE_INFO"; then
    CACHE_PROBLEM="$CACHE_URL answers, but not as a binary cache of /nix/store"
    return 1
  fi
  # A path that nobody has. 404 proves that the server asked its Nix daemon;
  # nix-cache-info is a constant that it serves without.
  code=$(http_code "$CACHE_URL/00000000000000000000000000000000.narinfo")
  case $code in
    404) return 0 ;;
    5??) CACHE_PROBLEM="HTTP $code for a narinfo: the cache server cannot reach its Nix daemon" ;;
    *) CACHE_PROBLEM="HTTP ${code:-000} for a narinfo nobody has, not 404" ;;
  esac
  return 1
}

# verify PATH [OPTIONS...]: is the path, as the cache serves it, signed by a
# trusted key? 0 yes, 2 no; anything else: it could not be found out. With
# --no-contents its NAR is left alone. See nix3-store-verify(1).
verify() {
  local path=$1
  shift
  nix_cli 20 store verify --store "$CACHE_URL" --option narinfo-cache-positive-ttl 0 "$@" "$path"
}

# narinfo PATH: what the cache says of a store path; fails if it has none.
narinfo() {
  local base=${1##*/}
  within 8 curl --silent --fail --connect-timeout 3 --max-time 6 "$CACHE_URL/${base%%-*}.narinfo"
}

# needs_signature PATH: does the cache have it, and is its name no hash of its
# contents? Nix trusts such a path without a signature, so it proves nothing.
needs_signature() {
  local info
  info=$(narinfo "$1") && ! grep -q '^CA: .' <<<"$info"
}

# store_path FILE: the store path a file lies in, or nothing.
store_path() {
  local target
  target=$(readlink -f -- "$1") || return 0
  if [[ $target =~ ^(/nix/store/[0-9a-z]{32}-[^/]+) ]]; then
    printf '%s' "${BASH_REMATCH[1]}"
  fi
}

# --- TCP ---------------------------------------------------------------------

# tcp_open HOST PORT: is a connection accepted?
tcp_open() {
  # shellcheck disable=SC2016 # for the shell inside
  within 3 "$BASH" -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

# ssh_banner HOST PORT: does an SSH server introduce itself?
ssh_banner() {
  # shellcheck disable=SC2016 # for the shell inside
  within 6 "$BASH" -c 'exec 3<>"/dev/tcp/$0/$1"; IFS= read -r line <&3; [[ $line == SSH-2.0-* ]]' \
    "$1" "$2" 2>/dev/null
}

# --- files and file systems ----------------------------------------------------

MOUNTINFO=${MOUNTINFO:-/proc/self/mountinfo}

# nfs_source PATH: what is mounted exactly there over NFS, or nothing. The last
# line counts: the automount's own entry stands before it.
nfs_source() {
  awk -v at="$1" '
    $5 == at { for (i = 7; i < NF; i++) if ($i == "-") { type = $(i + 1); source = $(i + 2); break } }
    END { if (type ~ /^nfs4?$/) print source }' "$MOUNTINFO"
}

# is_mounted PATH: anything at all, an automount included.
is_mounted() { awk -v at="$1" '$5 == at { found = 1 } END { exit !found }' "$MOUNTINFO"; }

# storage PATH: room left, in bytes and inodes. Below 256 MiB or 1000 inodes
# builds fail before anybody looks.
storage() {
  local line size avail used inodes
  if ! line=$(within 5 df --block-size=1M --output=size,avail,pcent,itotal,iavail -- "$1" 2>/dev/null | tail -n 1) ||
    [ -z "$line" ]; then
    bad "Storage $1: cannot be read"
    return
  fi
  read -r size avail used itotal inodes <<<"$line"
  if [ "$avail" -lt 256 ]; then
    bad "Storage $1: full, $avail MiB free of $size MiB"
  elif [[ $itotal =~ ^[1-9] && $inodes =~ ^[0-9]+$ ]] && [ "$inodes" -lt 1000 ]; then
    bad "Storage $1: out of inodes, $inodes left ($avail MiB free)"
  else
    ok "Storage $1: $avail MiB free of $size MiB ($used used)"
  fi
}
