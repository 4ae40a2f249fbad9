# users.users.<name>.openssh: the keys and principals NixOS keeps for users, below /etc/ssh.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.openssh;

  lines =
    type: description:
    mkOption {
      type = types.listOf type;
      default = [ ];
      inherit description;
    };

  user.options.openssh = {
    authorizedKeys.keys = lines types.singleLineStr "Public keys that log in as this user.";
    authorizedKeys.keyFiles = lines types.path "Files of one public key each, read now.";
    authorizedPrincipals = lines types.singleLineStr "Principals of certificates that log in as this user.";
  };

  users = lib.attrValues config.users.users;

  keys = u: {
    mode = "0444";
    source = pkgs.writeText "${u.name}-authorized_keys" ''
      ${lib.concatStringsSep "\n" u.openssh.authorizedKeys.keys}
      ${lib.concatMapStrings (f: lib.readFile f + "\n") u.openssh.authorizedKeys.keyFiles}
    '';
  };

  file = dir: content: u: lib.nameValuePair "ssh/${dir}/${u.name}" (content u);
  withKeys = lib.filter (
    u: u.openssh.authorizedKeys.keys != [ ] || u.openssh.authorizedKeys.keyFiles != [ ]
  ) users;
  withPrincipals = lib.filter (u: u.openssh.authorizedPrincipals != [ ]) users;

  principals = u: {
    mode = "0444";
    text = lib.concatStringsSep "\n" u.openssh.authorizedPrincipals;
  };
in
{
  options.users.users = mkOption {
    type = types.attrsOf (types.submodule user);
  };

  config = lib.mkIf cfg.enable {
    environment.etc = lib.listToAttrs (
      map (file "authorized_keys.d" keys) withKeys
      ++ map (file "authorized_principals.d" principals) withPrincipals
    );

    services.openssh.settings.AuthorizedPrincipalsFile = lib.mkIf (
      withPrincipals != [ ]
    ) "/etc/ssh/authorized_principals.d/%u";

    services.openssh.authorizedKeysFiles =
      lib.optional cfg.authorizedKeysInHomedir "%h/.ssh/authorized_keys"
      ++ [ "/etc/ssh/authorized_keys.d/%u" ];
  };
}
