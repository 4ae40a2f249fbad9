# security.pam, as far as the guest has it: nixos/modules/security/pam.nix
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;

  limit = types.submodule {
    options = {
      domain = mkOption {
        type = types.str;
        description = "User, @group or *.";
      };
      type = mkOption {
        type = types.enum [
          "-"
          "hard"
          "soft"
        ];
        default = "-";
        description = "Kind of limit.";
      };
      item = mkOption {
        type = types.enum [
          "core"
          "data"
          "fsize"
          "memlock"
          "nofile"
          "rss"
          "stack"
          "cpu"
          "nproc"
          "as"
          "maxlogins"
          "maxsyslogins"
          "priority"
          "locks"
          "sigpending"
          "msgqueue"
          "nice"
          "rtprio"
        ];
        description = "What is limited.";
      };
      value = mkOption {
        type = types.oneOf [
          types.str
          types.int
        ];
        description = "How far.";
      };
    };
  };

  # The table of what a service may be told, and its rules, which are whoever's.
  service = types.submodule (
    { name, ... }:
    {
      options =
        lib.recursiveUpdate (import ./accepted/table.nix { inherit lib; } ./accepted/pam-service.txt)
          {
            name = mkOption {
              type = types.str;
              default = name;
              description = "Name of the service.";
            };
            limits = mkOption {
              type = types.listOf limit;
              default = [ ];
              description = "Limits of its sessions.";
            };
            rules = mkOption {
              type = types.attrsOf types.anything;
              default = { };
              visible = false;
              description = "Rules, by type and name.";
            };
          };
    }
  );

  lineOf = l: "${l.domain} ${l.type} ${l.item} ${toString l.value}";
in
{
  options.security.pam = {
    loginLimits = mkOption {
      type = types.listOf limit;
      default = [ ];
      description = "Limits of sessions, limits.conf(5).";
    };
    services = mkOption {
      type = types.attrsOf service;
      default = { };
      description = "Accepted; a guest has Debian's services of PAM.";
    };
    sshAgentAuth.enable = lib.mkEnableOption "logins with keys of ssh-agent";
  };

  # pam_limits reads every file of this folder.
  config.environment.etc."security/limits.d/90-nixos.conf" =
    lib.mkIf (config.security.pam.loginLimits != [ ])
      {
        text = lib.concatMapStrings (l: lineOf l + "\n") config.security.pam.loginLimits;
      };
}
