# programs.fzf: nixos/modules/programs/fzf.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.fzf;
  files = "${pkgs.fzf}/share/fzf";
  source =
    shell:
    lib.optionalString cfg.fuzzyCompletion "source ${files}/completion.${shell}\n"
    + lib.optionalString cfg.keybindings "source ${files}/key-bindings.${shell}\n";
  omz = config.programs.zsh.ohMyZsh.enable;
in
{
  options.programs.fzf = {
    fuzzyCompletion = lib.mkEnableOption "fuzzy completion with fzf";
    keybindings = lib.mkEnableOption "fzf keybindings";
  };

  config = lib.mkIf (cfg.keybindings || cfg.fuzzyCompletion) {
    environment.systemPackages = [ pkgs.fzf ];
    programs.bash.promptPluginInit = lib.mkAfter (source "bash");
    programs.zsh.interactiveShellInit = lib.optionalString (!omz) (source "zsh");
    programs.zsh.ohMyZsh.plugins = lib.mkIf omz [ "fzf" ];
    programs.fish.interactiveShellInit = lib.optionalString cfg.keybindings ''
      source ${files}/key-bindings.fish && fzf_key_bindings
    '';
  };
}
