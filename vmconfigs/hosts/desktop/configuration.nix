# The desktop: builds for laptops, and keeps a cache for them.
#
# Stands for your own machine's configuration: put your
# hardware-configuration.nix beside this file and import it.
{ lib, ... }:
{
  imports = [
    ../../modules/services/offload-server.nix
    ../../modules/system/binary-cache.nix
  ];

  networking.hostName = "desktop";

  services.offload-server = {
    enable = true;
    enableNFS = true;
    # One line for each laptop, as offload-setup prints it there. A line
    # appended to the builder's authorized_keys by hand does as well.
    authorizedKeys = [ ];
  };

  kernelcore.system.binary-cache.enable = true;

  users.users.cypher = {
    isNormalUser = true;
    description = "Administrator";
    extraGroups = [ "wheel" ];
  };

  # The address that laptops know, 192.168.15.7, comes from the router, which
  # reserves it for this machine.
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
