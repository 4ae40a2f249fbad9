# The laptop's side of offloading: builds run on the desktop, its cache is asked
# before the internet, its store is mounted under /nix/store-remote.
#
#   services.laptop-offload-client = {
#     enable = true;
#     cachePublicKeys = [ "cache.local:…" ];   # offload-generate-cache-keys prints it
#   };
#
# then `sudo offload-setup` walks through the rest: it makes the builder key,
# and says which line the desktop needs.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.laptop-offload-client;
in
{
  imports = [ ./offload/client.nix ];

  options.services.laptop-offload-client = {
    enable = lib.mkEnableOption "building on the desktop, with its cache and its shares";

    desktopIP = lib.mkOption {
      type = lib.types.str;
      default = "192.168.15.7";
      description = ''
        The desktop's address: builds, cache, shares and SSH all go there.
      '';
    };

    laptopIP = lib.mkOption {
      type = lib.types.str;
      default = "192.168.15.9";
      description = ''
        This laptop's own address. Nothing depends on it; {command}`offload-status`
        says when the laptop has another one, since the desktop exports its
        shares to one network only.
      '';
    };

    builderUser = lib.mkOption {
      type = lib.types.str;
      default = "nix-builder";
      description = "User on the desktop who builds, `services.offload-server.builderUser` there.";
    };

    builderKeyPath = lib.mkOption {
      type = lib.types.str;
      default = "/etc/nix/builder_key";
      description = ''
        Private key with which this laptop's Nix daemon logs in: ed25519, without
        a passphrase, mode 0600, owned by root. Not in the store, which
        everybody can read.
      '';
    };

    cachePort = lib.mkOption {
      type = lib.types.port;
      default = 5000;
      description = "Port of the desktop's binary cache.";
    };

    cachePublicKeys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      description = ''
        Public keys that the desktop's cache signs with, as
        {command}`offload-generate-cache-keys` prints them. Those of
        cache.nixos.org stay trusted.
      '';
    };

    desktopHostKey = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeskKey";
      description = ''
        The desktop's SSH host key ({file}`/etc/ssh/ssh_host_ed25519_key.pub`
        there, without the comment). If null, the key seen at the first
        connection is pinned in {file}`/var/lib/nix-offload-client/known_hosts`,
        and a different one is refused from then on.
      '';
    };

    desktopJobs = lib.mkOption {
      type = lib.types.ints.positive;
      default = 4;
      description = "How many builds are sent to the desktop at the same time.";
    };

    systems = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ pkgs.stdenv.hostPlatform.system ];
      defaultText = lib.literalExpression "[ pkgs.stdenv.hostPlatform.system ]";
      description = "Platforms the desktop builds for.";
    };

    supportedFeatures = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [
        "nixos-test"
        "benchmark"
        "big-parallel"
        "kvm"
      ];
      description = "System features the desktop offers to builds that require them.";
    };

    mountShares = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether to mount the desktop's store (read-only) on
        {file}`/nix/store-remote` and its {file}`/var/lib/nix-offload` on
        {file}`/var/lib/nix-offload-remote`, at first use.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    services.offload = {
      client = {
        enable = true;
        inherit (cfg)
          desktopIP
          laptopIP
          builderUser
          builderKeyPath
          cachePort
          desktopHostKey
          desktopJobs
          systems
          supportedFeatures
          mountShares
          ;
      };
      cacheKeys = cfg.cachePublicKeys;
    };
  };
}
