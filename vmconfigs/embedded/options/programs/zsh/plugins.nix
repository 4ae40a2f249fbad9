# programs.zsh.{zsh-autoenv,autosuggestions,syntaxHighlighting}: nixos/modules/programs/zsh/zsh-*.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.programs.zsh;
  suggest = cfg.autosuggestions;
  highlight = cfg.syntaxHighlighting;
  lines = format: attrs: lib.concatStringsSep "\n" (lib.mapAttrsToList format attrs);

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  renamed =
    old: new:
    lib.mkRenamedOptionModule ([ "programs" "zsh" ] ++ old) ([ "programs" "zsh" ] ++ new);
in
{
  imports = [
    (renamed [ "enableAutosuggestions" ] [ "autosuggestions" "enable" ])
    (renamed [ "enableSyntaxHighlighting" ] [ "syntaxHighlighting" "enable" ])
  ]
  ++ map (name: renamed [ "syntax-highlighting" name ] [ "syntaxHighlighting" name ]) [
    "enable"
    "highlighters"
    "patterns"
  ];

  options.programs.zsh = {
    zsh-autoenv.enable = lib.mkEnableOption "zsh-autoenv";
    zsh-autoenv.package = lib.mkPackageOption pkgs "zsh-autoenv" { };

    autosuggestions = {
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

    syntaxHighlighting = {
      enable = lib.mkEnableOption "zsh-syntax-highlighting";
      highlighters = opt (types.listOf (
        types.enum [
          "main"
          "brackets"
          "pattern"
          "cursor"
          "regexp"
          "root"
          "line"
        ]
      )) [ "main" ] "What is highlighted.";
      patterns = opt (types.attrsOf types.str) { } "Patterns -> how they look.";
      styles = opt (types.attrsOf types.str) { } "Kinds of words -> how they look.";
    };
  };

  config = lib.mkMerge [
    (mkIf cfg.zsh-autoenv.enable {
      programs.zsh.interactiveShellInit = ''
        source ${cfg.zsh-autoenv.package}/share/zsh-autoenv/autoenv.zsh
      '';
    })
    (mkIf suggest.enable {
      programs.zsh.interactiveShellInit = ''
        source ${pkgs.zsh-autosuggestions}/share/zsh-autosuggestions/zsh-autosuggestions.zsh
        export ZSH_AUTOSUGGEST_HIGHLIGHT_STYLE="${suggest.highlightStyle}"
        export ZSH_AUTOSUGGEST_STRATEGY=(${toString suggest.strategy})
        ${lib.optionalString (!suggest.async) "unset ZSH_AUTOSUGGEST_USE_ASYNC"}
        ${lines (key: value: ''export ${key}="${value}"'') suggest.extraConfig}
      '';
    })
    (mkIf highlight.enable {
      environment.systemPackages = [ pkgs.zsh-syntax-highlighting ];
      assertions = [
        {
          assertion = highlight.patterns != { } -> lib.elem "pattern" highlight.highlighters;
          message = ''
            When highlighting patterns, "pattern" needs to be included in the list of highlighters.
          '';
        }
      ];
      # It wraps what is there when it is loaded.
      programs.zsh.interactiveShellInit = lib.mkAfter ''
        source ${pkgs.zsh-syntax-highlighting}/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh
        ${lib.optionalString (
          highlight.highlighters != [ ]
        ) "ZSH_HIGHLIGHT_HIGHLIGHTERS=(${toString highlight.highlighters})"}
        ${lines (pattern: look: "ZSH_HIGHLIGHT_PATTERNS+=('${pattern}' '${look}')") highlight.patterns}
        ${lines (kind: look: "ZSH_HIGHLIGHT_STYLES[${kind}]='${look}'") highlight.styles}
      '';
    })
  ];
}
