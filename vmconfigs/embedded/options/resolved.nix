# services.resolved: nixos/modules/system/boot/resolved.nix. The guest has no systemd-resolved: its resolv.conf stays
# as it is, and lists the configuration's name servers.
{
  config,
  lib,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (utils.systemdUtils.lib) settingsToSections;
  inherit (utils.systemdUtils.unitOptions) unitOption;

  cfg = config.services.resolved;

  moved = old: new: lib.mkRenamedOptionModule [ "services" "resolved" old ] [ "services" "resolved" "settings" "Resolve" new ];

  setting = default: description: mkOption {
    type = unitOption;
    inherit default description;
  };

  delegateFile = name: "systemd/dns-delegate.d/${name}.dns-delegate";
in
{
  imports = [
    (moved "fallbackDns" "FallbackDNS")
    (moved "domains" "Domains")
    (moved "llmnr" "LLMNR")
    (moved "dnssec" "DNSSEC")
    (moved "dnsovertls" "DNSOverTLS")
    (lib.mkRemovedOptionModule [
      "services"
      "resolved"
      "extraConfig"
    ] "Use services.resolved.settings instead")
  ];

  options.services.resolved = {
    enable = lib.mkEnableOption "the name resolver systemd-resolved";
    settings.Resolve = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf unitOption;
        options = {
          DNS = setting config.networking.nameservers "Name servers to ask.";
          DNSOverTLS = setting false "Whether to ask them by TLS.";
          DNSSEC = setting false "Whether answers have to be signed.";
          Domains = setting config.networking.search "Domains in which a short name is looked up.";
        };
      };
      default = { };
      description = "Settings, resolved.conf(5).";
    };
    dnsDelegates = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.Delegate = mkOption {
            type = types.submodule { freeformType = types.attrsOf unitOption; };
            description = "The section [Delegate].";
          };
        }
      );
      default = { };
      description = "Files of systemd.dns-delegate(5).";
    };
  };

  options.boot.initrd.services.resolved.enable = mkOption {
    type = types.bool;
    default = false;
    description = "Accepted; a guest's first stage asks no name server.";
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !config.networking.useHostResolvConf;
        message = "Using host resolv.conf is not supported with systemd-resolved";
      }
    ];
    system.nssDatabases.hosts = lib.mkOrder 501 [ "resolve [!UNAVAIL=return]" ];
    systemd.services.systemd-resolved = {
      wantedBy = [ "sysinit.target" ];
      aliases = [ "dbus-org.freedesktop.resolve1.service" ];
      reloadTriggers = map (name: config.environment.etc.${name}.source) (
        [ "systemd/resolved.conf" ] ++ map delegateFile (lib.attrNames cfg.dnsDelegates)
      );
      stopIfChanged = false;
    };
    environment.etc = {
      "systemd/resolved.conf".text = settingsToSections cfg.settings;
    }
    // lib.mapAttrs' (
      name: delegate:
      lib.nameValuePair (delegateFile name) {
        text = settingsToSections delegate;
      }
    ) cfg.dnsDelegates;
    networking.networkmanager.dns = "systemd-resolved";
    networking.resolvconf.enable = false;
    networking.resolvconf.package = config.systemd.package;
    nix.firewall.extraNftablesRules = [
      "ip daddr { 127.0.0.53, 127.0.0.54 } udp dport 53 accept comment \"systemd-resolved listening IPs\""
    ];
  };
}
