# NixOS guests, made of a nixpkgs: what the harness boots, and what it switches
# machines to.
#
#   guests = import ./guests { nixpkgs = <the flake>; }
#   machine = guests.machine { modules = [ /etc/nixos/modules/… ]; }
#
# nixpkgs: a flake, for its lib.nixosSystem.
# Result:
#   machine         modules -> a nixosSystem that has what the harness needs
#   bundle          machine -> folder of kernel, initrd, disk and manifest: what
#                   harness/guest keeps, and QEMU boots
#   rootfs          machine, of isContainer -> folder of a root file system and manifest:
#                   what a container engine imports
#   configuration   machine -> the value that harness/nixos reads, as of ../embedded
{
  nixpkgs,
  system ? "x86_64-linux",
}:
let
  inherit (nixpkgs) lib;
  pkgs = nixpkgs.legacyPackages.${system};

  guestModule = ../modules/e2e-guest.nix;
in
{
  machine =
    {
      modules,
      # Authorities to trust besides the public ones, PEM: the internet's stand-in.
      certificateFiles ? [ ],
      # A root file system for containers, which has neither kernel nor disk.
      isContainer ? false,
    }:
    lib.nixosSystem {
      modules = [
        guestModule
        {
          _file = "offload-e2e";
          nixpkgs.hostPlatform = lib.mkDefault system;
          security.pki.certificateFiles = certificateFiles;
          boot.isContainer = isContainer;
        }
      ]
      ++ modules;
    };

  bundle =
    {
      machine,
      # Systems that are in its store besides its own.
      also ? [ ],
      # Files of the root file system besides: shell commands, run in it.
      populate ? "",
    }:
    import ./bundle.nix {
      inherit
        pkgs
        lib
        nixpkgs
        machine
        also
        populate
        ;
    };

  rootfs =
    machine:
    import ./rootfs.nix {
      inherit
        pkgs
        lib
        nixpkgs
        machine
        ;
    };

  configuration = machine: import ./configuration.nix { inherit lib nixpkgs machine; };
}
