# shellcheck shell=bash
# cache-status: does the LAN's binary cache answer, and will Nix use it?

[ "$#" -eq 0 ] || usage "usage: cache-status"

title "Local cache"
if probe_cache; then
  ok "Local cache reachable at $CACHE_URL"
  ok "Local cache answers HTTP, and its Nix daemon answers it"
  sed -n 's/^\(Priority\|StoreDir\): /   &/p' <<<"$CACHE_INFO"
else
  bad "Local cache not reachable at $CACHE_URL"
  note "$CACHE_PROBLEM"
fi

title "Nix"
if ! load_nix_settings; then
  bad "Nix settings: \"nix config show\" does not answer"
  verdict "Binary cache"
fi

# Seconds; 0 leaves it to curl, which waits for five minutes.
timeout=$(nix_setting connect-timeout)
if [ "${timeout:-0}" -ge 1 ] && [ "$timeout" -le 10 ]; then
  ok "Timeout: $timeout s to connect, $(nix_setting download-attempts) attempts"
else
  bad "Timeout: connect-timeout is ${timeout:-unset}; a cache that is away holds up every build"
fi

if [ "$(nix_setting fallback)" = true ]; then
  ok "Fallback: builds go on without the cache"
else
  bad "Fallback: off; a download that fails, fails the build"
fi

substituters=$(nix_setting substituters)
printf '   Active substituters: %s\n' "${substituters:-none}"
listed=0
for substituter in $substituters; do
  substituter=${substituter%%\?*}
  [ "${substituter%/}" != "$CACHE_URL" ] || listed=1
done
if [ "$CACHE_USED" = 1 ]; then
  if [ "$listed" = 1 ]; then
    ok "Local cache is an active substituter"
  else
    bad "Local cache $CACHE_URL is no active substituter"
  fi
else
  note "this machine is not meant to use $CACHE_URL itself"
fi

keys=$(nix_setting trusted-public-keys)
others=0
for key in $keys; do
  if [[ ! $key =~ ^[^:]+:[A-Za-z0-9+/]{43}=$ ]]; then
    bad "Trusted key \"$key\" is malformed, which breaks the check of every signature"
  fi
  [ "${key%%:*}" = cache.nixos.org-1 ] || others=$((others + 1))
done
if [ "$CACHE_USED" = 1 ] && [ "$others" -eq 0 ]; then
  warn "no key but cache.nixos.org's is trusted: what the LAN's cache signs itself will not be used"
fi

verdict "Binary cache"
