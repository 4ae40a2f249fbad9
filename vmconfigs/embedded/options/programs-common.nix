# Programs that hosts commonly enable and that are a package and little more:
# nixos/modules/programs/<name>.nix. Options of these modules that would need
# more than their package are not declared, so using one is an error.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  # module -> the name of its package
  known = {
    direnv = "direnv";
    fish = "fish";
    fuse = "fuse3";
    fzf = "fzf";
    gnupg = "gnupg";
    htop = "htop";
    iftop = "iftop";
    iotop = "iotop";
    mtr = "mtr";
    screen = "screen";
    tcpdump = "tcpdump";
    traceroute = "traceroute";
    wireshark = "tshark";
    zsh = "zsh";
  };
  cfg = config.programs;

  accepted =
    type: default: why:
    mkOption {
      inherit type default;
      description = "Accepted; ${why}.";
    };
in
{
  options.programs =
    lib.recursiveUpdate
      (lib.mapAttrs (name: package: {
        enable = accepted types.bool false "a guest gets the package, without NixOS's settings and wrappers of ${name}";
        package = mkOption {
          type = types.package;
          default = pkgs.${package};
          description = "The package.";
        };
      }) known)
      {
        command-not-found.enable = accepted types.bool false "a guest has no index of packages";
        nix-ld.enable = accepted types.bool false "Debian runs foreign programs anyway";
        nix-index.enable = accepted types.bool false "a guest has no index of packages";
        dconf.enable = accepted types.bool false "a guest has no settings of desktops";
        zsh = {
          enableCompletion = accepted types.bool true "a guest's zsh has Debian's settings";
          interactiveShellInit = accepted types.lines "" "a guest's zsh has Debian's settings";
          shellAliases =
            accepted (types.attrsOf (types.nullOr (types.either types.str types.path))) { }
              "a guest's zsh has Debian's settings";
          autosuggestions.enable = accepted types.bool false "a guest's zsh has Debian's settings";
          syntaxHighlighting.enable = accepted types.bool false "a guest's zsh has Debian's settings";
          ohMyZsh.enable = accepted types.bool false "a guest's zsh has Debian's settings";
        };
        gnupg.agent.enable = accepted types.bool false "a guest starts no gpg-agent";
        gnupg.agent.enableSSHSupport = accepted types.bool false "a guest starts no gpg-agent";
      };

  config = lib.mkMerge (
    lib.mapAttrsToList (
      name: package:
      lib.mkIf (cfg.${name}.enable or false) {
        environment.systemPackages = [ (cfg.${name}.package or pkgs.${package}) ];
      }
    ) known
    ++ [
      (lib.mkIf cfg.gnupg.agent.enable { environment.systemPackages = [ cfg.gnupg.package ]; })
      (lib.mkIf cfg.zsh.enable {
        environment.shells = [
          "/run/current-system/sw/bin/zsh"
          "${pkgs.zsh}/bin/zsh"
        ];
      })
      (lib.mkIf cfg.fish.enable {
        environment.shells = [
          "/run/current-system/sw/bin/fish"
          "${pkgs.fish}/bin/fish"
        ];
      })
    ]
  );
}
