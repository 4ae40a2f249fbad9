# What NixOS refuses or warns of in users and groups:
# nixos/modules/config/users-groups.nix, `assertions` and `warnings`.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.users;

  # shadow(5): these hashes let nobody in.
  allowsLogin =
    hash:
    hash == ""
    || !(lib.elem hash [
      null
      "!"
      "!!"
      "*"
    ]);

  unique =
    set: key:
    let
      numbers = lib.filter (n: n != null) (lib.mapAttrsToList (_: x: x.${key}) set);
    in
    lib.length numbers == lib.length (lib.unique numbers);

  groupNames = lib.mapAttrsToList (_: g: g.name) cfg.groups;
  withoutGroup = lib.filterAttrs (_: u: u.group != "" && !lib.elem u.group groupNames) cfg.users;
  withoutShell = lib.attrNames (lib.filterAttrs (_: u: u.shell == null) cfg.users);

  mayAdminister =
    name: user:
    name == "root"
    || user.group == "wheel"
    || lib.elem "wheel" user.extraGroups
    || lib.elem name (cfg.groups.wheel.members or [ ]);
  canLogIn =
    user:
    allowsLogin user.hashedPassword
    || user.password != null
    || user.hashedPasswordFile != null
    || user.openssh.authorizedKeys.keys != [ ]
    || user.openssh.authorizedKeys.keyFiles != [ ];

  nameRegex = "[a-zA-Z0-9_.][a-zA-Z0-9_.-]*";

  checksOf =
    user:
    [
      {
        assertion = builtins.match nameRegex user.name != null;
        message = "The username \"${user.name}\" is not valid, it does not match the regex \"${nameRegex}\".";
      }
      {
        assertion = user.hashedPassword != null -> builtins.match ".*:.*" user.hashedPassword == null;
        message = ''
          The password hash of user "${user.name}" contains a ":" character.
          This is invalid and would break the login system because the fields
          of /etc/shadow (file where hashes are stored) are colon-separated.
          Please check the value of option `users.users."${user.name}".hashedPassword`.'';
      }
      {
        assertion = user.isNormalUser && user.uid != null -> user.uid >= 1000;
        message = ''
          A user cannot have a users.users.${user.name}.uid set below 1000 and set users.users.${user.name}.isNormalUser.
          Either users.users.${user.name}.isSystemUser must be set to true instead of users.users.${user.name}.isNormalUser
          or users.users.${user.name}.uid must be changed to 1000 or above.
        '';
      }
      {
        assertion = lib.xor (
          user.isSystemUser || (user.uid != null && user.uid < 1000 && !user.isNormalUser)
        ) user.isNormalUser;
        message = ''
          Exactly one of users.users.${user.name}.isSystemUser and users.users.${user.name}.isNormalUser must be set.
        '';
      }
      {
        assertion = user.group != "";
        message = ''
          users.users.${user.name}.group is unset. This used to default to
          nogroup, but this is unsafe. For example you can create a group
          for this user with:
          users.users.${user.name}.group = "${user.name}";
          users.groups.${user.name} = {};
        '';
      }
      {
        assertion = user.linger != null -> cfg.manageLingering;
        message = ''
          users.manageLingering is set to false, but
          users.users.${user.name}.linger is configured.

          If you want NixOS to manage whether user accounts linger or
          not, you must set users.manageLingering to true.  This is the
          default setting.

          If you do not want NixOS to manage whether user accounts linger
          or not, you must set users.users.${user.name}.linger to null.
          This is the default setting provided system.stateVersion is at
          least "25.11".
        '';
      }
    ]
    ++ map (shell: {
      assertion =
        !user.ignoreShellProgramCheck -> user.shell == pkgs.${shell} -> config.programs.${shell}.enable;
      message = ''
        users.users.${user.name}.shell is set to ${shell}, but
        programs.${shell}.enable is not true. This will cause the ${shell}
        shell to lack the basic nix directories in its PATH and might make
        logging in as that user impossible. You can fix it with:
        programs.${shell}.enable = true;

        If you know what you're doing and you are fine with the behavior,
        set users.users.${user.name}.ignoreShellProgramCheck = true;
        instead.
      '';
    }) [ "fish" "zsh" ];

  passwordOptions = [
    "hashedPassword"
    "hashedPasswordFile"
    "password"
  ]
  ++ lib.optionals cfg.mutableUsers [
    "initialHashedPassword"
    "initialPassword"
  ];

  precedence =
    if cfg.mutableUsers then
      "{option}`initialHashedPassword` -> {option}`initialPassword` -> {option}`hashedPassword` -> {option}`password` -> {option}`hashedPasswordFile`"
    else
      "{option}`initialHashedPassword` -> {option}`hashedPassword` -> {option}`initialPassword` -> {option}`password` -> {option}`hashedPasswordFile`";

  severalPasswords = user: ''
    The user '${user.name}' has multiple of the options
    `initialHashedPassword`, `hashedPassword`, `initialPassword`, `password`
    & `hashedPasswordFile` set to a non-null value.

    If multiple of these password options are set at the same time then a
    specific order of precedence is followed, which can lead to surprising
    results. The order of precedence differs depending on whether the
    {option}`users.mutableUsers` option is set.

    If the option {option}`users.mutableUsers` is
    `${lib.boolToString cfg.mutableUsers}`, then the order of precedence is as shown
    below, where values on the left are overridden by values on the right:
    ${precedence}

    The values of these options are:
    ${lib.concatMapStringsSep "\n" (
      option: "* users.users.\"${user.name}\".${option}: ${lib.generators.toPretty { } user.${option}}"
    ) passwordOptions}
  '';

  # crypt(5), the schemes that glibc and the BSDs share.
  knownHash =
    let
      id = "(${lib.concatStringsSep "|" pkgs.libxcrypt.enabledCryptSchemeIds})";
      value = "[a-zA-Z0-9/+.-]+";
      word = "[a-zA-Z0-9./]+";
      parameter = "[a-z0-9-]+(=${value})?";
      sep = "\\$";
    in
    "^${sep}${id}(${sep}${parameter}(,[a-z0-9-]+=${value})*)?${sep}${word}${sep}${word}(${sep}${word})?$";
in
{
  config = {
    assertions = [
      {
        assertion = !cfg.enforceIdUniqueness || (unique cfg.users "uid" && unique cfg.groups "gid");
        message = "UIDs and GIDs must be unique!";
      }
      {
        assertion = withoutGroup == { };
        message = ''
          The following users have a primary group that is undefined: ${toString (lib.attrNames withoutGroup)}
          Hint: Add this to your NixOS configuration:
            ${lib.concatStringsSep "\n  " (
              map (group: "users.groups.${group} = {};") (
                lib.unique (lib.mapAttrsToList (_: u: u.group) withoutGroup)
              )
            )}
        '';
      }
      {
        assertion = !cfg.mutableUsers -> withoutShell == [ ];
        message = ''
          users.mutableUsers = false has been set,
          but found users that have their shell set to null.
          If you wish to disable login, set their shell to pkgs.shadow (the default).
          Misconfigured users: ${toString withoutShell}
        '';
      }
      {
        assertion =
          !cfg.mutableUsers
          -> !cfg.allowNoPasswordLogin
          -> lib.any lib.id (lib.mapAttrsToList (name: u: mayAdminister name u && canLogIn u) cfg.users);
        message = ''
          Neither the root account nor any wheel user has a password or SSH authorized key.
          You must set one to prevent being locked out of your system.
          If you really want to be locked out of your system, set users.allowNoPasswordLogin = true;
          However you are most probably better off by setting users.mutableUsers = true; and
          manually running passwd root to set the root password.
        '';
      }
    ]
    ++ lib.concatMap checksOf (lib.attrValues cfg.users);

    warnings =
      lib.concatMap (
        user:
        lib.optional (
          lib.length (lib.filter (option: user.${option} != null) passwordOptions) > 1
        ) (severalPasswords user)
      ) (lib.attrValues cfg.users)
      ++ lib.concatMap (
        user:
        lib.optional
          (
            allowsLogin user.hashedPassword
            && user.hashedPassword != ""
            && builtins.match knownHash user.hashedPassword == null
          )
          ''
            The password hash of user "${user.name}" may be invalid. You must set a
            valid hash or the user will be locked out of their account. Please
            check the value of option `users.users."${user.name}".hashedPassword`.''
      ) (lib.attrValues cfg.users)
      ++ lib.concatLists (
        lib.mapAttrsToList (
          name: user:
          lib.optional (
            user.passwordFile != null
          ) "The option `users.users.\"${name}\".passwordFile' has been renamed to `users.users.\"${name}\".hashedPasswordFile'."
        ) cfg.users
      );
  };
}
