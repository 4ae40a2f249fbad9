# The embedded guest itself: what a host's own files say of its disks and its
# release need not be given. Everything here gives way to a configuration.
{ lib, ... }:
{
  fileSystems."/" = lib.mkDefault {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  boot.loader.grub.enable = lib.mkDefault false;
  system.stateVersion = lib.mkOverride 1400 "26.05";
  nixpkgs.hostPlatform = lib.mkOverride 1400 "x86_64-linux";
  documentation.enable = lib.mkOverride 1400 false;
}
