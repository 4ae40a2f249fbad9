# systemd.network: files of systemd-networkd: nixos/modules/system/boot/networkd.nix. In the guest Debian's
# systemd-networkd reads them.
{
  config,
  lib,
  utils,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.systemd.network;
  inherit (utils.systemdUtils.unitOptions) unitOption;
  text = import ../text/networkd.nix {
    inherit lib;
    inherit (utils.systemdUtils.lib) attrsToSection;
  };

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  section = name: opt (types.attrsOf unitOption) { } "The section [${name}].";
  sections = name: opt (types.listOf (types.attrsOf unitOption)) [ ] "Sections [${name}].";
  lines = key: opt (types.listOf types.str) [ ] "Lines `${key}=`.";

  common = {
    enable = opt types.bool true "Whether the file is there.";
    matchConfig = section "Match";
    extraConfig = opt types.lines "" "Text at its end.";
  };

  link.options = common // {
    linkConfig = section "Link";
  };

  # Options of a table of sections, see ../text/networkd-sections.nix.
  ofTable = lib.foldl' (
    all: s: all // { ${s.option} = (if s.many then sections else section) s.section; }
  ) { };
  table = import ../text/networkd-sections.nix;

  netdev.options = common // ofTable table.netdev // { netdevConfig = section "NetDev"; };

  network =
    { config, ... }:
    {
      options =
        common
        // ofTable table.network
        // lib.listToAttrs (map (s: lib.nameValuePair s.option (lines s.section)) table.lists)
        // {
          linkConfig = section "Link";
          sriovConfig = section "SR-IOV";
          networkConfig = section "Network";
          name = opt (types.nullOr types.str) null "Name of the interface it is for.";
          DHCP = opt (types.nullOr types.str) null "Whether DHCP is used: yes, no, ipv4, ipv6.";
          domains = opt (types.nullOr (types.listOf types.str)) null "Domains of the name servers.";
        };
      config = {
        matchConfig = lib.optionalAttrs (config.name != null) { Name = config.name; };
        networkConfig =
          lib.optionalAttrs (config.DHCP != null) { inherit (config) DHCP; }
          // lib.optionalAttrs (config.domains != null) {
            Domains = lib.concatStringsSep " " config.domains;
          };
      };
    };

  daemon =
    { config, ... }:
    {
      options = {
        networkConfig = section "Network";
        dhcpV4Config = section "DHCPv4";
        dhcpV6Config = section "DHCPv6";
        routeTables = opt (types.attrsOf types.int) { } "Names of route tables, and their numbers.";
        addRouteTablesToIPRoute2 = opt types.bool true "Whether ip(8) knows these names as well.";
      };
      config.networkConfig = {
        IPv6PrivacyExtensions = lib.mkOptionDefault true;
      }
      // lib.optionalAttrs (config.routeTables != { }) {
        RouteTable = lib.mapAttrsToList (name: number: "${name}:${toString number}") config.routeTables;
      };
    };

  units =
    what: module:
    opt (types.attrsOf (types.submodule module)) { } "Files `<name>.${what}`.";

  files =
    suffix: render:
    lib.mapAttrs' (name: def: lib.nameValuePair "systemd/network/${name}.${suffix}" {
      inherit (def) enable;
      text = render def;
    });
in
{
  options.systemd.network = {
    enable = opt types.bool false "Whether systemd-networkd sets interfaces up.";
    links = units "link" link;
    netdevs = units "netdev" netdev;
    networks = units "network" network;
    config = opt (types.submodule daemon) { } "Settings of the daemon, networkd.conf(5).";
    wait-online = {
      enable = opt types.bool true "Whether network-online.target waits for systemd-networkd.";
      anyInterface = opt types.bool config.networking.useDHCP "Whether one interface is enough.";
      ignoredInterfaces = opt (types.listOf types.str) [ ] "Interfaces it does not wait for.";
      timeout = opt types.ints.unsigned 120 "Seconds to wait; 0 is for ever.";
      extraArgs = opt (types.listOf types.str) [ ] "More arguments.";
    };
  };

  config = lib.mkMerge [
    {
      # udev reads the links, so these are there without networkd too.
      environment.etc = files "link" text.link cfg.links;
      systemd.network.wait-online.extraArgs = [
        "--timeout=${toString cfg.wait-online.timeout}"
      ]
      ++ lib.optional cfg.wait-online.anyInterface "--any"
      ++ map (name: "--ignore=${name}") cfg.wait-online.ignoredInterfaces;
    }
    (lib.mkIf cfg.enable {
      environment.etc =
        files "netdev" text.netdev cfg.netdevs
        // files "network" text.network cfg.networks
        // {
          "systemd/networkd.conf".text = text.daemon cfg.config;
        };
      services.resolved.enable = lib.mkDefault true;
    })
  ];
}
