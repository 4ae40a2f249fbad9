# shellcheck shell=bash
# offload-status: can this laptop offload its builds, right now?

sample=""

check_ssh() {
  local problem answer status=0
  problem=$(builder_key_problem)
  if [ -n "$problem" ]; then
    bad "SSH builder access: $problem"
    return
  fi
  answer=$(as_builder 'nix --extra-experimental-features nix-command store info --store daemon 2>&1; readlink -f /run/current-system' 2>&1) || status=$?
  case $status in
    124 | 137 | 255)
      bad "SSH builder access failed"
      explain_ssh "$answer"
      return
      ;;
  esac
  # A path the desktop has, to ask its cache for.
  sample=$(grep -oE '^/nix/store/[0-9a-z]{32}-[^/]+$' <<<"$answer" | tail -n 1) || true
  if ! grep -q '^Trusted: ' <<<"$answer"; then
    bad "SSH builder access: $BUILDER_USER logs in, and cannot use Nix there"
    note "$(head -n 1 <<<"$answer")"
    return
  fi
  ok "SSH builder access working"
  if grep -q '^Trusted: 1' <<<"$answer"; then
    ok "Desktop's Nix trusts $BUILDER_USER"
  else
    bad "Desktop's Nix does not trust $BUILDER_USER: it refuses inputs that \"lack a signature\""
    note "on the desktop, nix.settings.trusted-users must name $BUILDER_USER"
  fi
}

check_builders() {
  local problem
  if ! load_nix_settings; then
    bad "Nix settings: \"nix config show\" does not answer"
    return
  fi
  problem=$(builders_problem)
  if [ -z "$problem" ]; then
    ok "Nix sends builds to $DESKTOP_IP"
  else
    bad "Nix does not offload: $problem"
  fi
  if [ "$(nix_setting max-jobs)" = 0 ]; then
    warn "max-jobs is 0: nothing can be built while the desktop is away"
  fi
}

check_share() {
  local where=$1 what=$2 mode=$3 source first probe
  touch_share "$where"
  source=$(nfs_source "$where")
  if [ "$source" != "$what" ]; then
    bad "$where not mounted"
    note "expected there: $what over NFS; found: ${source:-none}. sudo offload-mount tries again"
    return
  fi
  if ! first=$(within 10 find "$where" -mindepth 1 -maxdepth 1 -print -quit 2>/dev/null) ||
    { [ "$mode" = ro ] && [ -z "$first" ]; }; then
    bad "$where mounted, but cannot be read"
    return
  fi
  if [ "$mode" = rw ]; then
    if ! probe=$(within 10 mktemp "$where/.offload-status.XXXXXX" 2>/dev/null); then
      bad "$where mounted, but writes are denied"
      note "does the desktop export it read-write, with no_root_squash?"
      return
    fi
    within 10 rm -f -- "$probe" || true
  fi
  ok "$where mounted"
  note "$(within 5 df -h --output=used,size -- "$where" 2>/dev/null | tail -n 1 | awk '{ print $1 " used of " $2 }')"
}

# Looking into a share whose server does not answer takes half a minute.
check_share_away() {
  bad "$1 not mounted"
  [ "$reachable" = 0 ] || note "nothing answers at port $NFS_PORT of the desktop: is its NFS server running, and its firewall open?"
}

check_cache() {
  local answer status=0
  if ! probe_cache; then
    bad "Desktop cache not accessible"
    note "$CACHE_PROBLEM"
    return
  fi
  ok "Desktop cache accessible"
  if [ -z "$sample" ] || ! needs_signature "$sample"; then
    return
  fi
  answer=$(verify "$sample" --no-contents 2>&1) || status=$?
  case $status in
    0) ok "Desktop cache signs with a key this laptop trusts" ;;
    2)
      bad "Desktop cache signs with no key this laptop trusts, so Nix will not use it"
      note "trusted: $(nix_setting trusted-public-keys)"
      note "offload-server-status on the desktop prints its key: put it into cachePublicKeys"
      ;;
    *)
      bad "Desktop cache: its signature cannot be checked"
      note "$(tail -n 1 <<<"$answer")"
      ;;
  esac
}

check_address() {
  local addresses
  [ -n "$LAPTOP_IP" ] || return 0
  addresses=$(awk '/32 host LOCAL/ { print last } { last = $2 }' "${FIB_TRIE:-/proc/net/fib_trie}" 2>/dev/null | sort -u) || return 0
  has_word "$LAPTOP_IP" "$addresses" || warn "this laptop is not at $LAPTOP_IP, where it is meant to be"
}

[ "$#" -eq 0 ] || usage "usage: offload-status"
need_root offload-status

title "Desktop"
if check_reachable; then
  reachable=1
else
  reachable=0
fi
check_address

title "Builds"
check_builders
if [ "$reachable" = 1 ]; then
  check_ssh
else
  bad "SSH builder access: not tried, the desktop is unreachable"
fi

if [ -n "$SHARES" ]; then
  title "Shares"
  if [ "$reachable" = 1 ] && tcp_open "$DESKTOP_IP" "$NFS_PORT"; then
    each_share check_share
  else
    each_share check_share_away
  fi
fi

title "Cache"
if [ "$reachable" = 1 ]; then
  check_cache
else
  bad "Desktop cache not accessible"
fi

title "Storage"
storage /nix/store

verdict "Offload"
