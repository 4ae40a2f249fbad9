# programs.zsh.ohMyZsh: nixos/modules/programs/zsh/oh-my-zsh.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption optionalString types;
  cfg = config.programs.zsh.ohMyZsh;
  opt =
    type: default: description:
    mkOption { inherit type default description; };

  # Of the user's packages: their folder in share/zsh -> oh-my-zsh's name of it
  folders = {
    themes = "themes";
    site-functions = "completions";
    plugins = "plugins";
  };
  custom =
    if cfg.custom != null || cfg.customPkgs == [ ] then
      cfg.custom
    else
      pkgs.linkFarm "oh-my-zsh-custom" (
        lib.mapAttrsToList (folder: name: {
          inherit name;
          path = "${
            pkgs.buildEnv {
              name = "zsh-${name}-env";
              paths = cfg.customPkgs;
              pathsToLink = [ "/share/zsh/${folder}" ];
            }
          }/share/zsh/${folder}";
        }) folders
      );
in
{
  imports = map (
    name:
    lib.mkRenamedOptionModule
      [ "programs" "zsh" "oh-my-zsh" name ]
      [ "programs" "zsh" "ohMyZsh" name ]
  ) [ "enable" "theme" "custom" "plugins" ];

  options.programs.zsh.ohMyZsh = {
    enable = opt types.bool false "Whether oh-my-zsh is set up.";
    package = lib.mkPackageOption pkgs "oh-my-zsh" { };
    plugins = opt (types.listOf types.str) [ ] "Its plugins.";
    custom = opt (types.nullOr types.str) null "A folder of plugins and themes.";
    customPkgs = opt (types.listOf types.package) [ ] "Packages of plugins and themes.";
    theme = opt types.str "" "Its theme.";
    cacheDir = opt types.str "$HOME/.cache/oh-my-zsh" "Its cache.";
    preLoaded = opt types.lines "" "Commands before it is loaded.";
  };

  config = lib.mkIf cfg.enable {
    # oh-my-zsh has a prompt of its own.
    programs.zsh.promptInit = lib.mkDefault "";
    environment.systemPackages = [ cfg.package ];

    programs.zsh.interactiveShellInit = ''
      export ZSH=${cfg.package}/share/oh-my-zsh
      ${optionalString (cfg.plugins != [ ]) "plugins=(${toString cfg.plugins})"}
      ${optionalString (custom != null) "ZSH_CUSTOM=\"${custom}\""}
      ${optionalString (cfg.theme != "") "ZSH_THEME=\"${cfg.theme}\""}
      mkdir -p "${cfg.cacheDir}"
      ZSH_CACHE_DIR=${cfg.cacheDir}
      ${cfg.preLoaded}
      source $ZSH/oh-my-zsh.sh
    '';

    assertions = [
      {
        assertion = cfg.custom != null -> cfg.customPkgs == [ ];
        message = "If `cfg.custom` is set for `ZSH_CUSTOM`, `customPkgs` can't be used!";
      }
    ];
  };
}
