# Files of systemd-networkd and udev: systemd.link(5), systemd.netdev(5), systemd.network(5).
{ lib, attrsToSection }:

let
  inherit (lib) concatMapStrings optionalString;

  section = name: settings: "[${name}]\n${attrsToSection settings}\n";
  # left out where empty
  some = name: settings: optionalString (settings != { }) (section name settings);
  each = name: concatMapStrings (section name);
  lines = key: concatMapStrings (value: "${key}=${value}\n");
in
{
  link = def: some "Match" def.matchConfig + section "Link" def.linkConfig + def.extraConfig;

  netdev =
    def:
    some "Match" def.matchConfig
    + section "NetDev" def.netdevConfig
    + some "Bridge" def.bridgeConfig
    + some "VLAN" def.vlanConfig
    + some "MACVLAN" def.macvlanConfig
    + some "Tun" def.tunConfig
    + some "Tap" def.tapConfig
    + some "WireGuard" def.wireguardConfig
    + each "WireGuardPeer" def.wireguardPeers
    + some "Bond" def.bondConfig
    + def.extraConfig;

  network =
    def:
    some "Match" def.matchConfig
    + some "Link" def.linkConfig
    + "[Network]\n"
    + attrsToSection def.networkConfig
    + lines "Address" def.address
    + lines "Gateway" def.gateway
    + lines "DNS" def.dns
    + lines "NTP" def.ntp
    + lines "Bridge" def.bridge
    + lines "Bond" def.bond
    + lines "MACVLAN" def.macvlan
    + lines "VLAN" def.vlan
    + "\n"
    + each "Address" def.addresses
    + each "Neighbor" def.neighbors
    + each "RoutingPolicyRule" def.routingPolicyRules
    + each "Route" def.routes
    + some "DHCPv4" def.dhcpV4Config
    + some "DHCPv6" def.dhcpV6Config
    + some "IPv6AcceptRA" def.ipv6AcceptRAConfig
    + some "DHCPServer" def.dhcpServerConfig
    + some "Bridge" def.bridgeConfig
    + def.extraConfig;
}
