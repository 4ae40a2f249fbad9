# networking.resolvconf: /etc/resolvconf.conf, from which resolvconf(8) makes resolv.conf. In the guest
# systemd-networkd's name servers are used.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption optionalString types;

  cfg = config.networking.resolvconf;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  moved =
    old: new:
    lib.mkRenamedOptionModule
      [
        "networking"
        old
      ]
      [
        "networking"
        "resolvconf"
        new
      ];

  words =
    cfg.extraOptions
    ++ lib.optional cfg.dnsSingleRequest "single-request"
    ++ lib.optional cfg.dnsExtensionMechanism "edns0"
    ++ lib.optional cfg.useLocalResolver "trust-ad";

  text = ''
    # This is the default, but we must set it here to prevent
    # a collision with an apparently unrelated environment
    # variable with the same name exported by dhcpcd.
    interface_order='lo lo[0-9]*'
  ''
  + optionalString (config.services.nscd.enable or false) ''
    # Invalidate the nscd cache whenever resolv.conf is
    # regenerated.
    libc_restart='/run/current-system/systemd/bin/systemctl try-restart --no-block nscd.service 2> /dev/null'
  ''
  + optionalString (words != [ ]) ''
    # Options as described in resolv.conf(5)
    resolv_conf_options='${lib.concatStringsSep " " words}'
  ''
  + optionalString cfg.useLocalResolver ''
    # This hosts runs a full-blown DNS resolver.
    name_servers='127.0.0.1${optionalString config.networking.enableIPv6 " ::1"}'
  ''
  + cfg.extraConfig;
in
{
  imports = [
    (moved "dnsSingleRequest" "dnsSingleRequest")
    (moved "dnsExtensionMechanism" "dnsExtensionMechanism")
    (moved "extraResolvconfConf" "extraConfig")
    (moved "resolvconfOptions" "extraOptions")
    (lib.mkRemovedOptionModule [
      "networking"
      "resolvconf"
      "useHostResolvConf"
    ] "This option was never used for anything anyways")
  ];

  options.networking.resolvconf = {
    enable = opt types.bool true "Whether resolvconf keeps {file}`/etc/resolv.conf`.";
    package = opt types.package pkgs.openresolv "Which resolvconf.";
    dnsSingleRequest = opt types.bool false "Whether IPv4 and IPv6 are asked for one after the other.";
    dnsExtensionMechanism = opt types.bool true "Whether EDNS is used.";
    extraConfig = opt types.lines "" "Text at the end of {file}`resolvconf.conf`.";
    extraOptions = opt (types.listOf types.str) [ ] "Options of {manpage}`resolv.conf(5)`.";
    useLocalResolver = opt types.bool false "Whether a name server of this machine is asked.";
    subscriberFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      internal = true;
      description = "Files that resolvconf writes.";
    };
  };

  config = {
    environment.etc."resolvconf.conf".text =
      if cfg.enable then
        text
      else
        ''
          echo "resolvconf is disabled on this system but was used anyway:" >&2
          echo "$0 $*" >&2
          exit 1
        '';

    assertions = lib.mkIf cfg.enable [
      {
        assertion = !(config.environment.etc ? "resolv.conf");
        message = ''
          networking.resolvconf.enable is true but environment.etc."resolv.conf"
          is also set. Set networking.resolvconf.enable = false if another
          service manages /etc/resolv.conf.
        '';
      }
    ];
    networking.resolvconf.subscriberFiles = lib.mkIf cfg.enable [ "/etc/resolv.conf" ];
  };
}
