# As people write it: no options.
{ lib, ... }:
let
  desktopIP = "192.168.15.7";
in
{
  nix.distributedBuilds = lib.mkDefault true;
  nix.settings.max-jobs = lib.mkForce 0;
  nix.buildMachines = [
    {
      hostName = desktopIP;
      system = "x86_64-linux";
      sshUser = "nix-builder";
      sshKey = "/etc/nix/builder_key";
    }
  ];
  fileSystems."/nix/store-remote" = {
    device = "${desktopIP}:/nix/store";
    fsType = "nfs";
  };
}
