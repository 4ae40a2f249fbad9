# services.nfs.server: the kernel's NFS server, exports(5), nfsd(8).
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.nfs.server;
  exports = pkgs.writeText "exports" cfg.exports;

  moved =
    name:
    lib.mkRenamedOptionModule
      [
        "services"
        "nfs"
        name
      ]
      [
        "services"
        "nfs"
        "server"
        name
      ];

  port =
    description:
    mkOption {
      type = types.nullOr types.port;
      default = null;
      inherit description;
    };
in
{
  imports = [
    (moved "lockdPort")
    (moved "statdPort")
  ];

  options.services.nfs.server = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the machine serves files over NFS.";
    };
    extraNfsdConfig = mkOption {
      type = types.str;
      default = "";
      description = "Lines of the section nfsd of {file}`nfs.conf`. Use `services.nfs.settings`.";
    };
    exports = mkOption {
      type = types.lines;
      default = "";
      description = "The file {manpage}`exports(5)`.";
    };
    hostName = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name or address to listen on; all, if null.";
    };
    nproc = mkOption {
      type = types.int;
      default = 8;
      description = "Number of server threads.";
    };
    createMountPoints = mkOption {
      type = types.bool;
      default = false;
      description = "Whether exported directories that are missing are made.";
    };
    mountdPort = port "Fixed port of rpc.mountd (NFS 3).";
    lockdPort = port "Fixed port of the lock manager (NFS 3).";
    statdPort = port "Fixed port of rpc.statd (NFS 3).";
  };

  config = lib.mkIf cfg.enable {
    services.rpcbind.enable = true;

    # statd and idmapd come with the file system
    boot.supportedFilesystems = [ "nfs" ];

    environment.etc.exports.source = exports;

    systemd.services.nfs-server = {
      enable = true;
      wantedBy = [ "multi-user.target" ];
      preStart = ''
        mkdir -p /var/lib/nfs/v4recovery
      '';
    };

    systemd.services.nfs-mountd = {
      enable = true;
      restartTriggers = [ exports ];
      preStart = ''
        mkdir -p /var/lib/nfs

        ${lib.optionalString cfg.createMountPoints ''
          # create export directories:
          # skip comments, take first col which may either be a quoted
          # "foo bar" or just foo (-> man export)
          sed '/^#.*/d;s/^"\([^"]*\)".*/\1/;t;s/[ ].*//' ${exports} \
          | xargs -d '\n' mkdir -p
        ''}
      '';
    };
  };
}
