# Files under /etc: every one to place, and those a person looks for.
{
  config,
  options,
  lib,
  store,
  definitionsOfUser,
  ...
}:
let
  entries = lib.filterAttrs (_: e: e.enable) config.environment.etc;

  # A path value is copied into the store first.
  sourceOf = e: "${e.source}";
  textOf = e: store.textAt (sourceOf e);

  place =
    e:
    let
      text = textOf e;
    in
    {
      inherit (e) mode user group;
    }
    // (if text == null then { source = sourceOf e; } else { inherit text; });

  own = lib.concatMap (def: lib.attrNames def.value) (definitionsOfUser options.environment.etc);

  rendered = [
    "idmapd.conf"
    "nix/registry.json"
    "systemd/journald.conf"
    "systemd/logind.conf"
    "systemd/resolved.conf"
    "systemd/sleep.conf"
    "systemd/timesyncd.conf"
  ];
  isShown =
    name:
    lib.elem name own
    || lib.elem name rendered
    || lib.hasPrefix "ssh/authorized_keys.d/" name
    || (lib.hasPrefix "systemd/network/" name && lib.hasSuffix ".network" name);

  # Just the text where nothing else is worth saying.
  brief =
    e:
    let
      text = textOf e;
      rest =
        lib.optionalAttrs (e.mode != "symlink") { inherit (e) mode; }
        // lib.optionalAttrs (e.user != "+0") { inherit (e) user; }
        // lib.optionalAttrs (e.group != "+0") { inherit (e) group; };
    in
    if text == null then
      { source = sourceOf e; } // rest
    else if rest == { } then
      text
    else
      { inherit text; } // rest;
in
{
  etc = lib.mapAttrs' (_: e: lib.nameValuePair e.target (place e)) entries;
  etcFiles = lib.mapAttrs (_: brief) (lib.filterAttrs (name: _: isShown name) entries);
}
