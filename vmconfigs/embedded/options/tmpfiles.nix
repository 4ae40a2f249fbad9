# systemd.tmpfiles: nixos/modules/system/boot/systemd/tmpfiles.nix
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.systemd.tmpfiles;

  field = description: mkOption {
    type = types.str;
    default = "-";
    inherit description;
  };

  entry =
    { name, ... }:
    {
      options = {
        type = mkOption {
          type = types.str;
          default = name;
          description = "Type of the line, tmpfiles.d(5).";
        };
        mode = field "Mode.";
        user = field "Owner.";
        group = field "Group.";
        age = field "Age after which it is cleaned.";
        argument = mkOption {
          type = types.str;
          default = "";
          description = "Argument.";
        };
      };
    };

  named = placeholder: elemType: types.attrsWith { inherit placeholder elemType; };

  escape = lib.strings.escapeC [
    "\t"
    "\n"
    "\r"
    " "
    "\\"
  ];

  ruleOf = path: e: ''
    '${e.type}' '${path}' '${e.mode}' '${e.user}' '${e.group}' '${e.age}' ${escape e.argument}
  '';

  textOf =
    paths:
    lib.concatStrings (
      lib.mapAttrsToList (path: kinds: lib.concatStrings (lib.mapAttrsToList (_: ruleOf path) kinds)) paths
    );
in
{
  options.systemd.tmpfiles = {
    rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Lines as in tmpfiles.d(5).";
    };
    settings = mkOption {
      type = named "config-name" (named "path" (named "tmpfiles-type" (types.submodule entry)));
      default = { };
      description = "Lines as in tmpfiles.d(5), by file, path and type.";
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages that bring such lines.";
    };
  };

  config = {
    environment.etc = {
      "tmpfiles.d/00-nixos.conf".text = ''
        # This file is created automatically and should not be modified.
        # Please change the option ‘systemd.tmpfiles.rules’ instead.

        ${lib.concatStringsSep "\n" cfg.rules}
      '';
    }
    // lib.mapAttrs' (
      name: paths: lib.nameValuePair "tmpfiles.d/${name}.conf" { text = textOf paths; }
    ) cfg.settings;

    warnings = lib.concatLists (
      lib.concatLists (
        lib.mapAttrsToList (
          name: paths:
          lib.concatLists (
            lib.mapAttrsToList (
              path: kinds:
              lib.mapAttrsToList (
                kind: e:
                lib.optional (
                  builtins.match ".*\\\\([nrt]|x[0-9A-Fa-f]{2}).*" e.argument != null
                ) "The argument option of ${name}.${kind}.${path} appears to contain escape sequences, which will be escaped again. Unescape them if this is not intended: \"${e.argument}\""
              ) kinds
            ) paths
          )
        ) cfg.settings
      )
    );
  };
}
