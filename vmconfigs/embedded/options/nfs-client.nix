# What boot.supportedFilesystems.nfs brings: nfs.conf(5), idmapd.conf(5) and the units of nfs-utils.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption optionalString types;

  cfg = config.services.nfs;
  inherit (cfg) server;

  # The type of NixOS's INI files.
  atom =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
      ]
    )
    // {
      description = "INI atom (null, bool, int, float or string)";
    };
  ini = types.attrsOf (
    types.attrsOf atom
    // {
      description = "section of an INI file (attrs of ${atom.description})";
    }
  );
  iniFile = name: value: pkgs.writeText name (lib.generators.toINI { } value);

  idmapdConf = iniFile "idmapd.conf" cfg.idmapd.settings;

  set = name: value: lib.optionalAttrs (value != null) { ${name} = value; };

  # The options of the server, for those who use `settings`.
  serverSettings = lib.filterAttrs (_: section: section != { }) {
    # NixOS lets the host's name replace the number of threads
    nfsd = if server.hostName != null then { host = server.hostName; } else { threads = server.nproc; };
    mountd = set "port" server.mountdPort;
    statd = set "port" server.statdPort;
    lockd = set "port" server.lockdPort // set "udp-port" server.lockdPort;
  };

  # For those who do not: the same as text, with the text they give.
  portLine = key: port: optionalString (port != null) "${key}=${toString port}";
  plainConf = cfg.extraConfig + ''
    [nfsd]
    threads=${toString server.nproc}
    ${optionalString (server.hostName != null) "host=${server.hostName}"}
    ${server.extraNfsdConfig}

    [mountd]
    ${portLine "port" server.mountdPort}

    [statd]
    ${portLine "port" server.statdPort}

    [lockd]
    ${optionalString (server.lockdPort != null) ''
      port=${toString server.lockdPort}
      udp-port=${toString server.lockdPort}
    ''}
  '';

  nfsConf =
    if cfg.settings == { } then
      pkgs.writeText "nfs.conf" plainConf
    else
      iniFile "nfs.conf" (lib.recursiveUpdate serverSettings cfg.settings);

  deprecated = name: value: lib.optional (value != "") ''
    `services.nfs.${name}` is deprecated. Use `services.nfs.settings` instead.
  '';

  restarted.restartTriggers = [ nfsConf ];
  # only with Kerberos; the empty string drops the package's own conditions
  withKeytab.unitConfig.ConditionPathExists = [
    ""
    "/etc/krb5.keytab"
  ];
  filesystems = config.boot.supportedFilesystems;
in
{
  options.services.nfs = {
    idmapd.settings = mkOption {
      type = ini;
      default = { };
      description = "Settings of {manpage}`idmapd.conf(5)`.";
    };
    settings = mkOption {
      type = ini;
      default = { };
      description = "Settings of {manpage}`nfs.conf(5)`.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Text at the top of {file}`nfs.conf`. Use `services.nfs.settings`.";
    };
  };

  config = lib.mkIf (filesystems.nfs or filesystems.nfs4 or false) {
    warnings =
      deprecated "extraConfig" cfg.extraConfig
      ++ deprecated "server.extraNfsdConfig" server.extraNfsdConfig;

    assertions = [
      {
        assertion = cfg.settings != { } -> cfg.extraConfig == "" && server.extraNfsdConfig == "";
        message = "`services.nfs.settings` cannot be used together with `services.nfs.extraConfig` and `services.nfs.server.extraNfsdConfig`.";
      }
    ];

    services.rpcbind.enable = true;

    services.nfs.idmapd.settings = {
      General = lib.mkMerge [
        { Pipefs-Directory = "/var/lib/nfs/rpc_pipefs"; }
        (lib.mkIf (config.networking.domain != null) { Domain = config.networking.domain; })
      ];
      Mapping = {
        Nobody-User = "nobody";
        Nobody-Group = "nogroup";
      };
      Translation.Method = "nsswitch";
    };

    system.fsPackages = [ pkgs.nfs-utils ];
    environment.systemPackages = [ pkgs.keyutils ];

    environment.etc = {
      "idmapd.conf".source = idmapdConf;
      "nfs.conf".source = nfsConf;
      "request-key.conf".text = ''
        create id_resolver * * ${pkgs.nfs-utils}/bin/nfsidmap -t 600 %k %d
        create dns_resolver * * ${pkgs.keyutils}/bin/key.dns_resolver %k
      '';
    };

    # the package brings the units; what is here goes into drop-ins
    systemd.packages = [ pkgs.nfs-utils ];
    systemd.targets.nfs-client.wantedBy = [
      "multi-user.target"
      "remote-fs.target"
    ];
    systemd.services = {
      nfs-blkmap = restarted;
      nfs-idmapd.restartTriggers = [ idmapdConf ];
      # off, unless nfsd.nix says otherwise
      nfs-mountd = restarted // {
        enable = lib.mkDefault false;
      };
      nfs-server = restarted // {
        enable = lib.mkDefault false;
      };
      auth-rpcgss-module = withKeytab;
      rpc-gssd = restarted // withKeytab;
      rpc-statd = restarted // {
        preStart = ''
          mkdir -p /var/lib/nfs/{sm,sm.bak}
        '';
      };
    };
  };
}
