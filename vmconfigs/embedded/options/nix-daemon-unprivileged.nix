# nix.daemonUser: a daemon that is not root, with user namespaces for its builds.
{ config, lib, ... }:

let
  cfg = config.nix;
  package = cfg.package.out;
  has = feature: lib.elem feature cfg.settings.experimental-features;
  # the sub-ids are the range Nix allocates from, one to one
  range = start: [
    {
      ${start} = cfg.settings.start-id;
      count = cfg.settings.id-count;
    }
  ];
in
{
  config = lib.mkIf (cfg.daemonUser != "root") {
    assertions = [
      {
        assertion = cfg.daemonGroup != "root";
        message = ''
          The Nix daemon cannot run as the root group when not running as the root user.
        '';
      }
      {
        assertion = has "local-overlay-store";
        message = ''
          Nix must have the `local-overlay-store` experimental feature when not running as the root user.
        '';
      }
      {
        assertion = has "auto-allocate-uids";
        message = ''
          Nix must have the `auto-allocate-uids` experimental feature when not running as the root user.
        '';
      }
    ];

    nix.settings = {
      sandbox = true;
      auto-allocate-uids = true;
      # such a group would not exist inside the sandbox
      build-users-group = "";
      # Nix's own defaults, written out because they are needed below
      start-id = lib.mkDefault (832 * 1024 * 1024);
      id-count = lib.mkDefault (128 * 65536);
    };

    systemd.services.nix-daemon = {
      environment.NIX_REMOTE = "local?use-roots-daemon=true";
      serviceConfig = {
        User = cfg.daemonUser;
        Group = cfg.daemonGroup;
        ExecStart = [
          # empties the list of the package's unit
          ""
          "${package}/libexec/nix-nswrapper ${toString cfg.settings.start-id} ${toString cfg.settings.id-count} ${package}/bin/nix-daemon --daemon"
        ];
      };
    };

    # who is not root cannot mount the store writable again
    boot.nixStoreMountOpts = [
      "nodev"
      "nosuid"
    ];

    users.users.${cfg.daemonUser} = {
      subUidRanges = range "startUid";
      subGidRanges = range "startGid";
    };

    systemd.tmpfiles.rules =
      let
        owner = "${cfg.daemonUser} ${cfg.daemonGroup}";
      in
      [
        "d /nix/store                   0755 ${owner} - -"
        "Z /nix/var                     0755 ${owner} - -"
        "d /nix/var/nix/builds          0755 ${owner} 7d -"
        "d /nix/var/nix/daemon-socket   0755 ${owner} - -"
        "d /nix/var/nix/gc-roots-socket 0755 ${owner} - -"
      ];

    systemd.services.nix-roots-daemon.serviceConfig.ExecStart =
      "${package}/bin/nix --extra-experimental-features nix-command store roots-daemon";
    systemd.sockets.nix-roots-daemon = {
      wantedBy = [ "nix-daemon.service" ];
      listenStreams = [ "/nix/var/nix/gc-roots-socket/socket" ];
      unitConfig = {
        ConditionPathIsReadWrite = "/nix/var/nix/gc-roots-socket";
        RequiresMountsFor = "/nix/store";
      };
    };
  };
}
