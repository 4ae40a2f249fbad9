# /etc/hosts, proxies and time servers.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption optional types;

  cfg = config.networking;

  nullOrStr =
    default: description:
    mkOption {
      type = types.nullOr types.str;
      inherit default description;
    };

  # "localhost" for any other address breaks programs.
  misplaced = lib.any (lib.elem "localhost") (
    lib.attrValues (
      removeAttrs cfg.hosts [
        "127.0.0.1"
        "::1"
      ]
    )
  );

  hostsLine = address: names: "${address} ${lib.concatStringsSep " " names}\n";
  named = cfg.hostName != "";
in
{
  imports = [
    (lib.mkRemovedOptionModule [
      "networking"
      "hostConf"
    ] "Use environment.etc.\"host.conf\" instead.")
  ];

  options.networking = {
    hosts = mkOption {
      type = types.attrsOf (types.listOf types.str);
      description = "Names of addresses, for {file}`/etc/hosts`.";
    };
    hostFiles = mkOption {
      type = types.listOf types.path;
      description = "Files that make up {file}`/etc/hosts`.";
    };
    extraHosts = mkOption {
      type = types.lines;
      default = "";
      description = "Text at the end of {file}`/etc/hosts`.";
    };
    timeServers = mkOption {
      type = types.listOf types.str;
      default = map (n: "${toString n}.nixos.pool.ntp.org") (lib.range 0 3);
      description = "Servers of the time.";
    };
    proxy = {
      default = nullOrStr null "Proxy for all that have none of their own.";
      httpProxy = nullOrStr cfg.proxy.default "`http_proxy`.";
      httpsProxy = nullOrStr cfg.proxy.default "`https_proxy`.";
      ftpProxy = nullOrStr cfg.proxy.default "`ftp_proxy`.";
      rsyncProxy = nullOrStr cfg.proxy.default "`rsync_proxy`.";
      allProxy = nullOrStr cfg.proxy.default "`all_proxy`.";
      noProxy = nullOrStr null "`no_proxy`: names and addresses that need none.";
      envVars = mkOption {
        type = types.attrs;
        internal = true;
        default = { };
        description = "All of these as variables.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion = !misplaced;
        message = ''
          `networking.hosts` maps "localhost" to something other than "127.0.0.1"
          or "::1". This will break some applications. Please use
          `networking.extraHosts` if you really want to add such a mapping.
        '';
      }
    ];

    # The first name is the canonical one: hostname --fqdn prints it.
    networking.hosts."127.0.0.2" =
      optional (named && cfg.domain != null) "${cfg.hostName}.${cfg.domain}" ++ optional named cfg.hostName;

    networking.hostFiles = lib.mkBefore [
      (pkgs.writeText "localhost-hosts" ''
        127.0.0.1 localhost
        ${lib.optionalString cfg.enableIPv6 "::1 localhost"}
      '')
      (pkgs.writeText "string-hosts" (
        lib.concatStrings (lib.mapAttrsToList hostsLine (lib.filterAttrs (_: names: names != [ ]) cfg.hosts))
      ))
      (pkgs.writeText "extra-hosts" cfg.extraHosts)
    ];

    # Debian brings services, protocols and rpc itself.
    environment.etc = {
      hosts.source = pkgs.concatText "hosts" cfg.hostFiles;
      netgroup.text = lib.mkDefault "";
      "host.conf".text = ''
        multi on
      '';
    };

    networking.proxy.envVars =
      lib.optionalAttrs (cfg.proxy.default != null) { no_proxy = "127.0.0.1,localhost"; }
      // lib.filterAttrs (_: v: v != null) {
        http_proxy = cfg.proxy.httpProxy;
        https_proxy = cfg.proxy.httpsProxy;
        rsync_proxy = cfg.proxy.rsyncProxy;
        ftp_proxy = cfg.proxy.ftpProxy;
        all_proxy = cfg.proxy.allProxy;
        no_proxy = cfg.proxy.noProxy;
      };
    environment.sessionVariables = cfg.proxy.envVars;
  };
}
