# nix.enable, nix.package, the daemon's unit and its build users.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkIf mkOption types;

  cfg = config.nix;
  package = cfg.package.out;
  ownUser = cfg.daemonUser != "root";

  # NixOS's fixed number for nixbld: user n is 30000 + n.
  firstUid = 30000;
  buildUser =
    n:
    lib.nameValuePair "nixbld${toString n}" {
      description = "Nix build user ${toString n}";
      uid = firstUid + n;
      isSystemUser = true;
      group = "nixbld";
      extraGroups = [ "nixbld" ];
    };

  policy =
    values: default: description:
    mkOption {
      type = types.enum values;
      inherit default description;
    };
in
{
  imports = [
    (lib.mkRenamedOptionModuleWith {
      sinceRelease = 2205;
      from = [
        "nix"
        "daemonIONiceLevel"
      ];
      to = [
        "nix"
        "daemonIOSchedPriority"
      ];
    })
    (lib.mkRenamedOptionModuleWith {
      sinceRelease = 2211;
      from = [
        "nix"
        "readOnlyStore"
      ];
      to = [
        "boot"
        "readOnlyNixStore"
      ];
    })
    (lib.mkRemovedOptionModule [ "nix" "daemonNiceLevel" ] "Consider nix.daemonCPUSchedPolicy instead.")
  ];

  options.nix = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the machine has Nix.";
    };
    package = mkOption {
      type = types.package;
      default = pkgs.nix;
      description = "Which Nix.";
    };
    daemonUser = mkOption {
      type = types.str;
      default = "root";
      description = "Who the daemon runs as; anyone but root needs `daemonGroup` too.";
    };
    daemonGroup = mkOption {
      type = types.str;
      default = "root";
      description = "Which group the daemon runs as.";
    };
    daemonCPUSchedPolicy =
      policy [ "other" "batch" "idle" ] "other"
        "CPU scheduling policy of the daemon and its builds ({manpage}`sched(7)`).";
    daemonIOSchedClass =
      policy [ "best-effort" "idle" ] "best-effort"
        "I/O scheduling class of the daemon and its builds ({manpage}`ionice(1)`).";
    daemonIOSchedPriority = mkOption {
      type = types.int;
      default = 4;
      description = "I/O priority in the class best-effort, 0 (high) to 7 (low).";
    };
    envVars = mkOption {
      type = types.attrs;
      internal = true;
      default = { };
      description = "Environment of the daemon and of sessions.";
    };
    nrBuildUsers = mkOption {
      type = types.int;
      description = "How many `nixbld` users there are, one for each build at a time.";
    };
  };

  config = mkIf cfg.enable {
    systemd.tmpfiles.rules = [
      "d  /nix/var                           0755 root root - -"
      "L+ /nix/var/nix/gcroots/booted-system 0755 root root - /run/booted-system"
      "R! /nix/var/nix/gcroots/tmp           -    -    -    - -"
      "R! /nix/var/nix/temproots             -    -    -    - -"
    ];
    systemd.tmpfiles.packages = mkIf (!ownUser) [ package ];

    environment.systemPackages = [ package ] ++ lib.optional (pkgs ? nix-info) pkgs.nix-info;
    environment.sessionVariables = cfg.envVars;

    # the package brings both units; what is here goes into a drop-in
    systemd.packages = [ package ];
    systemd.sockets.nix-daemon.wantedBy = [ "sockets.target" ];
    systemd.services.nix-daemon = {
      path = [
        package
        config.programs.ssh.package
      ]
      # newuidmap
      ++ lib.optional ownUser "/run/wrappers";

      environment =
        cfg.envVars
        // {
          CURL_CA_BUNDLE = config.security.pki.caBundle or "/etc/ssl/certs/ca-certificates.crt";
        }
        // config.networking.proxy.envVars;

      serviceConfig = {
        CPUSchedulingPolicy = cfg.daemonCPUSchedPolicy;
        IOSchedulingClass = cfg.daemonIOSchedClass;
        IOSchedulingPriority = cfg.daemonIOSchedPriority;
      };

      restartTriggers = [ config.environment.etc."nix/nix.conf".source ];

      # Restarted, never stopped first: clients do not try again when the socket is away.
      stopIfChanged = false;
    };

    nix.nrBuildUsers = lib.mkDefault (
      if cfg.settings.auto-allocate-uids or false then
        0
      else
        lib.max 32 (if cfg.settings.max-jobs == "auto" then 0 else cfg.settings.max-jobs)
    );
    users.users = lib.listToAttrs (map buildUser (lib.range 1 cfg.nrBuildUsers));

    nix.settings.sandbox-fallback = false;
  };
}
