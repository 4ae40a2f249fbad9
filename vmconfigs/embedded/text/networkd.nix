# Files of systemd-networkd and udev: systemd.link(5), systemd.netdev(5), systemd.network(5).
{ lib, attrsToSection }:

let
  inherit (lib) concatMapStrings optionalString;
  sections = import ./networkd-sections.nix;

  section = name: settings: "[${name}]\n${attrsToSection settings}\n";
  # left out where empty
  some = name: settings: optionalString (settings != { }) (section name settings);
  each = def: concatMapStrings (
    s: if s.many then concatMapStrings (section s.section) def.${s.option} else some s.section def.${s.option}
  );
  lines = def: concatMapStrings (s: concatMapStrings (value: "${s.section}=${value}\n") def.${s.option});
in
{
  link = def: some "Match" def.matchConfig + section "Link" def.linkConfig + def.extraConfig;

  netdev =
    def:
    some "Match" def.matchConfig
    + section "NetDev" def.netdevConfig
    + each def sections.netdev
    + def.extraConfig;

  network =
    def:
    some "Match" def.matchConfig
    + some "Link" def.linkConfig
    + some "SR-IOV" def.sriovConfig
    + "[Network]\n"
    + attrsToSection def.networkConfig
    + lines def sections.lists
    + "\n"
    + each def sections.network
    + def.extraConfig;

  # networkd.conf(5)
  daemon =
    def:
    section "Network" def.networkConfig
    + some "DHCPv4" def.dhcpV4Config
    + some "DHCPv6" def.dhcpV6Config;
}
