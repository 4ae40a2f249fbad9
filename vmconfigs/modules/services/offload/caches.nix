# The LAN's binary caches and the keys they sign with: one place, so that a
# client module and `binary-cache.nix` may both name the same cache without
# listing it twice in nix.conf.
#
# Internal: users set `services.laptop-offload-client`,
# `services.laptop-builder-client` or `kernelcore.system.binary-cache`.
{ config, lib, ... }:
let
  cfg = config.services.offload;

  # What cache.nixos.org says of itself in its nix-cache-info. Nix asks
  # substituters by ascending priority, then in the order they are listed.
  upstreamPriority = 40;

  # With the default nothing is appended to the URL, and the cache's own
  # nix-cache-info decides: nix-serve says 30, which is before the internet.
  uri =
    url: cache:
    if cache.priority == upstreamPriority then
      url
    else
      "${url}?priority=${toString cache.priority}";

  # `lib.mkAfter` (1500) is where NixOS puts cache.nixos.org.
  order = cache: if cache.priority > upstreamPriority then 1600 else 400;

  # name:base64 of 32 bytes. One malformed entry in trusted-public-keys breaks
  # the check of every signature, so it may not get that far.
  publicKey = lib.types.strMatching "[^:[:space:]]+:[A-Za-z0-9+/]{43}=" // {
    description = "public key of a binary cache (name:base64)";
  };
in
{
  options.services.offload = {
    caches = lib.mkOption {
      internal = true;
      default = { };
      type = lib.types.attrsOf (
        lib.types.submodule {
          options.priority = lib.mkOption {
            type = lib.types.ints.unsigned;
            default = upstreamPriority;
            description = "Lower is asked first; ${toString upstreamPriority} leaves it to the cache.";
          };
        }
      );
      description = "Binary caches on the LAN, by URL.";
    };

    cacheKeys = lib.mkOption {
      internal = true;
      default = [ ];
      type = lib.types.listOf publicKey;
      apply = lib.unique;
      description = "Public keys that the LAN's caches sign with.";
    };
  };

  config = lib.mkIf (cfg.caches != { }) {
    nix.settings = lib.mkMerge [
      (import ./nix-settings.nix { inherit lib; })
      {
        substituters = lib.mkMerge (
          lib.mapAttrsToList (url: cache: lib.mkOrder (order cache) [ (uri url cache) ]) cfg.caches
        );
        trusted-public-keys = cfg.cacheKeys;

        # Seconds for which Nix believes what a cache said of a path. A LAN
        # cache gets new paths all day, so a "no" is not remembered at all
        # (default 3600); and a "yes" is dropped before a garbage collection or
        # a new signing key on the desktop makes it a lie (default 30 days).
        narinfo-cache-negative-ttl = lib.mkOverride 1100 0;
        narinfo-cache-positive-ttl = lib.mkOverride 1100 60;
      }
    ];
  };
}
