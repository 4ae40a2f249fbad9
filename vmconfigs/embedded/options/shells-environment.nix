# Variables and start-up of all shells: nixos/modules/config/shells-environment.nix
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.environment;

  lines = description: mkOption {
    type = types.lines;
    default = "";
    inherit description;
  };

  asText = v: if lib.isPath v then "${v}" else toString v;

  # What the shells export: the variables, then those made of all profiles.
  exported =
    let
      relative = lib.mapAttrs (
        _: suffixes: lib.concatMap (profile: map (suffix: profile + suffix) suffixes) cfg.profiles
      ) cfg.profileRelativeEnvVars;
      all = lib.zipAttrsWith (_: lib.concatLists) [
        (lib.mapAttrs (_: lib.toList) cfg.variables)
        relative
      ];
    in
    lib.mapAttrs (_: lib.concatStringsSep ":") all;
in
{
  options.environment = {
    shell.enable = lib.mkEnableOption "the environment of shells" // {
      default = true;
      internal = true;
    };
    variables = mkOption {
      type = types.attrsOf (
        types.nullOr (
          types.oneOf [
            (types.listOf (types.oneOf [ types.int types.str types.path ]))
            types.int
            types.str
            types.path
          ]
        )
      );
      default = { };
      apply =
        attrs:
        lib.mapAttrs (_: v: if lib.isList v then lib.concatMapStringsSep ":" asText v else asText v) (
          lib.filterAttrs (_: v: v != null) attrs
        );
      description = "Environment variables of shells.";
    };
    profiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Profiles that make up the environment.";
    };
    profileRelativeEnvVars = mkOption {
      type = types.attrsOf (types.listOf types.str);
      description = "Variables with a part for each profile.";
    };
    extraInit = lines "Commands after all variables are set.";
    shellInit = lines "Commands at the start of every shell.";
    loginShellInit = lines "Commands at the start of a login shell.";
    interactiveShellInit = lines "Commands at the start of an interactive shell.";
    shellAliases = mkOption {
      type = types.attrsOf (types.nullOr (types.either types.str types.path));
      description = "Aliases of all shells; null removes one.";
    };
    homeBinInPath = mkOption {
      type = types.bool;
      default = false;
      description = "Whether ~/bin is on the PATH.";
    };
    localBinInPath = mkOption {
      type = types.bool;
      default = false;
      description = "Whether ~/.local/bin is on the PATH.";
    };
    binsh = mkOption {
      type = types.nullOr types.path;
      default = null;
      visible = false;
      description = "What /bin/sh is.";
    };
    shells = mkOption {
      type = types.listOf (types.either types.shellPackage types.path);
      default = [ ];
      description = "Shells that users may have.";
    };
  };

  config = lib.mkIf cfg.shell.enable {
    environment.binsh = lib.mkDefault "${pkgs.bashInteractive}/bin/sh";
    environment.variables = config.environment.sessionVariables;
    environment.profileRelativeEnvVars = config.environment.profileRelativeSessionVariables;
    environment.shellAliases = lib.mapAttrs (_: lib.mkDefault) {
      ls = "ls --color=tty";
      ll = "ls -l";
      l = "ls -alh";
    };

    environment.etc.shells.text = ''
      ${lib.concatStringsSep "\n" (map utils.toShellPath cfg.shells)}
      /bin/sh
    '';
    environment.etc.set-environment.source = config.system.build.setEnvironment;

    system.build.exportedVariables = exported;
    system.build.setEnvironment = pkgs.writeText "set-environment" ''
      # DO NOT EDIT -- this file has been generated automatically.

      # Prevent this file from being sourced by child shells.
      export __NIXOS_SET_ENVIRONMENT_DONE=1

      ${lib.concatStringsSep "\n" (lib.mapAttrsToList (n: v: ''export ${n}="${v}"'') exported)}

      ${cfg.extraInit}

      ${lib.optionalString cfg.homeBinInPath ''
        # ~/bin if it exists overrides other bin directories.
        export PATH="$HOME/bin:$PATH"
      ''}

      ${lib.optionalString cfg.localBinInPath ''
        export PATH="$HOME/.local/bin:$PATH"
      ''}
    '';

    system.activationScripts.binsh = lib.stringAfter [ "stdio" ] "# done by the switch";
  };
}
