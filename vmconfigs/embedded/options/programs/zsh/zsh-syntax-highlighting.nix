# programs.zsh.syntaxHighlighting: nixos/modules/programs/zsh/zsh-syntax-highlighting.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.zsh.syntaxHighlighting;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  lines = format: attrs: lib.concatStringsSep "\n" (lib.mapAttrsToList format attrs);
  renamed =
    old: new:
    lib.mkRenamedOptionModule (
      [
        "programs"
        "zsh"
      ]
      ++ old
    ) [ "programs" "zsh" "syntaxHighlighting" new ];
in
{
  imports = [
    (renamed [ "enableSyntaxHighlighting" ] "enable")
  ]
  ++ map (name: renamed [ "syntax-highlighting" name ] name) [
    "enable"
    "highlighters"
    "patterns"
  ];

  options.programs.zsh.syntaxHighlighting = {
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

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ pkgs.zsh-syntax-highlighting ];
    assertions = [
      {
        assertion = cfg.patterns != { } -> lib.elem "pattern" cfg.highlighters;
        message = ''
          When highlighting patterns, "pattern" needs to be included in the list of highlighters.
        '';
      }
    ];
    # It wraps what is there when it is loaded.
    programs.zsh.interactiveShellInit = lib.mkAfter ''
      source ${pkgs.zsh-syntax-highlighting}/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh
      ${lib.optionalString (
        cfg.highlighters != [ ]
      ) "ZSH_HIGHLIGHT_HIGHLIGHTERS=(${toString cfg.highlighters})"}
      ${lines (pattern: look: "ZSH_HIGHLIGHT_PATTERNS+=('${pattern}' '${look}')") cfg.patterns}
      ${lines (kind: look: "ZSH_HIGHLIGHT_STYLES[${kind}]='${look}'") cfg.styles}
    '';
  };
}
