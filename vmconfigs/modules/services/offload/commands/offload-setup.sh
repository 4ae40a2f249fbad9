# shellcheck shell=bash
# offload-setup: the first set-up of this laptop, step by step. It makes the
# builder key if there is none, overwrites nothing, and may be run again.

COMMENT="nix-builder@laptop-to-desktop"

[ "$#" -eq 0 ] || usage "usage: offload-setup"
need_root offload-setup

title "1. This laptop's key"
if [ ! -e "$BUILDER_KEY" ]; then
  mkdir -p -- "$(dirname -- "$BUILDER_KEY")"
  if within 10 ssh-keygen -q -t ed25519 -N '' -C "$COMMENT" -f "$BUILDER_KEY"; then
    note "made $BUILDER_KEY"
  fi
elif [ ! -e "$BUILDER_KEY.pub" ] && public=$(within 5 ssh-keygen -y -P '' -f "$BUILDER_KEY" 2>/dev/null); then
  printf '%s\n' "$public" >"$BUILDER_KEY.pub"
  note "wrote $BUILDER_KEY.pub again"
fi
problem=$(builder_key_problem)
if [ -n "$problem" ]; then
  bad "Builder key: $problem"
  verdict "Set-up"
fi
ok "Builder key: $BUILDER_KEY"

title "2. The desktop"
check_reachable || verdict "Set-up"

title "3. The desktop lets this laptop build"
if answer=$(as_builder true 2>&1); then
  ok "SSH builder access working"
else
  bad "SSH builder access failed"
  explain_ssh "$answer"
  note "the line to append on the desktop, for example with"
  note "  sudo tee -a ~$BUILDER_USER/.ssh/authorized_keys"
  printf '\n%s\n\n' "$(cat -- "$BUILDER_KEY.pub")"
  note "then run offload-setup again"
  verdict "Set-up"
fi

title "4. Status"
offload-status || failures=$((failures + 1))

title "5. Test build"
offload-test-build || failures=$((failures + 1))

verdict "Set-up"
