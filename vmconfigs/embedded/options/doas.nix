# security.doas: nixos/modules/security/doas.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption optionalString types;
  cfg = config.security.doas;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  principals = opt (types.listOf (types.either types.str types.int)) [ ];

  rule.options = {
    noPass = opt types.bool false "Whether no password is asked for.";
    noLog = opt types.bool false "Whether nothing is logged.";
    persist = opt types.bool false "Whether a password holds for a while.";
    keepEnv = opt types.bool false "Whether the environment is kept.";
    setEnv = opt (types.listOf types.str) [ ] "Variables to keep, to set or, with `-`, to remove.";
    users = principals "Users, by name or number.";
    groups = principals "Groups, by name or number.";
    runAs = opt (types.nullOr types.str) null "As whom; null: as anybody.";
    cmd = opt (types.nullOr types.str) null "The command; null: any.";
    args = opt (types.nullOr (types.listOf types.str)) null "Its arguments; null: any.";
  };

  # A line of doas.conf(5) for each of a rule's users and groups.
  render =
    r:
    let
      options = lib.concatStringsSep " " [
        (optionalString r.noPass "nopass")
        (optionalString r.noLog "nolog")
        (optionalString r.persist "persist")
        (optionalString r.keepEnv "keepenv")
        "setenv { SSH_AUTH_SOCK TERMINFO TERMINFO_DIRS ${toString r.setEnv} }"
      ];
      command = lib.concatStringsSep " " [
        (optionalString (r.runAs != null) "as ${r.runAs}")
        (optionalString (r.cmd != null) "cmd ${r.cmd}")
        (
          if r.args == null then
            ""
          else if r.args == [ ] then
            "args"
          else
            "args ${toString r.args}"
        )
      ];
    in
    map (who: "permit ${options} ${who} ${command}") (
      map toString r.users ++ map (group: ":${toString group}") r.groups
    );
in
{
  options.security.doas = {
    enable = opt types.bool false "Whether doas lets users run commands as root.";
    package = lib.mkPackageOption pkgs "doas" { };
    wheelNeedsPassword = opt types.bool true "Whether the group wheel is asked for a password.";
    extraRules = opt (types.listOf (types.submodule rule)) [ ] "Rules; the last that fits holds.";
    extraConfig = opt types.lines "" "More lines of doas.conf.";
  };

  config = lib.mkIf cfg.enable {
    security.doas.extraRules = lib.mkOrder 600 [
      {
        groups = [ "wheel" ];
        noPass = !cfg.wheelNeedsPassword;
      }
    ];
    security.wrappers.doas = {
      setuid = true;
      owner = "root";
      group = "root";
      source = lib.getExe cfg.package;
    };
    environment.systemPackages = [ cfg.package ];
    security.pam.services.doas = {
      allowNullPassword = true;
      sshAgentAuth = true;
    };
    # NixOS's build has doas check it.
    environment.etc."doas.conf" = {
      source = pkgs.writeText "doas-conf" ''
        # To modify this file, set the NixOS options
        # `security.doas.extraRules` or `security.doas.extraConfig`. To
        # completely replace the contents of this file, use
        # `environment.etc."doas.conf"`.

        # extraRules
        ${lib.concatStringsSep "\n" (lib.concatMap render cfg.extraRules)}

        # extraConfig
        ${cfg.extraConfig}

        # "root" is allowed to do anything.
        permit nopass keepenv root
      '';
      mode = "0440";
    };
  };
}
