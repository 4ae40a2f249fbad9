# Users, groups, and what they may do.
{
  config,
  options,
  lib,
  definitionsOfUser,
  ...
}:
let
  definedIn = option: lib.concatMap (def: lib.attrNames def.value) (definitionsOfUser option);
  ownUsers = definedIn options.users.users;
  ownGroups = definedIn options.users.groups;

  # Options that say something only where they are set.
  perhaps =
    user:
    lib.filterAttrs (_: v: v != null && v != "" && v != false && v != [ ]) {
      inherit (user)
        hashedPassword
        initialPassword
        password
        initialHashedPassword
        hashedPasswordFile
        linger
        autoSubUidGidRange
        ;
      packages = map (p: (builtins.parseDrvName p.name).name) user.packages;
      authorizedKeyFiles = map toString user.openssh.authorizedKeys.keyFiles;
    };

  # A shell is the program itself here, as in passwd(5) of the store.
  shellText =
    shell:
    if shell == null then
      null
    else if lib.isDerivation shell && shell ? shellPath then
      "${shell}${shell.shellPath}"
    else
      toString shell;

  describe =
    key: user:
    {
      inherit (user)
        uid
        group
        extraGroups
        home
        homeMode
        createHome
        isSystemUser
        isNormalUser
        description
        ;
      shell = shellText user.shell;
      authorizedKeys = user.openssh.authorizedKeys.keys;
    }
    // perhaps user
    // lib.optionalAttrs (user.name != key) { inherit (user) name; };

  enabled = lib.filterAttrs (_: user: user.enable) config.users.users;
  isOwn = name: _: name == "root" || lib.elem name ownUsers;
in
{
  inherit (config.users) mutableUsers;

  users = lib.mapAttrs describe (lib.filterAttrs isOwn enabled);
  # Users that modules of this evaluator alone define: Debian has them as well.
  usersOfSystem = lib.mapAttrs describe (lib.filterAttrs (name: user: !isOwn name user) enabled);

  # `implied`: only this evaluator speaks of the group, with NixOS's number.
  groups = lib.mapAttrs (
    name: group:
    {
      inherit (group) gid members;
    }
    // lib.optionalAttrs (!lib.elem name ownGroups && group.members == [ ]) { implied = true; }
  ) config.users.groups;

  sudoers = if config.security.sudo.enable then config.security.sudo.configFile else null;

  loginLimits = map (l: { inherit (l) domain type item value; }) config.security.pam.loginLimits;

  wrappers = lib.mapAttrs (_: w: {
    inherit (w)
      program
      owner
      group
      permissions
      capabilities
      setuid
      setgid
      ;
    source = "${w.source}";
  }) (lib.filterAttrs (_: w: w.enable) config.security.wrappers);
}
