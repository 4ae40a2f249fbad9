{
  description = "A desktop that builds for others, and a laptop that lets it";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      host = configuration: nixpkgs.lib.nixosSystem { modules = [ configuration ]; };
      toplevel = machine: machine.config.system.build.toplevel;

      guests = import ./guests { inherit nixpkgs system; };
      # Guests as they are before the configuration under test.
      guest =
        hostName: arguments:
        guests.machine ({ modules = [ { networking = { inherit hostName; }; } ]; } // arguments);
    in
    {
      nixosModules = {
        offload-server = ./modules/services/offload-server.nix;
        laptop-offload-client = ./modules/services/laptop-offload-client.nix;
        laptop-builder-client = ./modules/services/laptop-builder-client.nix;
        binary-cache = ./modules/system/binary-cache.nix;
        e2e-guest = ./modules/e2e-guest.nix;
      };

      nixosConfigurations = {
        desktop = host ./hosts/desktop/configuration.nix;
        laptop = host ./hosts/kernelcore/configuration.nix;
      };

      packages.${system} = {
        # What nixos-rebuild would switch to.
        desktop = toplevel self.nixosConfigurations.desktop;
        laptop = toplevel self.nixosConfigurations.laptop;

        # What QEMU boots, and what a container engine imports.
        desktop-guest = guests.bundle { machine = guest "desktop" { }; };
        laptop-guest = guests.bundle { machine = guest "kernelcore" { }; };
        rootfs = guests.rootfs (guest "" { isContainer = true; });

        # The command, with the guests' programs beside it.
        offload-e2e = import ./guests/harness.nix { inherit pkgs; };
      };

      # `nix flake check`: both hosts build, which runs shellcheck on every command
      # as well; and the four phases hold on NixOS guests, in the sandbox.
      checks.${system} = {
        inherit (self.packages.${system}) desktop laptop;
        e2e = import ./guests/check.nix {
          inherit pkgs guests;
          inherit (self.packages.${system}) offload-e2e;
        };
      };

      # `nix develop`: all that `make test`, `make lint` and `make e2e` use.
      devShells.${system}.default = import ./guests/shell.nix { inherit pkgs; };

      formatter.${system} = pkgs.nixfmt-tree or pkgs.nixfmt;
    };
}
