# What a generated hardware-configuration.nix imports by `modulesPath`.
{ lib, ... }:
{
  hardware.enableRedistributableFirmware = lib.mkDefault true;
}
