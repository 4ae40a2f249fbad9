# Definitions of modules that NixOS's own modules import: they are empty, come before a
# configuration's, and count where an error names a definition by its number.
{ lib, ... }:
{
  imports = lib.replicate 7 { environment.systemPackages = [ ]; } ++ [
    { networking.firewall.allowedTCPPorts = [ ]; }
  ];
}
