# shellcheck shell=bash
# offload-unmount: unmount the desktop's shares, and keep them so until
# offload-mount or the next start.

unmount_share() {
  local where=$1 automount mount
  automount=$(mount_unit "$where" automount)
  mount=$(mount_unit "$where" mount)
  # The automount first, or the next look at the path mounts it again.
  within 20 systemctl stop "$automount" "$mount" 2>/dev/null || true
  # Busy, or the desktop is gone: take it out of the tree, and let the kernel
  # finish when it can.
  if is_mounted "$where"; then
    within 10 umount --lazy --force -- "$where" 2>/dev/null || true
  fi
  if is_mounted "$where"; then
    within 10 umount --lazy -- "$where" 2>/dev/null || true
  fi
  if is_mounted "$where"; then
    bad "$where still mounted"
  else
    ok "$where unmounted"
  fi
}

[ "$#" -eq 0 ] || usage "usage: offload-unmount"
need_root offload-unmount
[ -n "$SHARES" ] || usage "offload-unmount: no share is configured (mountShares)"

each_share unmount_share
verdict "Shares"
