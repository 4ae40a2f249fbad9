# shellcheck shell=bash
# offload-generate-cache-keys: a new signing key for the binary cache.
#
#   offload-generate-cache-keys [--yes | --if-missing]
#
# --yes (or --force) overwrites without asking; --if-missing never overwrites,
# and only completes what is not there: the unit offload-cache-keys runs it so.
# Exit status 2: a key exists, nobody said yes, nothing was changed.

USAGE="usage: offload-generate-cache-keys [--yes | --if-missing]"

# install_file FROM TO MODE: in one step, so that no reader sees half a key.
install_file() {
  chmod "$3" "$1"
  mv -f -- "$1" "$2"
}

publish() {
  local new
  new=$(mktemp "$CACHE_PUBLIC_KEY.XXXXXX")
  printf '%s' "$1" >"$new"
  install_file "$new" "$CACHE_PUBLIC_KEY" 0644
}

generate() {
  local directory public
  directory=$(mktemp -d "$(dirname -- "$CACHE_KEY")/.offload-cache-keys.XXXXXX")
  SCRATCH=$directory
  trap 'rm -rf -- "$SCRATCH"' EXIT
  # It opens a store it has no use for; dummy:// is none.
  NIX_REMOTE=dummy:// within 20 nix-store --generate-binary-cache-key "$CACHE_KEY_NAME" \
    "$directory/private" "$directory/public"
  public=$(public_key_of "$directory/private")
  if [[ ! $public =~ ^[^:]+:[A-Za-z0-9+/]{43}=$ ]] || [ "$public" != "$(cat -- "$directory/public")" ]; then
    bad "nix-store wrote a pair that does not match; nothing was changed"
    exit 1
  fi
  install_file "$directory/private" "$CACHE_KEY" 0600
  install_file "$directory/public" "$CACHE_PUBLIC_KEY" 0644
}

# confirm: a "yes" on standard input, typed or piped, within a minute.
confirm() {
  local answer="" patience=10
  [ ! -t 0 ] || patience=60
  printf '%s exists. With a new key, every laptop has to be told the new public key. Overwrite? [y/N] ' "$CACHE_KEY"
  read -r -t "$patience" answer || {
    printf '\n'
    return 2
  }
  case $answer in
    y | Y | yes | Yes | YES) return 0 ;;
    *) return 1 ;;
  esac
}

# restart_server: systemd gave nix-serve the old key when it started.
restart_server() {
  if ! within 5 systemctl cat nix-serve.service >/dev/null 2>&1; then
    note "nix-serve is not set up on this machine yet"
    return
  fi
  if ! within 60 systemctl restart nix-serve.service; then
    bad "nix-serve did not restart, and would sign with the old key: journalctl -u nix-serve"
    return
  fi
  if within 40 curl --silent --fail --output /dev/null --retry 15 --retry-delay 1 --retry-connrefused \
    --max-time 30 "$CACHE_URL/nix-cache-info"; then
    ok "nix-serve restarted with the new key"
  else
    bad "nix-serve restarted, and does not answer at $CACHE_URL"
  fi
}

overwrite=ask
for argument in "$@"; do
  case $argument in
    --yes | --force) overwrite=yes ;;
    --if-missing) overwrite=no ;;
    *) usage "$USAGE" ;;
  esac
done
[ "$overwrite" = no ] || need_root offload-generate-cache-keys "$@"
umask 077

if [ -s "$CACHE_KEY" ]; then
  present=$(public_key_of "$CACHE_KEY" 2>/dev/null) || present=""
  if [ "$overwrite" = no ]; then
    [ -n "$present" ] || {
      bad "$CACHE_KEY is no Nix signing key; sudo offload-generate-cache-keys replaces it"
      exit 1
    }
    [ "$present" = "$(cat -- "$CACHE_PUBLIC_KEY" 2>/dev/null)" ] || publish "$present"
    exit 0
  fi
  if [ "$overwrite" = ask ]; then
    answer=0
    confirm || answer=$?
    if [ "$answer" -ne 0 ]; then
      printf 'Nothing was changed. The present public key:\n%s\n' "${present:-$CACHE_KEY is unreadable}"
      if [ "$answer" -eq 2 ]; then
        printf 'offload-generate-cache-keys: nobody answered; --yes overwrites without asking\n' >&2
        exit 2
      fi
      exit 0
    fi
  fi
elif [ "$overwrite" = no ]; then
  generate
  exit 0
fi

generate
ok "Cache signing key: written to $CACHE_KEY"
ok "Public key: written to $CACHE_PUBLIC_KEY"
restart_server
printf '\nLaptops must trust this key (cachePublicKeys), and no longer the one before:\n%s\n' "$(cat -- "$CACHE_PUBLIC_KEY")"
verdict "Signing key"
