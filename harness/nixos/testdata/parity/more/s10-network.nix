# networking: interfaces, routes, gateways, hosts, bridges, vlans, wireless off.
{ lib, ... }:
{
  networking = {
    hostName = "big"; domain = "lan.example"; fqdn = lib.mkForce "big.lan.example"; useDHCP = false; enableIPv6 = true; nameservers = [ "1.1.1.1" "::1" ]; search = [ "a.b" "c.d" ]; 
    defaultGateway = { address = "10.0.0.1"; interface = "eth0"; metric = 5; }; defaultGateway6 = { address = "fe80::1"; interface = "eth0"; };
    hosts = { "10.0.0.7" = [ "desk" "desk.lan" ]; "127.0.0.1" = [ "extra" ]; "::2" = [ "six" ]; }; extraHosts = "1.2.3.4 x\n";
    interfaces = {
      eth0 = { ipv4.addresses = [ { address = "10.0.0.5"; prefixLength = 24; } { address = "10.0.1.5"; prefixLength = 16; } ]; ipv6.addresses = [ { address = "fd00::5"; prefixLength = 64; } ]; ipv4.routes = [ { address = "10.9.0.0"; prefixLength = 16; via = "10.0.0.9"; options.metric = "3"; } { address = "9.9.9.9"; prefixLength = 32; type = "unicast"; } ]; ipv6.routes = [ { address = "fd01::"; prefixLength = 48; via = "fd00::1"; } ]; mtu = 9000; macAddress = "00:11:22:33:44:55"; wakeOnLan.enable = true; tempAddress = "disabled"; };
      wlan0.useDHCP = true; tap0 = { virtual = true; virtualType = "tap"; virtualOwner = "bob"; }; br0.ipv4.addresses = [ { address = "10.5.0.1"; prefixLength = 24; } ]; v10.proxyARP = true;
    };
    bridges.br0 = { interfaces = [ "eth1" "eth2" ]; rstp = true; }; vlans.v10 = { id = 10; interface = "eth0"; }; 
    hostId = "deadbeef"; proxy.default = "http://p:1"; proxy.noProxy = "127.0.0.1"; timeServers = [ "ntp.x" ]; resolvconf.extraConfig = "x=y"; resolvconf.dnsSingleRequest = true; dhcpcd = { extraConfig = "nohook x"; wait = "background"; denyInterfaces = [ "v*" ]; allowInterfaces = [ "eth*" ]; persistent = true; }; localCommands = "ip link"; usePredictableInterfaceNames = false; tempAddresses = "disabled";
  };
}
