# The laptop: builds on the desktop, asks its cache before the internet's, and
# mounts its store.
#
# Stands for your own machine's configuration: put your
# hardware-configuration.nix beside this file and import it.
{ lib, ... }:
{
  imports = [
    ../../modules/services/laptop-offload-client.nix
    ../../modules/system/binary-cache.nix
  ];

  networking.hostName = "kernelcore";

  services.laptop-offload-client = {
    enable = true;
    desktopIP = "192.168.15.7";
    laptopIP = "192.168.15.9";
    # What offload-server-status prints on the desktop, "cache.local:…".
    cachePublicKeys = [ ];
  };

  kernelcore.system.binary-cache.enable = true;

  users.users.kernelcore = {
    isNormalUser = true;
    description = "Owner of the laptop";
    extraGroups = [ "wheel" ];
  };

  networking.useDHCP = lib.mkDefault true;

  boot.loader.systemd-boot.enable = lib.mkDefault true;
  fileSystems."/" = lib.mkDefault {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };

  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];

  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  system.stateVersion = "26.05";
}
