# shellcheck shell=bash
# What the laptop's commands share.

# desktop_reachable: by ping, or by a port that accepts: ICMP may be blocked
# where everything else works. Both ports are tried at the same time.
desktop_reachable() {
  local ssh cache open=1
  within 4 ping -c 1 -W 2 "$DESKTOP_IP" >/dev/null 2>&1 && return 0
  tcp_open "$DESKTOP_IP" "$SSH_PORT" &
  ssh=$!
  tcp_open "$DESKTOP_IP" "$CACHE_PORT" &
  cache=$!
  wait "$ssh" && open=0
  wait "$cache" && open=0
  return "$open"
}

# check_reachable: the same, told to the user.
check_reachable() {
  if desktop_reachable; then
    ok "Desktop reachable at $DESKTOP_IP"
  else
    bad "Desktop unreachable at $DESKTOP_IP"
    note "no answer to ping, nor on ports $SSH_PORT and $CACHE_PORT: is it on, and on this network?"
    return 1
  fi
}

# builder_key_problem: what is wrong with the daemon's key pair, or nothing.
builder_key_problem() {
  local owner mode derived words published
  if [ ! -e "$BUILDER_KEY" ]; then
    printf '%s is missing; sudo offload-setup makes it' "$BUILDER_KEY"
    return
  fi
  read -r owner mode < <(stat -c '%u %a' -- "$BUILDER_KEY")
  if [ "$owner" != 0 ] || [ $((0$mode & 077)) -ne 0 ]; then
    printf '%s has owner %s and mode %s, ssh wants root and 0600: sudo chown root %s; sudo chmod 600 %s' \
      "$BUILDER_KEY" "$owner" "$mode" "$BUILDER_KEY" "$BUILDER_KEY"
    return
  fi
  if ! derived=$(within 5 ssh-keygen -y -P '' -f "$BUILDER_KEY" 2>/dev/null); then
    printf '%s is no private key, or has a passphrase that the daemon cannot type' "$BUILDER_KEY"
    return
  fi
  if [ -r "$BUILDER_KEY.pub" ]; then
    read -r -a words <<<"$derived"
    read -r -a published <"$BUILDER_KEY.pub" || true
    if [ "${words[*]:0:2}" != "${published[*]:0:2}" ]; then
      printf '%s.pub is not the public half of %s: the desktop was given the wrong key' "$BUILDER_KEY" "$BUILDER_KEY"
    fi
  fi
}

# as_builder COMMAND: on the desktop, logged in as the daemon does: as root here,
# with its key, by the rules in /etc/ssh/ssh_config.
as_builder() {
  within 20 ssh -n -o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=5 \
    -p "$SSH_PORT" -i "$BUILDER_KEY" -- "$BUILDER_USER@$DESKTOP_IP" "$1"
}

# explain_ssh TEXT: what ssh (or Nix, quoting it) complained of.
explain_ssh() {
  case $1 in
    *"REMOTE HOST IDENTIFICATION HAS CHANGED"* | *"host key for "*" has changed"*)
      note "the desktop's SSH host key is not the one seen before. Only if that is right:"
      note "sudo ssh-keygen -R $DESKTOP_IP -f $KNOWN_HOSTS"
      ;;
    *"Host key verification failed"*)
      note "the desktop's SSH host key is not the one in $KNOWN_HOSTS"
      ;;
    *"Permission denied"*)
      note "the desktop does not accept this laptop's key. Append the line of $BUILDER_KEY.pub there to"
      note "authorized_keys of $BUILDER_USER (mode 0600, in a .ssh of mode 0700)"
      ;;
    *"UNPROTECTED PRIVATE KEY"*) note "$BUILDER_KEY is readable for others: sudo chmod 600 $BUILDER_KEY" ;;
    *"Connection refused"*) note "nothing listens on port $SSH_PORT of the desktop: is sshd running?" ;;
    *"timed out"* | *"No route to host"* | "") note "no answer from port $SSH_PORT of the desktop" ;;
    *) note "ssh: $(tail -n 1 <<<"$1")" ;;
  esac
}

# builders_problem: why Nix's daemon would not send builds to the desktop, or
# nothing. A list in `builders` hides /etc/nix/machines.
builders_problem() {
  local builders where address
  builders=$(nix_setting builders)
  where="builders in /etc/nix/nix.conf"
  if [ -z "$builders" ]; then
    printf 'the effective setting "builders" is empty: is nix.distributedBuilds on?'
    return
  fi
  if [ "${builders#@}" != "$builders" ]; then
    where=${builders#@}
    builders=$(cat -- "$where" 2>/dev/null) || builders=""
  fi
  address=${DESKTOP_IP//./\\.}
  if ! grep -qE "(^|[[:space:];]|//|@)$address([[:space:]?;]|\$)" <<<"$builders"; then
    printf 'the desktop %s is not in %s' "$DESKTOP_IP" "$where"
  fi
}

# each_share FUNCTION: call it with mount point, source and mode of each share.
each_share() {
  local where what mode
  while read -r where what mode <&4; do
    [ -z "$where" ] || "$1" "$where" "$what" "$mode"
  done 4<<<"$SHARES"
}

# mount_unit PATH SUFFIX: name of its unit.
mount_unit() { systemd-escape --path --suffix="$2" -- "$1"; }

# touch_share PATH: go there, which makes the automount mount it.
touch_share() { within 14 stat -- "$1/." >/dev/null 2>&1 || true; }
