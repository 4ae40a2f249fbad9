# firewall, iptables.
{ lib, pkgs, ... }:
{
  networking.firewall = {
    enable = true; package = pkgs.iptables; allowPing = false; pingLimit = "--limit 1/minute --limit-burst 5"; logRefusedConnections = true; logRefusedPackets = true; logRefusedUnicastsOnly = false; logReversePathDrops = true; rejectPackets = true; checkReversePath = "loose"; autoLoadConntrackHelpers = true; connectionTrackingModules = [ "ftp" ]; filterForward = false; extraPackages = [ pkgs.ipset ]; extraReversePathFilterRules = "";
    trustedInterfaces = [ "eth1" "br-+" ]; allowedTCPPorts = [ 443 80 443 ]; allowedUDPPorts = [ 53 ]; allowedTCPPortRanges = [ { from = 4000; to = 4002; } ]; allowedUDPPortRanges = [ { from = 1; to = 9; } { from = 60000; to = 61000; } ];
    interfaces.eth0 = { allowedTCPPorts = [ 22 8080 ]; allowedUDPPortRanges = [ { from = 5; to = 6; } ]; };
    extraCommands = lib.mkAfter "iptables -A INPUT -j LOG"; extraStopCommands = "iptables -F x";
  };
  networking.nat = { enable = true; externalInterface = "eth0"; externalIP = "1.2.3.4"; internalInterfaces = [ "ve-+" ]; internalIPs = [ "10.0.0.0/8" ]; enableIPv6 = true; forwardPorts = [ { sourcePort = 80; destination = "10.1.1.1:8080"; proto = "tcp"; loopbackIPs = [ "5.5.5.5" ]; } { sourcePort = "2000:2010"; destination = "10.1.1.2:2000-2010"; proto = "udp"; } ]; dmzHost = "10.0.0.9"; extraCommands = "echo nat"; extraStopCommands = "echo stop"; };
}
