# security.sudo: nixos/modules/security/sudo.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.security.sudo;

  userWord = user: if lib.isInt user then "#${toString user}" else user;
  groupWord = group: if lib.isInt group then "%#${toString group}" else "%${group}";

  commandWords = lib.concatMapStringsSep ", " (
    command:
    if lib.isString command then
      command
    else
      "${lib.concatStringsSep ":" command.options}${lib.optionalString (command.options != [ ]) ":"} ${command.command}"
  );

  linesOf =
    rule:
    let
      rest = "${rule.host}=(${rule.runAs})    ${commandWords rule.commands}";
    in
    map (user: "${userWord user}     ${rest}") rule.users
    ++ map (group: "${groupWord group}  ${rest}") rule.groups;

  names = description: mkOption {
    type = types.listOf (types.either types.str types.int);
    default = [ ];
    inherit description;
  };

  command = types.submodule {
    options = {
      command = mkOption {
        type = types.str;
        description = "Program with arguments, sudoers(5).";
      };
      options = mkOption {
        type = types.listOf (
          types.enum [
            "NOPASSWD"
            "PASSWD"
            "NOEXEC"
            "EXEC"
            "SETENV"
            "NOSETENV"
            "LOG_INPUT"
            "NOLOG_INPUT"
            "LOG_OUTPUT"
            "NOLOG_OUTPUT"
            "MAIL"
            "NOMAIL"
            "FOLLOW"
            "NOFLLOW"
            "INTERCEPT"
            "NOINTERCEPT"
          ]
        );
        default = [ ];
        description = "Tags of the program.";
      };
    };
  };

  rule = types.submodule {
    options = {
      users = names "Who may.";
      groups = names "Whose members may.";
      host = mkOption {
        type = types.str;
        default = "ALL";
        description = "On which machine.";
      };
      runAs = mkOption {
        type = types.str;
        default = "ALL:ALL";
        description = "As whom.";
      };
      commands = mkOption {
        type = types.listOf (types.either types.str command);
        description = "What.";
      };
    };
  };

  everything = options: [
    {
      command = "ALL";
      options = options ++ cfg.defaultOptions;
    }
  ];

  wrapper = program: {
    source = "${cfg.package.out}/bin/${program}";
    owner = "root";
    group = if cfg.execWheelOnly then "wheel" else "root";
    setuid = true;
    permissions = if cfg.execWheelOnly then "u+rx,g+x" else "u+rx,g+x,o+x";
  };
in
{
  options.security.sudo = {
    defaultOptions = mkOption {
      type = types.listOf types.str;
      default = [ "SETENV" ];
      description = "Tags of the rules for root and wheel.";
    };
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether there is sudo.";
    };
    package = lib.mkPackageOption pkgs "sudo" { };
    wheelNeedsPassword = mkOption {
      type = types.bool;
      default = true;
      description = "Whether members of wheel give their password.";
    };
    execWheelOnly = mkOption {
      type = types.bool;
      default = false;
      description = "Whether only members of wheel can run sudo at all.";
    };
    keepTerminfo = mkOption {
      type = types.bool;
      default = true;
      description = "Whether root sees the user's descriptions of terminals.";
    };
    configFile = mkOption {
      type = types.lines;
      description = "Text of sudoers.";
    };
    extraRules = mkOption {
      type = types.listOf rule;
      default = [ ];
      description = "Who may do what.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of sudoers.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.package.pname != "sudo-rs";
        message = ''
          NixOS' `sudo` module does not support `sudo-rs`; see `security.sudo-rs` instead.
        '';
      }
    ];

    security.sudo.extraRules = lib.mkMerge [
      # before a user's mkBefore, and just late enough to be behind it
      (lib.mkOrder 400 [
        {
          users = [ "root" ];
          commands = everything [ ];
        }
      ])
      (lib.mkOrder 600 [
        {
          groups = [ "wheel" ];
          commands = everything (lib.optional (!cfg.wheelNeedsPassword) "NOPASSWD");
        }
      ])
    ];

    security.sudo.extraConfig = lib.mkMerge [
      ''
        Defaults env_keep+=NIXOS_NO_CHECK
      ''
      ""
      (lib.mkIf cfg.keepTerminfo ''

        # Keep terminfo database for root and %wheel.
        Defaults:root,%wheel env_keep+=TERMINFO_DIRS
        Defaults:root,%wheel env_keep+=TERMINFO
      '')
    ];

    security.sudo.configFile = lib.concatStringsSep "\n" (
      lib.filter (s: s != "") [
        ''
          # Don't edit this file. Set the NixOS options ‘security.sudo.configFile’
          # or ‘security.sudo.extraRules’ instead.
        ''
        (lib.concatStringsSep "\n" (
          lib.concatMap linesOf (lib.filter (r: r.commands != [ ]) cfg.extraRules)
        ))
        "\n"
        (lib.optionalString (cfg.extraConfig != "") ''
          # extraConfig
          ${cfg.extraConfig}
        '')
      ]
    );

    security.wrappers = {
      sudo = wrapper "sudo";
      sudoedit = wrapper "sudoedit";
    };

    environment.systemPackages = [ cfg.package ];
    environment.etc.sudoers = {
      source = pkgs.writeText "sudoers" cfg.configFile;
      mode = "0440";
    };
  };
}
