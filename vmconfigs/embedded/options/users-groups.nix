# users.users and users.groups: nixos/modules/config/users-groups.nix. The
# checks of a configuration are in ./users-groups-checks.nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkDefault
    mkIf
    mkOption
    types
    ;
  cfg = config.users;
  inherit (config.ids) uids gids;

  # Groups of NixOS's services, with numbers of their own, and whether they are there.
  ofServices =
    let
      inherit (config) networking services systemd;
    in
    {
      dhcpcd =
        networking.dhcpcd.enable
        && (
          networking.useDHCP || lib.any (i: i.useDHCP == true) (lib.attrValues networking.interfaces)
        );
      nscd = services.nscd.enable;
      resolvconf = networking.resolvconf.enable;
      systemd-coredump = systemd.coredump.enable;
      systemd-oom = systemd.oomd.enable;
    };

  # useradd(8) refuses longer names.
  short =
    what: name:
    assert (
      lib.stringLength name < 32
      || abort "${what} '${name}' is longer than 31 characters which is not allowed!"
    );
    name;

  bool = default: description: mkOption {
    type = types.bool;
    inherit default description;
  };
  perhaps = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };

  range = start: {
    options = {
      ${start} = mkOption {
        type = types.int;
        description = "First number of the range.";
      };
      count = mkOption {
        type = types.int;
        default = 1;
        description = "How many numbers.";
      };
    };
  };
  ranges =
    start: description:
    mkOption {
      type = types.listOf (types.submodule (range start));
      default = [ ];
      inherit description;
    };

  user =
    { name, config, ... }:
    {
      options = {
        enable = bool true "Whether there is such a user.";
        name = mkOption {
          type = types.passwdEntry types.str;
          apply = short "Username";
          description = "Name of the account.";
        };
        description = mkOption {
          type = types.passwdEntry types.str;
          default = "";
          description = "Who it is, passwd(5)'s GECOS field.";
        };
        uid = perhaps types.int "Number; null has one given out.";
        isSystemUser = bool false "Whether it belongs to the system.";
        isNormalUser = bool false "Whether it belongs to a person.";
        group = mkOption {
          type = types.str;
          apply = short "Group name";
          default = "";
          description = "Primary group.";
        };
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Further groups.";
        };
        home = mkOption {
          type = types.passwdEntry types.path;
          default = "/var/empty";
          description = "Home directory.";
        };
        homeMode = mkOption {
          type = types.strMatching "[0-7]{1,5}";
          default = "700";
          description = "Mode of a home directory that is created.";
        };
        cryptHomeLuks = perhaps types.str "Encrypted device with the home directory.";
        pamMount = mkOption {
          type = types.attrsOf types.str;
          default = { };
          description = "Entry of pam_mount.conf.xml.";
        };
        shell = mkOption {
          type = types.nullOr (types.either types.shellPackage (types.passwdEntry types.path));
          default = pkgs.shadow;
          description = "Login shell.";
        };
        ignoreShellProgramCheck = bool false "Whether the shell need not be enabled in `programs`.";
        subUidRanges = ranges "startUid" "Subordinate users, subuid(5).";
        subGidRanges = ranges "startGid" "Subordinate groups, subgid(5).";
        autoSubUidGidRange = bool false "Whether a range of each is given out.";
        createHome = bool false "Whether the home directory is created.";
        useDefaultShell = bool false "Whether the shell is users.defaultUserShell.";
        hashedPassword = perhaps (types.passwdEntry types.str) "Hash of the password.";
        password = perhaps types.str "Password; everybody can read it in the store.";
        hashedPasswordFile = mkOption {
          type = types.nullOr types.str;
          default = config.passwordFile;
          description = "File with the hash of the password.";
        };
        passwordFile = perhaps types.str "Old name of hashedPasswordFile." // {
          visible = false;
        };
        initialHashedPassword = perhaps (types.passwdEntry types.str) "Hash of the first password.";
        initialPassword = perhaps types.str "First password.";
        packages = mkOption {
          type = types.listOf types.package;
          default = [ ];
          description = "Packages of this user alone.";
        };
        expires = perhaps (types.strMatching "[[:digit:]]{4}-[[:digit:]]{2}-[[:digit:]]{2}") "Last day of the account.";
        linger = perhaps types.bool "Whether the user's units run without a login.";
      };

      config = lib.mkMerge [
        {
          name = mkDefault name;
          shell = mkIf config.useDefaultShell (mkDefault cfg.defaultUserShell);
        }
        (mkIf config.isNormalUser {
          group = mkDefault "users";
          createHome = mkDefault true;
          home = mkDefault "${cfg.defaultUserHome}/${config.name}";
          homeMode = mkDefault "700";
          useDefaultShell = mkDefault true;
          isSystemUser = mkDefault false;
        })
        # Without mutable users the first password is the password.
        (mkIf (!cfg.mutableUsers && config.initialPassword != null) {
          password = mkDefault config.initialPassword;
        })
        (mkIf (!cfg.mutableUsers && config.initialHashedPassword != null) {
          hashedPassword = mkDefault config.initialHashedPassword;
        })
        (mkIf (config.isNormalUser && config.subUidRanges == [ ] && config.subGidRanges == [ ]) {
          autoSubUidGidRange = mkDefault true;
        })
      ];
    };

  group =
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = types.passwdEntry types.str;
          description = "Name of the group.";
        };
        gid = perhaps types.int "Number; null has one given out.";
        members = mkOption {
          type = types.listOf (types.passwdEntry types.str);
          default = [ ];
          description = "Users in the group.";
        };
      };
      config = {
        name = mkDefault name;
        members = lib.mapAttrsToList (_: u: u.name) (
          lib.filterAttrs (_: u: u.enable && lib.elem config.name u.extraGroups) cfg.users
        );
      };
    };

  lingering = value: lib.mapAttrsToList (_: u: u.name) (lib.filterAttrs (_: u: u.linger == value) cfg.users);
in
{
  imports = [
    (lib.mkAliasOptionModule [ "users" "extraUsers" ] [ "users" "users" ])
    (lib.mkAliasOptionModule [ "users" "extraGroups" ] [ "users" "groups" ])
    (lib.mkRenamedOptionModule
      [ "security" "initialRootPassword" ]
      [ "users" "users" "root" "initialHashedPassword" ]
    )
  ];

  options.users = {
    mutableUsers = bool true "Whether users can be changed outside of the configuration.";
    enforceIdUniqueness = bool true "Whether no two users or groups may share a number.";
    manageLingering = bool true "Whether lingering follows the configuration.";
    allowNoPasswordLogin = bool false "Whether nobody needs to be able to log in.";
    defaultUserHome = mkOption {
      type = types.str;
      default = "/home";
      description = "Where homes of people are.";
    };
    defaultUserShell = mkOption {
      type = types.either types.path types.shellPackage;
      description = "Login shell of people.";
    };
    motd = mkOption {
      type = types.lines;
      default = "";
      description = "Message of the day.";
    };
    users = mkOption {
      type = types.attrsOf (types.submodule user);
      default = { };
      description = "Users.";
    };
    groups = mkOption {
      type = types.attrsOf (types.submodule group);
      default = { };
      description = "Groups.";
    };
  };

  config = {
    users.users = {
      root = {
        uid = uids.root;
        description = "System administrator";
        home = "/root";
        shell = mkDefault cfg.defaultUserShell;
        group = "root";
      };
      nobody = {
        uid = uids.nobody;
        isSystemUser = true;
        description = "Unprivileged account (don't use!)";
        group = "nogroup";
      };
    };

    users.groups =
      lib.genAttrs [
        "root"
        "wheel"
        "disk"
        "kmem"
        "tty"
        "floppy"
        "uucp"
        "lp"
        "cdrom"
        "tape"
        "audio"
        "video"
        "dialout"
        "nogroup"
        "users"
        "nixbld"
        "utmp"
        "adm"
        "input"
        "kvm"
        "render"
        "sgx"
        "shadow"
        "clock"
        # of other modules of NixOS's own
        "keys"
        "messagebus"
        "systemd-journal"
        "systemd-network"
        "systemd-resolve"
      ] (name: { gid = gids.${name}; })
      // lib.optionalAttrs config.services.timesyncd.enable {
        systemd-timesync.gid = gids.systemd-timesync;
      }
      // lib.genAttrs (lib.attrNames (lib.filterAttrs (_: on: on) ofServices)) (_: { });

    # A fresh state directory has nobody in it, so only those who shall be.
    systemd.services.linger-users = mkIf cfg.manageLingering {
      wantedBy = [ "multi-user.target" ];
      after = [ "systemd-logind.service" ];
      requires = [ "systemd-logind.service" ];
      script = ''
        ${lib.toShellVars {
          lingeringUserNames = lingering true;
          nonLingeringUserNames = lingering false;
        }}

        shopt -s dotglob nullglob
        for user in *; do
            if ! id "$user" >/dev/null; then
                echo "Removing linger for missing user $user" >&2
                rm -- "$user"
            fi
        done

        if (( ''${#nonLingeringUserNames[*]} > 0 )); then
            ${config.systemd.package}/bin/loginctl disable-linger "''${nonLingeringUserNames[@]}"
        fi
        if (( ''${#lingeringUserNames[*]} > 0 )); then
            ${config.systemd.package}/bin/loginctl enable-linger "''${lingeringUserNames[@]}"
        fi
      '';
      serviceConfig = {
        Type = "oneshot";
        StateDirectory = "systemd/linger";
        WorkingDirectory = "/var/lib/systemd/linger";
      };
    };

    environment.systemPackages = lib.filter types.shellPackage.check (
      lib.mapAttrsToList (_: u: u.shell) cfg.users
    );

    environment.etc = lib.mapAttrs' (_: u: {
      name = "profiles/per-user/${u.name}";
      value.source = pkgs.buildEnv {
        name = "user-environment";
        paths = u.packages;
        inherit (config.environment) pathsToLink;
      };
    }) (lib.filterAttrs (_: u: u.packages != [ ]) cfg.users);

    system.activationScripts = {
      users = {
        supportsDryActivation = true;
        text = "# done by the switch";
      };
      # Names that other snippets may wait for.
      hashes = lib.stringAfter [ "users" ] "";
      groups = lib.stringAfter [ "users" ] "";
    };
  };
}
