# security.wrappers: nixos/modules/security/wrappers
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;

  symbolic = "[ugoa]*([-+=]([rwxXst]*|[ugo]))+|[-+=][0-7]+";
  mode =
    types.strMatching "((${symbolic})(,${symbolic})*)|([-+=]?[0-7]{0,4})"
    // {
      description = "file mode string";
    };

  wrapper =
    { name, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether there is such a program.";
        };
        source = mkOption {
          type = types.path;
          description = "The program.";
        };
        program = mkOption {
          type = types.nullOr types.str;
          default = name;
          description = "Its name.";
        };
        owner = mkOption {
          type = types.str;
          description = "Its owner.";
        };
        group = mkOption {
          type = types.str;
          description = "Its group.";
        };
        permissions = mkOption {
          type = mode;
          default = "u+rx,g+x,o+x";
          description = "Its mode.";
        };
        capabilities = mkOption {
          type = types.commas;
          default = "";
          description = "Its capabilities.";
        };
        setuid = mkOption {
          type = types.bool;
          default = false;
          description = "Whether it runs as its owner.";
        };
        setgid = mkOption {
          type = types.bool;
          default = false;
          description = "Whether it runs as its group.";
        };
      };
    };

  root = program: {
    source = program;
    setuid = true;
    owner = "root";
    group = "root";
  };

  mapper = capabilities: program: {
    source = "${pkgs.shadow}/bin/${program}";
    owner = "root";
    group = "root";
    inherit capabilities;
  };
in
{
  options.security = {
    enableWrappers = lib.mkEnableOption "programs with privileges" // {
      default = true;
    };
    wrappers = mkOption {
      type = types.attrsOf (types.submodule wrapper);
      default = { };
      description = "Programs with privileges.";
    };
    wrapperDir = mkOption {
      type = types.path;
      default = "/run/wrappers/bin";
      internal = true;
      description = "Where they are.";
    };
    wrapperDirSize = mkOption {
      type = types.str;
      default = "50%";
      description = "How large that directory may get.";
    };
  };

  config = lib.mkIf config.security.enableWrappers {
    assertions = lib.mapAttrsToList (name: w: {
      assertion = w.setuid || w.setgid -> w.capabilities == "";
      message = ''
        The security.wrappers.${name} wrapper is not valid:
            setuid/setgid and capabilities are mutually exclusive.
      '';
    }) (lib.filterAttrs (_: w: w.enable) config.security.wrappers);

    environment.extraInit = ''
      # Wrappers override other bin directories.
      export PATH="${config.security.wrapperDir}:$PATH"
    '';

    security.wrappers = {
      mount = root "${pkgs.util-linux}/bin/mount";
      umount = root "${pkgs.util-linux}/bin/umount";
      su = root "${pkgs.su}/bin/su";
      sg = root "${pkgs.shadow}/bin/sg";
      chsh = root "${pkgs.shadow}/bin/chsh";
      newgrp = root "${pkgs.shadow}/bin/newgrp";
      passwd = root "${pkgs.shadow}/bin/passwd";
      newuidmap = mapper "cap_setuid+ep" "newuidmap";
      newgidmap = mapper "cap_setgid+ep" "newgidmap";
    };
  };
}
