# networkd by hand, useNetworkd, resolved, timesyncd.
{ lib, ... }:
{
  networking.useNetworkd = true; networking.useDHCP = false;
  networking.interfaces.eth0 = { ipv4.addresses = [ { address = "10.0.0.5"; prefixLength = 24; } ]; ipv4.routes = [ { address = "10.9.0.0"; prefixLength = 16; via = "10.0.0.9"; } ]; };
  networking.interfaces.eth1.useDHCP = true; networking.defaultGateway = "10.0.0.1"; networking.nameservers = [ "9.9.9.9" ];
  systemd.network = {
    enable = true; wait-online.enable = false; wait-online.anyInterface = true; wait-online.timeout = 10; wait-online.ignoredInterfaces = [ "x" ];
    networks."10-lan" = { matchConfig.Name = "en*"; networkConfig = { DHCP = "ipv4"; IPv6AcceptRA = true; }; address = [ "10.2.2.2/24" ]; gateway = [ "10.2.2.1" ]; dns = [ "10.2.2.1" ]; domains = [ "x" ]; ntp = [ "n" ]; routes = [ { Gateway = "10.2.2.3"; Destination = "10.3.0.0/16"; } ]; linkConfig.RequiredForOnline = "no"; dhcpV4Config.RouteMetric = 10; addresses = [ { Address = "10.2.2.4/24"; } ]; vlan = [ "v1" ]; bridge = [ "b1" ]; extraConfig = "[X]\nY=1\n"; };
    netdevs."20-b" = { netdevConfig = { Name = "b1"; Kind = "bridge"; }; bridgeConfig.STP = true; };
    links."30-l" = { matchConfig.MACAddress = "00:11:22:33:44:55"; linkConfig.Name = "lan"; };
    config.networkConfig.SpeedMeter = true;
  };
  services.resolved = { enable = true; settings.Resolve = { DNSSEC = "false"; FallbackDNS = [ "1.1.1.1" "8.8.8.8" ]; Domains = [ "~." ]; LLMNR = "false"; DNSOverTLS = "opportunistic"; MulticastDNS = false; Cache = "no-negative"; }; };
  services.timesyncd = { enable = true; servers = [ "a" "b" ]; fallbackServers = [ "c" ]; settings.Time.PollIntervalMaxSec = 180; };
}
