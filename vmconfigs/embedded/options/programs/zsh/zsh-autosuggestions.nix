# programs.zsh.autosuggestions: nixos/modules/programs/zsh/zsh-autosuggestions.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.zsh.autosuggestions;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
in
{
  imports = [
    (lib.mkRenamedOptionModule
      [ "programs" "zsh" "enableAutosuggestions" ]
      [ "programs" "zsh" "autosuggestions" "enable" ]
    )
  ];

  options.programs.zsh.autosuggestions = {
    enable = lib.mkEnableOption "zsh-autosuggestions";
    highlightStyle = opt types.str "fg=8" "How a suggestion looks.";
    strategy = opt (types.listOf (
      types.enum [
        "history"
        "completion"
        "match_prev_cmd"
      ]
    )) [ "history" ] "Where suggestions come from; the first that has one.";
    async = opt types.bool true "Whether typing does not wait for them.";
    extraConfig = opt (types.attrsOf types.str) { } "More of its variables.";
  };

  config = lib.mkIf cfg.enable {
    programs.zsh.interactiveShellInit = ''
      source ${pkgs.zsh-autosuggestions}/share/zsh-autosuggestions/zsh-autosuggestions.zsh
      export ZSH_AUTOSUGGEST_HIGHLIGHT_STYLE="${cfg.highlightStyle}"
      export ZSH_AUTOSUGGEST_STRATEGY=(${toString cfg.strategy})
      ${lib.optionalString (!cfg.async) "unset ZSH_AUTOSUGGEST_USE_ASYNC"}
      ${lib.concatStringsSep "\n" (
        lib.mapAttrsToList (key: value: ''export ${key}="${value}"'') cfg.extraConfig
      )}
    '';
  };
}
