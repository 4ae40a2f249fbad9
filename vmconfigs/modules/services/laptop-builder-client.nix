# The alternative client, for a laptop that wants the desktop's processors and
# its cache, and no shares:
#
#   services.laptop-builder-client = {
#     enable = true;
#     desktopIP = "192.168.15.7";
#   };
{ config, lib, ... }:
let
  cfg = config.services.laptop-builder-client;
in
{
  imports = [ ./offload/client.nix ];

  options.services.laptop-builder-client = {
    enable = lib.mkEnableOption "building on the desktop";

    desktopIP = lib.mkOption {
      type = lib.types.str;
      example = "192.168.15.7";
      description = "The desktop's address.";
    };

    builderKeyPath = lib.mkOption {
      type = lib.types.str;
      default = "/etc/nix/builder_key";
      description = ''
        Private key with which this laptop's Nix daemon logs in: ed25519, without
        a passphrase, mode 0600, owned by root.
      '';
    };

    maxJobs = lib.mkOption {
      type = lib.types.ints.unsigned;
      default = 0;
      description = ''
        Builds that this laptop runs itself at the same time, when the desktop
        is away or has its hands full.

        0 keeps as little as possible for that, which is one: Nix asks the
        desktop first in any case, and with a `max-jobs` of 0 in nix.conf every
        build would fail ("unable to start any build") as soon as the desktop is
        away. To have that, set {option}`nix.settings.max-jobs`.
      '';
    };

    cachePublicKeys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      description = "Public keys that the desktop's cache signs with.";
    };

    mountShares = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to mount the desktop's shares, as `laptop-offload-client` does.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.offload = {
      client = {
        enable = true;
        inherit (cfg) desktopIP builderKeyPath;
        # Only where wanted, so as not to disagree with the other client.
        mountShares = lib.mkIf cfg.mountShares true;
      };
      cacheKeys = cfg.cachePublicKeys;
    };

    nix.settings.max-jobs = lib.mkOverride 1100 (if cfg.maxJobs == 0 then 1 else cfg.maxJobs);
  };
}
