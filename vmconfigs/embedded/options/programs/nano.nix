# programs.nano: nixos/modules/programs/nano.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.nano;
in
{
  options.programs.nano = {
    enable = lib.mkEnableOption "nano, a small user-friendly console text editor" // {
      default = true;
    };
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

  config = lib.mkIf cfg.enable {
    environment = {
      etc.nanorc.text =
        lib.optionalString cfg.syntaxHighlight ''
          # load syntax highlighting files
          include "${cfg.package}/share/nano/*.nanorc"
          include "${cfg.package}/share/nano/extra/*.nanorc"
        ''
        + cfg.nanorc;
      systemPackages = [ cfg.package ];
      pathsToLink = [ "/share/nano" ];
    };
  };
}
