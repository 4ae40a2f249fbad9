# Variables that every session has, by pam_env: nixos/modules/config/system-environment.nix
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.environment;

  suffixed = lib.mapAttrs (
    _: suffixes: lib.concatMap (profile: map (suffix: profile + suffix) suffixes) cfg.profiles
  ) cfg.profileRelativeSessionVariables;

  combined = lib.zipAttrsWith (_: lib.concatLists) [
    { PATH = [ config.security.wrapperDir ]; }
    (lib.mapAttrs (_: lib.toList) cfg.sessionVariables)
    suffixed
  ];

  # pam_env.conf(5) has other words for these two.
  pamWords = lib.replaceStrings [ "$HOME" "$USER" ] [ "@{HOME}" "@{PAM_USER}" ];
  pamLine = n: v: ''${n}   DEFAULT="${lib.concatMapStringsSep ":" pamWords v}"'';
in
{
  options.environment = {
    sessionVariables = lib.mkOption {
      default = { };
      inherit (options.environment.variables) type apply;
      description = "Environment variables of every session.";
    };
    profileRelativeSessionVariables = lib.mkOption {
      type = lib.types.attrsOf (lib.types.listOf lib.types.str);
      description = "Session variables with a part for each profile.";
    };
  };

  config.environment.etc = {
    "environment.d/50-systemd-path.conf".text = ''
      PATH="${lib.concatStringsSep ":" combined.PATH}"
    '';
    "pam/environment".text = lib.concatStringsSep "\n" (lib.mapAttrsToList pamLine combined) + "\n";
  };
}
