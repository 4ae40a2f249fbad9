# programs.nano, programs.vim, programs.neovim: nixos/modules/programs/*.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs;
  enabled = description: lib.mkEnableOption description // { default = true; };
in
{
  options.programs = {
    nano = {
      enable = enabled "nano, a small user-friendly console text editor";
      package = lib.mkPackageOption pkgs "nano" { };
      nanorc = lib.mkOption {
        type = lib.types.lines;
        default = "";
        description = "More lines of /etc/nanorc.";
      };
      syntaxHighlight = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether nano colours what it shows.";
      };
    };
    vim = {
      enable = lib.mkEnableOption "Vi IMproved, an advanced text editor";
      defaultEditor = lib.mkEnableOption "vim as the default editor";
      package = lib.mkPackageOption pkgs "vim" { };
    };
    neovim = {
      enable = lib.mkEnableOption "Neovim";
      defaultEditor = lib.mkEnableOption "neovim as the default editor";
      viAlias = lib.mkEnableOption "`vi` as a name of Neovim";
      vimAlias = lib.mkEnableOption "`vim` as a name of Neovim";
      package = lib.mkPackageOption pkgs "neovim" { };
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.nano.enable {
      environment.etc.nanorc.text =
        lib.optionalString cfg.nano.syntaxHighlight ''
          # load syntax highlighting files
          include "${cfg.nano.package}/share/nano/*.nanorc"
          include "${cfg.nano.package}/share/nano/extra/*.nanorc"
        ''
        + cfg.nano.nanorc;
      environment.systemPackages = [ cfg.nano.package ];
    })
    (lib.mkIf (cfg.vim.enable || cfg.vim.defaultEditor) {
      assertions = [
        {
          assertion = cfg.vim.defaultEditor -> cfg.vim.enable;
          message = "{option}`programs.vim.defaultEditor` requires {option}`programs.vim.enable` to be set to true.";
        }
      ];
      environment.systemPackages = [ cfg.vim.package ];
      environment.sessionVariables.EDITOR = lib.mkIf cfg.vim.defaultEditor (lib.mkOverride 900 "vim");
    })
    (lib.mkIf cfg.neovim.enable {
      environment.systemPackages = [ cfg.neovim.package ];
      environment.sessionVariables.EDITOR = lib.mkIf cfg.neovim.defaultEditor (
        lib.mkOverride 900 "nvim"
      );
    })
  ];
}
