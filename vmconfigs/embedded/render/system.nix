# Packages, environment, activation, kernel, time.
{
  config,
  options,
  lib,
  definitionsOfUser,
  ...
}:
let
  env = config.environment;

  pname = package: (builtins.parseDrvName package.name).name;

  asSnippet =
    snippet:
    if lib.isString snippet then
      {
        text = snippet;
        deps = [ ];
      }
    else
      { inherit (snippet) text deps; };

  snippets = lib.mapAttrs (_: asSnippet) config.system.activationScripts;

  ownSnippets = lib.unique (
    lib.concatMap (def: lib.attrNames def.value) (definitionsOfUser options.system.activationScripts)
  );

  # A snippet without text runs nothing, but others still wait for what it
  # waits for.
  order = lib.filter (name: snippets.${name}.text != "") (
    lib.textClosureList (lib.mapAttrs (name: s: {
      inherit (s) deps;
      text = name;
    }) snippets) (lib.attrNames (lib.filterAttrs (_: s: s.text != "") snippets))
  );

  installed = map toString env.systemPackages;
  ownPackages = lib.filter (p: lib.elem (toString p) installed) (
    lib.concatMap (def: def.value) (definitionsOfUser options.environment.systemPackages)
  );

  nonEmptyLines = text: lib.filter (line: line != "") (lib.splitString "\n" text);
in
{
  inherit (config.time) timeZone;

  inherit (env) variables sessionVariables;
  shellAliases = lib.mapAttrs (_: toString) (lib.filterAttrs (_: v: v != null) env.shellAliases);
  shell = lib.filterAttrs (name: _: definitionsOfUser options.environment.${name} != [ ]) {
    inherit (env) shellInit loginShellInit interactiveShellInit;
  };
  systemEnvironment = config.system.build.exportedVariables or { };

  systemPackages = lib.sort (a: b: a < b) (lib.unique (map pname ownPackages));
  systemPath = lib.unique installed;

  activation = lib.genAttrs ownSnippets (name: snippets.${name});
  activationOrder = order;
  activationScripts = map (name: {
    inherit name;
    text = if lib.elem name ownSnippets then snippets.${name}.text else null;
  }) order;

  kernelModules = lib.sort (a: b: a < b) config.boot.kernelModules;
  inherit (config.boot) kernelParams;
  modprobe = lib.optionals config.boot.modprobeConfig.enable (
    nonEmptyLines config.environment.etc."modprobe.d/nixos.conf".text
  );

  tmpfiles = config.systemd.tmpfiles.rules;

  inherit (config.system.build) certificates;
  inherit (config.system) stateVersion;
}
