# programs.less: nixos/modules/programs/less.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.less;

  pairs =
    separator: attrs: lib.concatStringsSep "\n" (lib.mapAttrsToList (k: v: k + separator + v) attrs);

  text =
    if cfg.configFile != null then
      builtins.readFile cfg.configFile
    else
      ''
        #command
        ${pairs " " cfg.commands}
        ${lib.optionalString cfg.clearDefaultCommands "#stop"}

        #line-edit
        ${pairs " " cfg.lineEditingKeys}

        #env
        ${pairs "=" cfg.envVariables}
      '';

  strings = default: description: mkOption {
    type = types.attrsOf types.str;
    inherit default description;
  };
  perhaps = description: mkOption {
    type = types.nullOr types.str;
    default = null;
    inherit description;
  };
in
{
  options.programs.less = {
    enable = lib.mkEnableOption "less, a file pager";
    package = lib.mkPackageOption pkgs "less" { };
    configFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A lesskey file to use as it is.";
    };
    commands = strings { } "Keys of commands.";
    clearDefaultCommands = mkOption {
      type = types.bool;
      default = false;
      description = "Whether less's own keys go.";
    };
    lineEditingKeys = strings { } "Keys that edit a line.";
    envVariables = strings { LESS = "-R"; } "Variables that less sets for itself.";
    lessopen = perhaps "What prepares a file.";
    lessclose = perhaps "What cleans up after a file.";
  };

  config = lib.mkMerge [
    # $PAGER is less, so it has to be there.
    { programs.less.enable = true; }
    (lib.mkIf cfg.enable {
      environment.systemPackages = [ cfg.package ];
      environment.variables = {
        LESSKEYIN_SYSTEM = toString (pkgs.writeText "lessconfig" text);
      }
      // lib.optionalAttrs (cfg.lessopen != null) { LESSOPEN = cfg.lessopen; }
      // lib.optionalAttrs (cfg.lessclose != null) { LESSCLOSE = cfg.lessclose; };
    })
  ];
}
