# shellcheck shell=bash
# offload-server-test: use each service of this desktop as a laptop would.

test_ssh() {
  if ssh_banner "$SERVER_ADDRESS" "$SSH_PORT"; then
    ok "SSH: a server answers at $SERVER_ADDRESS:$SSH_PORT"
  else
    bad "SSH: no server answers at $SERVER_ADDRESS:$SSH_PORT"
  fi
  # No key of a laptop's is here to log in with; what comes after a login is
  # tested as the builder.
  local answer
  answer=$(within 15 setpriv --reuid="$BUILDER_USER" --regid="$BUILDER_USER" --init-groups \
    env HOME="$BUILDER_HOME" nix --extra-experimental-features nix-command store info --store daemon 2>&1) || true
  if grep -q '^Trusted: 1' <<<"$answer"; then
    ok "SSH: $BUILDER_USER reaches Nix, and is trusted"
  else
    bad "SSH: $BUILDER_USER cannot build: $(tail -n 1 <<<"$answer")"
  fi
}

test_cache() {
  local sample
  if ! probe_cache; then
    bad "Cache: $CACHE_PROBLEM"
    return
  fi
  ok "Cache: answers at $CACHE_URL"
  sample=$(store_path "$0")
  if [ -z "$sample" ]; then
    note "no store path at hand to fetch"
  elif verify_own "$sample" >"$SCRATCH/verify" 2>&1; then
    if needs_signature "$sample"; then
      ok "Cache: a path was fetched, its contents and signature are right"
    else
      ok "Cache: a path was fetched, its contents are right"
    fi
  else
    bad "Cache: a path could not be fetched or verified: $(tail -n 1 "$SCRATCH/verify")"
  fi
}

test_build() {
  local nonce path seen="" status=0
  nonce=$(new_nonce)
  path=$(nonce_build "$nonce" --builders "" --max-jobs 1 2>"$SCRATCH/log") || status=$?
  if [ "$status" -eq 0 ]; then
    read -r seen _ <"$path" || true
  fi
  if [ -n "$seen" ] && [ "$seen" = "$nonce" ]; then
    ok "Local build: works"
  else
    bad "Local build: failed (exit status $status)"
    tail -n 5 "$SCRATCH/log" | sed 's/^/   | /'
  fi
}

# Mounted for a moment, from this machine's own address on the LAN.
test_export() {
  local directory=$1 mode=$2 at=$SCRATCH/mount probe
  mkdir -p -- "$at"
  if ! within 15 mount -t nfs -o "$mode,nfsvers=4.2,soft,timeo=30,retrans=1,nosuid,nodev" \
    "$SERVER_ADDRESS:$directory" "$at" 2>"$SCRATCH/log"; then
    bad "NFS export $directory: cannot be mounted: $(tail -n 1 "$SCRATCH/log")"
    return
  fi
  if ! within 10 find "$at" -mindepth 1 -maxdepth 1 -print -quit >/dev/null 2>&1; then
    bad "NFS export $directory: mounts, and cannot be read"
  elif [ "$mode" = rw ] && ! probe=$(within 10 mktemp "$at/.offload-server-test.XXXXXX" 2>/dev/null); then
    bad "NFS export $directory: mounts, and cannot be written to"
  else
    [ "$mode" = ro ] || within 10 rm -f -- "$probe" || true
    ok "NFS export $directory: mounted and used ($mode)"
  fi
  within 10 umount -- "$at" 2>/dev/null || within 10 umount --lazy -- "$at" || true
}

[ "$#" -eq 0 ] || usage "usage: offload-server-test"
need_root offload-server-test
make_scratch

title "SSH"
test_ssh
title "Cache"
test_cache
title "Build"
test_build
if [ -n "$EXPORTS" ]; then
  title "NFS"
  each_export test_export
fi

verdict "Offload server"
