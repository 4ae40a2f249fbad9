# programs.htop: nixos/modules/programs/htop.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) types;
  cfg = config.programs.htop;

  atoms = [
    types.str
    types.int
    types.bool
  ];
  text =
    value:
    if lib.isList value then
      lib.concatMapStringsSep " " text value
    else if lib.isBool value then
      (if value then "1" else "0")
    else
      toString value;
in
{
  options.programs.htop = {
    enable = lib.mkEnableOption "htop process monitor";
    package = lib.mkPackageOption pkgs "htop" { };
    settings = lib.mkOption {
      type = types.attrsOf (types.oneOf (atoms ++ [ (types.listOf (types.oneOf atoms)) ]));
      default = { };
      description = "Settings of those who have none of their own, htop(1).";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc.htoprc.text = ''
      # Global htop configuration
      # To change set: programs.htop.settings.KEY = VALUE;
    ''
    + lib.concatStringsSep "\n" (lib.mapAttrsToList (key: value: "${key}=${text value}") cfg.settings);
  };
}
