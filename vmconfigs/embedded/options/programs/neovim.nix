# programs.neovim: nixos/modules/programs/neovim.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.neovim;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  file =
    { name, ... }:
    {
      options = {
        enable = opt types.bool true "Whether there is such a file.";
        target = mkOption {
          type = types.str;
          description = "Its place below /etc/xdg/nvim.";
        };
        text = opt (types.nullOr types.lines) null "Its text.";
        source = opt (types.nullOr types.path) null "The file it is.";
      };
      config.target = lib.mkDefault name;
    };
in
{
  options.programs.neovim = {
    enable = lib.mkEnableOption "Neovim";
    defaultEditor = lib.mkEnableOption "neovim as the default editor";
    viAlias = opt types.bool false "Accepted; a guest's Neovim has one name.";
    vimAlias = opt types.bool false "Accepted; a guest's Neovim has one name.";
    package = lib.mkPackageOption pkgs "neovim-unwrapped" { };
    finalPackage = mkOption {
      type = types.package;
      readOnly = true;
      visible = false;
      description = "Neovim as it is installed.";
    };
    runtime = opt (types.attrsOf (types.submodule file)) { } "Files of its runtime directory.";
    configure = opt types.attrs { } "Accepted; a guest builds no Neovim with plugins.";
    withNodeJs = opt types.bool false "Accepted; a guest's Neovim has no providers.";
    withPython3 = opt types.bool false "Accepted; a guest's Neovim has no providers.";
    withRuby = opt types.bool false "Accepted; a guest's Neovim has no providers.";
  };

  config = lib.mkIf cfg.enable {
    # What nixpkgs wraps is another package by name.
    programs.neovim.finalPackage =
      if cfg.package == pkgs.neovim-unwrapped then pkgs.neovim else cfg.package;
    environment = {
      systemPackages = [ cfg.finalPackage ];
      sessionVariables.EDITOR = lib.mkIf cfg.defaultEditor (lib.mkOverride 900 "nvim");
      pathsToLink = [ "/share/nvim" ];
      etc = lib.mapAttrs' (
        name: f:
        lib.nameValuePair "xdg/nvim/${name}" (
          removeAttrs f (lib.optional (f.source == null) "source") // { target = "xdg/nvim/${f.target}"; }
        )
      ) cfg.runtime;
    };
  };
}
