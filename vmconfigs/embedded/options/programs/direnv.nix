# programs.direnv: nixos/modules/programs/direnv.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.direnv;
  format = pkgs.formats.toml { };
  direnv = lib.getExe cfg.package;
  always = lib.boolToString cfg.loadInNixShell;
  enabled =
    description:
    mkOption {
      type = types.bool;
      default = true;
      inherit description;
    };

  # direnv takes the system's folder for its own, so what a user has is read from here.
  home = ''
    mine="''${DIRENV_CONFIG_HOME:-''${XDG_CONFIG_HOME:-$HOME/.config}/direnv}"
  '';
in
{
  imports = [
    (lib.mkRemovedOptionModule [ "programs" "direnv" "finalPackage" ]
      "programs.direnv.finalPackage has been removed now, as its value is identical to programs.direnv.package."
    )
  ];

  options.programs.direnv = {
    enable = lib.mkEnableOption "direnv in every shell";
    package = lib.mkPackageOption pkgs "direnv" { };
    enableBashIntegration = enabled "Whether bash calls it.";
    enableZshIntegration = enabled "Whether zsh calls it.";
    enableFishIntegration = enabled "Whether fish calls it.";
    enableXonshIntegration = enabled "Whether xonsh, which the guest has not, calls it.";
    direnvrcExtra = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of direnvrc.";
    };
    silent = lib.mkEnableOption "the hiding of direnv logging";
    loadInNixShell = enabled "Whether it is loaded in nix-shell and nix develop.";
    nix-direnv.enable = enabled "Whether nix-direnv's use_nix and use_flake replace direnv's.";
    nix-direnv.package = mkOption {
      type = types.package;
      default = pkgs.nix-direnv;
      description = "The package nix-direnv.";
    };
    settings = mkOption {
      inherit (format) type;
      default = { };
      description = "Settings, direnv.toml(1).";
    };
  };

  config = lib.mkIf cfg.enable {
    programs.direnv.settings.global = lib.mkIf cfg.silent {
      log_format = lib.mkDefault "-";
      log_filter = lib.mkDefault "^$";
    };

    programs.bash.interactiveShellInit = lib.mkIf cfg.enableBashIntegration ''
      if ${always} || [ -z "$IN_NIX_SHELL$NIX_GCROOT$(printenv PATH | grep '/nix/store')" ] ; then
        eval "$(${direnv} hook bash)"
      fi
    '';
    programs.zsh.interactiveShellInit = lib.mkIf cfg.enableZshIntegration ''
      if ${always} || printenv PATH | grep -vqc '/nix/store'; then
        eval "$(${direnv} hook zsh)"
      fi
    '';
    programs.fish.interactiveShellInit = lib.mkIf cfg.enableFishIntegration ''
      if ${always}; or printenv PATH | grep -vqc '/nix/store';
        ${direnv} hook fish | source
      end
    '';

    environment = {
      systemPackages = [ cfg.package ];
      variables.DIRENV_CONFIG = "/etc/direnv";
      etc."direnv/direnv.toml" = lib.mkIf (cfg.settings != { }) {
        source = format.generate "direnv.toml" cfg.settings;
      };
      etc."direnv/direnvrc".text = ''
        ${lib.optionalString cfg.nix-direnv.enable "source ${cfg.nix-direnv.package}/share/nix-direnv/direnvrc"}
        ${cfg.direnvrcExtra}
        ${home}
        if [[ -f $mine/direnvrc ]]; then
          source "$mine/direnvrc" >&2
        elif [[ -f $HOME/.direnvrc ]]; then
          source "$HOME/.direnvrc" >&2
        fi
        unset mine
      '';
      etc."direnv/lib/zz-user.sh".text = ''
        ${home}
        for lib in "$mine/lib/"*.sh; do
          source "$lib"
        done
        unset mine
      '';
    };
  };
}
