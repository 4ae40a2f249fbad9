# What the harness needs of every guest's configuration: its own cable stays open
# whatever the firewall under test says, and there is an administrator. The
# embedded guest has the rest built in; NixOS guests get it from ../e2e-guest.nix.
{ lib, ... }:
{
  networking.firewall.trustedInterfaces = [ "mgmt0" ];

  users.users.cypher = {
    isNormalUser = lib.mkDefault true;
    description = lib.mkDefault "administrator";
    extraGroups = [ "wheel" ];
  };
}
