# shellcheck shell=bash
# offload-mount: mount the desktop's shares now, and at first use from now on.

mount_share() {
  local where=$1 what=$2 automount mount source
  automount=$(mount_unit "$where" automount)
  mount=$(mount_unit "$where" mount)
  # A unit that failed while the desktop was away is not tried again by itself.
  within 5 systemctl reset-failed "$automount" "$mount" 2>/dev/null || true
  if ! within 10 systemctl start "$automount"; then
    note "systemctl start $automount failed"
  fi
  touch_share "$where"
  source=$(nfs_source "$where")
  if [ "$source" = "$what" ]; then
    ok "$where mounted"
  else
    bad "$where not mounted"
    within 5 journalctl --quiet --no-pager --output=cat --lines=3 --unit="$mount" 2>/dev/null | sed 's/^/   | /' || true
  fi
}

not_mounted() { bad "$1 not mounted"; }

[ "$#" -eq 0 ] || usage "usage: offload-mount"
need_root offload-mount
[ -n "$SHARES" ] || usage "offload-mount: no share is configured (mountShares)"

if check_reachable; then
  each_share mount_share
else
  each_share not_mounted
fi
verdict "Shares"
