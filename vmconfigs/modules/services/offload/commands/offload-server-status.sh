# shellcheck shell=bash
# offload-server-status: does this desktop serve what laptops ask of it?

check_unit() {
  local name=$1 port=$2
  shift 2
  if unit_running "$@"; then
    ok "$name: Running (port $port)"
  else
    bad "$name: Inactive"
    note "systemctl status $1; journalctl -u $1"
    return 1
  fi
}

check_key() {
  local mode owner public
  if [ ! -s "$CACHE_KEY" ]; then
    bad "Cache signing key: Missing"
    note "sudo offload-generate-cache-keys makes $CACHE_KEY"
    return
  fi
  read -r owner mode < <(stat -c '%u %a' -- "$CACHE_KEY")
  if [ "$owner" != 0 ] || [ $((0$mode & 077)) -ne 0 ]; then
    bad "Cache signing key: Present, and open to others (owner $owner, mode $mode): sudo chown root $CACHE_KEY; sudo chmod 600 $CACHE_KEY"
    return
  fi
  if ! public=$(public_key_of "$CACHE_KEY" 2>/dev/null) || [ "$public" != "$(cat -- "$CACHE_PUBLIC_KEY" 2>/dev/null)" ]; then
    bad "Cache signing key: Present, but $CACHE_PUBLIC_KEY is not its public half"
    return
  fi
  ok "Cache signing key: Present"
  note "Public key: $public"
}

check_cache() {
  local sample answer status=0
  if ! probe_cache; then
    bad "Cache not accessible"
    note "$CACHE_PROBLEM"
    return
  fi
  ok "Cache accessible"
  printf '   %s\n' "${CACHE_INFO//$'\n'/$'\n   '}"
  # This very program: a path of this machine's that no other cache signed.
  sample=$(store_path "$0")
  if [ -z "$sample" ] || ! needs_signature "$sample"; then
    return
  fi
  answer=$(verify_own "$sample" --no-contents 2>&1) || status=$?
  case $status in
    0) ok "Cache signs with the key in $CACHE_PUBLIC_KEY" ;;
    2)
      bad "Cache does not sign with the key in $CACHE_PUBLIC_KEY"
      note "after a change of the key: sudo systemctl restart nix-serve"
      ;;
    *)
      bad "Cache: its signature cannot be checked"
      note "$(tail -n 1 <<<"$answer")"
      ;;
  esac
}

# key_lines FILE...: how many keys they hold.
key_lines() { cat -- "$@" 2>/dev/null | grep -cE '^[[:space:]]*[^#[:space:]]' || true; }

check_builder() {
  local shell file mode owner
  PASSWD=${PASSWD:-/etc/passwd}
  shell=$(awk -F: -v user="$BUILDER_USER" '$1 == user { print $7 }' "$PASSWD")
  if [ -z "$shell" ]; then
    bad "Builder user: $BUILDER_USER does not exist"
    return
  fi
  case $shell in
    */nologin | */false)
      bad "Builder user: $BUILDER_USER has no shell ($shell), so no build can start"
      return
      ;;
  esac
  for file in "$BUILDER_HOME" "$BUILDER_HOME/.ssh" "$BUILDER_HOME/.ssh/authorized_keys"; do
    if [ ! -e "$file" ]; then
      bad "Builder user: $file is missing"
      return
    fi
    read -r owner mode < <(stat -c '%U %a' -- "$file")
    if { [ "$owner" != "$BUILDER_USER" ] && [ "$owner" != root ]; } || [ $((0$mode & 022)) -ne 0 ]; then
      bad "Builder user: $file has owner $owner and mode $mode; sshd ignores keys that others can write"
      return
    fi
  done
  ok "Builder user: $BUILDER_USER"
  note "Authorized keys: $(key_lines "$BUILDER_HOME/.ssh/authorized_keys" "/etc/ssh/authorized_keys.d/$BUILDER_USER")"

  if ! load_nix_settings; then
    bad "Nix settings: \"nix config show\" does not answer"
  elif has_word "$BUILDER_USER" "$(nix_setting trusted-users)"; then
    ok "Nix trusts $BUILDER_USER"
  else
    bad "Nix does not trust $BUILDER_USER: not in trusted-users"
  fi
}

exported=""

check_export() {
  local directory=$1 mode=$2 line
  line=$(awk -v path="$directory" '$1 == path' <<<"$exported")
  if [ ! -d "$directory" ]; then
    bad "NFS export $directory: there is no such directory"
  elif [ -z "$line" ]; then
    bad "NFS export $directory: not exported"
    note "sudo exportfs -ra"
  elif ! grep -qF " $NETWORK(" <<<"$line"; then
    bad "NFS export $directory: not to $NETWORK"
  elif ! grep -qE "[(,]${mode}[,)]" <<<"$line"; then
    bad "NFS export $directory: not $mode"
  elif [ "$mode" = rw ] && ! grep -qE '[(,]no_root_squash[,)]' <<<"$line"; then
    bad "NFS export $directory: laptops' root may not write (root_squash)"
  else
    ok "NFS export $directory ($mode) to $NETWORK"
  fi
}

check_nfs() {
  local threads
  check_unit NFS 2049 nfs-server.service || return 0
  threads=$(cat "${NFSD_THREADS:-/proc/fs/nfsd/threads}" 2>/dev/null) || threads=""
  if [ "${threads:-1}" = 0 ]; then
    bad "NFS: nfs-server is active and has no threads: sudo systemctl restart nfs-server"
  fi
  exported=$(within 5 exportfs -s 2>/dev/null) || exported=""
  each_export check_export
}

[ "$#" -eq 0 ] || usage "usage: offload-server-status"
need_root offload-server-status

title "Services"
check_unit nix-serve "$CACHE_PORT" nix-serve.service || true
check_unit sshd "$SSH_PORT" sshd.service sshd.socket || true
if [ -n "$EXPORTS" ]; then
  check_nfs
else
  note "NFS: not enabled"
fi

title "Cache"
check_key
check_cache

title "Builder"
check_builder

title "Storage"
storage /nix/store

verdict "Offload server"
