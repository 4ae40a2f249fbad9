# systemd.network: files of systemd-networkd. Of its sections those that a machine on one cable has a use for;
# queueing disciplines and exotic devices are not there.
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

  netdev.options = common // {
    netdevConfig = section "NetDev";
    bridgeConfig = section "Bridge";
    vlanConfig = section "VLAN";
    macvlanConfig = section "MACVLAN";
    tunConfig = section "Tun";
    tapConfig = section "Tap";
    wireguardConfig = section "WireGuard";
    wireguardPeers = sections "WireGuardPeer";
    bondConfig = section "Bond";
  };

  network =
    { config, ... }:
    {
      options = common // {
        linkConfig = section "Link";
        networkConfig = section "Network";
        addresses = sections "Address";
        neighbors = sections "Neighbor";
        routingPolicyRules = sections "RoutingPolicyRule";
        routes = sections "Route";
        dhcpV4Config = section "DHCPv4";
        dhcpV6Config = section "DHCPv6";
        ipv6AcceptRAConfig = section "IPv6AcceptRA";
        dhcpServerConfig = section "DHCPServer";
        bridgeConfig = section "Bridge";
        name = opt (types.nullOr types.str) null "Name of the interface it is for.";
        DHCP = opt (types.nullOr types.str) null "Whether DHCP is used: yes, no, ipv4, ipv6.";
        domains = opt (types.nullOr (types.listOf types.str)) null "Domains of the name servers.";
        address = lines "Address";
        gateway = lines "Gateway";
        dns = lines "DNS";
        ntp = lines "NTP";
        bridge = lines "Bridge";
        bond = lines "Bond";
        macvlan = lines "MACVLAN";
        vlan = lines "VLAN";
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
  };

  # udev reads the links, so these are there without networkd too.
  config = {
    environment.etc =
      files "link" text.link cfg.links
      // lib.optionalAttrs cfg.enable (
        files "netdev" text.netdev cfg.netdevs // files "network" text.network cfg.networks
      );
  };
}
