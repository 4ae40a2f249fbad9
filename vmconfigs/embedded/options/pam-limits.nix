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
      type = types.attrsOf (types.attrsOf types.anything);
      default = { };
      description = "Services of PAM; the guest has Debian's.";
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
