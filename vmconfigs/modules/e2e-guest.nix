# What the test harness needs of a host, and nothing more: its own cable stays
# open whatever the firewall under test says, and there is an administrator.
{ lib, ... }:
{
  networking.firewall.trustedInterfaces = [ "mgmt0" ];

  users.users.cypher = {
    isNormalUser = lib.mkDefault true;
    description = lib.mkDefault "administrator";
    extraGroups = [ "wheel" ];
  };
}
