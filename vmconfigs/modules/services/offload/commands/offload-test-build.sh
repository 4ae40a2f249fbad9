# shellcheck shell=bash
# offload-test-build: build something new, on the desktop and nowhere else, and
# prove that it was built there.

explain_build() {
  case $1 in
    *"unable to start any build"* | *"required to build"*)
      note "no builder took it, and this test lets nothing be built here"
      ;;
    *"lacks a signature"* | *"lack a signature"* | *"signature by a trusted key"*)
      note "the desktop's Nix does not trust $BUILDER_USER: nix.settings.trusted-users there must name it"
      ;;
    *"is forbidden in restricted mode"*) note "this laptop's Nix has restrict-eval on, which forbids the test's expression" ;;
  esac
  case $1 in
    *"Permission denied"* | *"HAS CHANGED"* | *"Host key verification failed"* | *"timed out"* | *"Connection refused"* | *"UNPROTECTED"*)
      explain_ssh "$1"
      ;;
  esac
}

failed() {
  bad "Remote build test failed!"
  note "$1"
  verdict "Remote build"
}

# Root asks the desktop itself. Anybody else asks its cache: a path that nobody
# had before, valid on the desktop, was built there.
built_on_desktop() {
  local path=$1 boot=$2 answer own
  if [ "$(id -u)" -eq 0 ]; then
    answer=$(as_builder "nix-store --check-validity $path && cat /proc/sys/kernel/random/boot_id" 2>&1) || {
      explain_ssh "$answer"
      return 1
    }
    [ "$(tail -n 1 <<<"$answer")" = "$boot" ]
    return
  fi
  own=$(cat "$BOOT_ID")
  [ "$boot" != "$own" ] && narinfo "$path" >/dev/null
}

BOOT_ID=${BOOT_ID:-/proc/sys/kernel/random/boot_id}

[ "$#" -eq 0 ] || usage "usage: offload-test-build"
make_scratch

check_reachable || failed "the desktop is away"

if ! load_nix_settings; then
  failed "\"nix config show\" does not answer"
fi
problem=$(builders_problem)
[ -z "$problem" ] || failed "Nix does not offload: $problem"

nonce=$(new_nonce)
printf '   building offload-%s with max-jobs 0 ...\n' "$nonce"
started=$SECONDS
status=0
path=$(nonce_build "$nonce" --max-jobs 0 2>"$SCRATCH/log") || status=$?
took=$((SECONDS - started))
if [ "$status" -ne 0 ]; then
  tail -n 5 "$SCRATCH/log" | sed 's/^/   | /'
  explain_build "$(cat "$SCRATCH/log")"
  case $status in
    124 | 137) failed "stopped after $took s: the desktop did not finish, or another upload holds the lock" ;;
  esac
  failed "nix-build exited with $status"
fi

read -r seen boot <"$path" || true
[ "${seen:-}" = "$nonce" ] || failed "$path does not hold what was built: ${seen:-nothing}"
built_on_desktop "$path" "${boot:-}" ||
  failed "$path exists, but nothing proves that $DESKTOP_IP built it (boot id ${boot:-unknown})"

ok "Remote build test successful"
note "$path was built at $DESKTOP_IP, boot id $boot, in $took s"
verdict "Remote build"
