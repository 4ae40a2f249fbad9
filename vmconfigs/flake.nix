{
  description = "A desktop that builds for others, and a laptop that lets it";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      host = configuration: nixpkgs.lib.nixosSystem { modules = [ configuration ]; };
      toplevel = machine: machine.config.system.build.toplevel;
    in
    {
      nixosModules = {
        offload-server = ./modules/services/offload-server.nix;
        laptop-offload-client = ./modules/services/laptop-offload-client.nix;
        laptop-builder-client = ./modules/services/laptop-builder-client.nix;
        binary-cache = ./modules/system/binary-cache.nix;
      };

      nixosConfigurations = {
        desktop = host ./hosts/desktop/configuration.nix;
        laptop = host ./hosts/kernelcore/configuration.nix;
      };

      # `nix build .#desktop`: what nixos-rebuild would switch to.
      packages.${system} = builtins.mapAttrs (_name: toplevel) self.nixosConfigurations;

      # `nix flake check`: both hosts build, which runs shellcheck on every
      # command as well.
      checks.${system} = self.packages.${system};

      devShells.${system}.default =
        let
          pkgs = nixpkgs.legacyPackages.${system};
        in
        pkgs.mkShellNoCC {
          packages = [
            pkgs.nixfmt
            pkgs.shellcheck
          ];
        };
    };
}
