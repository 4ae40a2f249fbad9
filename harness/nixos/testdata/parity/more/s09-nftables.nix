# nftables firewall.
{ lib, ... }:
{
  networking.nftables = { enable = true; ruleset = "table inet x { }\n"; tables.mine = { family = "inet"; content = "chain c { }\n"; }; tables.off = { enable = false; family = "ip"; content = ""; }; flushRuleset = true; checkRuleset = false; extraDeletions = "delete table ip q;"; preCheckRuleset = ""; };
  networking.firewall = { allowedTCPPorts = [ 22 ]; allowedUDPPorts = [ 1 2 3 ]; allowedTCPPortRanges = [ { from = 1; to = 2; } ]; interfaces.lan.allowedTCPPorts = [ 5 ]; trustedInterfaces = [ "tr" ]; extraInputRules = "ip saddr 1.1.1.1 accept"; extraForwardRules = "accept"; extraReversePathFilterRules = "fib x"; filterForward = true; pingLimit = "2/second"; rejectPackets = true; logRefusedConnections = true; };
}
