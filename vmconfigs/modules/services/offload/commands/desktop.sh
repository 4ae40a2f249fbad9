# shellcheck shell=bash
# What the desktop's commands share.

# each_export FUNCTION: call it with directory and mode of each export.
each_export() {
  local directory mode
  while read -r directory mode <&4; do
    [ -z "$directory" ] || "$1" "$directory" "$mode"
  done 4<<<"$EXPORTS"
}

# public_key_of FILE: the public half of a signing key.
public_key_of() {
  timeout --kill-after=2 10 nix --extra-experimental-features nix-command \
    key convert-secret-to-public <"$1"
}

# unit_running UNIT...: is one of them active?
unit_running() {
  local unit
  for unit in "$@"; do
    if within 5 systemctl is-active --quiet "$unit"; then
      return 0
    fi
  done
  return 1
}

# verify_own PATH [OPTIONS...]: is it signed with the key in the public file?
verify_own() { verify "$@" --option trusted-public-keys "$(cat -- "$CACHE_PUBLIC_KEY" 2>/dev/null)"; }
