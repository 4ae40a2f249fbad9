# bridges, vlans, bonds, macvlans by networkd.
{
  networking = { useNetworkd = true; useDHCP = false; bridges.br0.interfaces = [ "eth1" "eth2" ]; vlans.v10 = { id = 10; interface = "eth0"; }; bonds.b0 = { interfaces = [ "e5" ]; driverOptions = { mode = "active-backup"; miimon = "100"; }; }; macvlans.m = { interface = "eth0"; mode = "bridge"; }; interfaces.br0.ipv4.addresses = [ { address = "10.0.0.1"; prefixLength = 24; } ]; };
}
