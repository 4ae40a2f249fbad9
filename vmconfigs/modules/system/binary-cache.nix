# Which binary caches a machine asks, on desktop and laptop alike: the LAN's
# first, then the internet's.
#
#   kernelcore.system.binary-cache.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.kernelcore.system.binary-cache;

  # A server would only ask itself for what it has anyway.
  isServer = config.services.offload-server.enable or false;

  withoutSlash = lib.removeSuffix "/";

  # NixOS itself lists this one, last; and the LAN's is listed elsewhere.
  known =
    url: withoutSlash url == "https://cache.nixos.org" || withoutSlash url == withoutSlash cfg.local.url;
  remotes = lib.unique (
    lib.filter (url: !known url) (cfg.remote.substituters ++ cfg.remote.substituers)
  );

  upstreamKey = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

  cacheStatus = import ../services/offload/command.nix { inherit lib pkgs; } {
    name = "cache-status";
    runtimeInputs = [
      config.nix.package
      pkgs.curl
    ];
    settings = {
      CACHE_URL = withoutSlash cfg.local.url;
      # "1": this machine is meant to use it. On the desktop it is only served.
      CACHE_USED = if cfg.local.enable then "1" else "0";
    };
  };
in
{
  imports = [ ../services/offload/caches.nix ];

  options.kernelcore.system.binary-cache = {
    enable = lib.mkEnableOption "the LAN's binary cache, before the internet's";

    local = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = !isServer;
        defaultText = lib.literalExpression "!config.services.offload-server.enable";
        description = "Whether to ask the LAN's cache.";
      };

      url = lib.mkOption {
        type = lib.types.str;
        default = "http://192.168.15.7:5000";
        description = "The LAN's cache.";
      };

      priority = lib.mkOption {
        type = lib.types.ints.unsigned;
        default = 40;
        description = ''
          Nix asks caches with lower numbers first; cache.nixos.org has 40. The
          default leaves the number to the cache itself (nix-serve says 30); any
          other one is written behind the URL as `?priority=`.
        '';
      };

      publicKeys = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
        description = "Public keys that the LAN's cache signs with.";
      };

      requireConnectivity = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = ''
          Whether a cache that does not answer after boot is a failed unit,
          {file}`binary-cache-connectivity.service`, for a monitor to see.
          Nothing waits for it, and builds go on without the cache.
        '';
      };
    };

    remote = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = ''
          Whether to ask the caches listed here, after the LAN's and before
          cache.nixos.org, which NixOS always has.
        '';
      };

      substituters = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "https://nix-community.cachix.org" ];
        description = "More caches on the internet.";
      };

      substituers = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        description = "The same, as the option was once spelt.";
      };

      trustedPublicKeys = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        description = "Public keys that these caches sign with.";
      };
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        environment.systemPackages = [ cacheStatus ];
        nix.settings = import ../services/offload/nix-settings.nix { inherit lib; };
      }

      (lib.mkIf cfg.local.enable {
        services.offload = {
          caches.${withoutSlash cfg.local.url}.priority = lib.mkIf (
            cfg.local.priority != 40
          ) cfg.local.priority;
          cacheKeys = cfg.local.publicKeys;
        };
      })

      (lib.mkIf cfg.remote.enable {
        nix.settings = {
          substituters = remotes;
          trusted-public-keys = lib.filter (key: key != upstreamKey) (lib.unique cfg.remote.trustedPublicKeys);
        };
      })

      (lib.mkIf (cfg.local.enable && cfg.local.requireConnectivity) {
        systemd.services.binary-cache-connectivity = {
          description = "Is the LAN's binary cache there?";
          wantedBy = [ "multi-user.target" ];
          wants = [ "network-online.target" ];
          after = [ "network-online.target" ];
          serviceConfig = {
            Type = "oneshot";
            ExecStart = "${pkgs.curl}/bin/curl --fail --silent --show-error --retry 5 --retry-connrefused --retry-delay 2 --connect-timeout 3 --max-time 30 ${withoutSlash cfg.local.url}/nix-cache-info";
            DynamicUser = true;
            CapabilityBoundingSet = "";
            LockPersonality = true;
            MemoryDenyWriteExecute = true;
            NoNewPrivileges = true;
            PrivateDevices = true;
            ProtectClock = true;
            ProtectControlGroups = true;
            ProtectHome = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            RestrictAddressFamilies = [
              "AF_INET"
              "AF_INET6"
              "AF_UNIX"
            ];
            RestrictNamespaces = true;
            SystemCallArchitectures = "native";
          };
        };
      })
    ]
  );
}
