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
in
{
  options.programs =
    lib.mapAttrs (name: package: {
      enable = lib.mkEnableOption name;
      package = mkOption {
        type = types.package;
        default = pkgs.${package};
        description = "The package.";
      };
    }) known
    // {
      command-not-found.enable = mkOption {
        type = types.bool;
        default = false;
        description = "Accepted; a guest has no index of packages.";
      };
      nix-ld.enable = lib.mkEnableOption "foreign programs; Debian runs them anyway";
      nix-index.enable = lib.mkEnableOption "an index of packages; a guest has none";
      dconf.enable = lib.mkEnableOption "settings of desktops; a guest has none";
      zsh = {
        enable = lib.mkEnableOption "zsh";
        enableCompletion = mkOption {
          type = types.bool;
          default = true;
          description = "Whether zsh completes words.";
        };
        interactiveShellInit = mkOption {
          type = types.lines;
          default = "";
          description = "Commands of an interactive zsh.";
        };
        shellAliases = mkOption {
          type = types.attrsOf (types.nullOr (types.either types.str types.path));
          default = { };
          description = "Aliases of zsh.";
        };
        autosuggestions.enable = lib.mkEnableOption "suggestions";
        syntaxHighlighting.enable = lib.mkEnableOption "colours";
        ohMyZsh.enable = lib.mkEnableOption "oh-my-zsh";
      };
      gnupg.agent.enable = lib.mkEnableOption "gpg-agent";
      gnupg.agent.enableSSHSupport = lib.mkEnableOption "gpg-agent as ssh-agent";
      gnupg.package = lib.mkPackageOption pkgs "gnupg" { };
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
