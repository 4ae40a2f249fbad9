# Packages' meta data: programs, licences, priorities, platforms.
{ lib }:
let
  inherit (builtins)
    any
    isString
    mapAttrs
    match
    parseDrvName
    typeOf
    ;
  inherit (lib.attrsets)
    filterAttrs
    getBin
    isDerivation
    mapAttrs'
    matchAttrs
    nameValuePair
    ;
  inherit (lib.strings) escapeNixIdentifier getName toLower;
  inherit (lib.trivial) warn;
in
rec {
  # Path of a package's main program.
  getExe =
    pkg:
    getExe' pkg (
      pkg.meta.mainProgram or (warn
        "getExe: Package ${
          escapeNixIdentifier pkg.meta.name or pkg.pname or pkg.name
        } does not have the meta.mainProgram attribute. We'll assume that the main program has the same name for now, but this behavior is deprecated, because it leads to surprising errors when the assumption does not hold. If the package has a main program, please set `meta.mainProgram` in its definition to make this warning go away. Otherwise, if the package does not have a main program, or if you don't control its definition, use getExe' to specify the name to the program, such as lib.getExe' foo \"bar\"."
        (getName pkg)
      )
    );
  # Path of one of a package's programs.
  getExe' =
    pkg: program:
    if !isDerivation pkg then
      throw "lib.meta.getExe': The first argument is of type ${typeOf pkg}, but it should be a derivation instead."
    else if !isString program then
      throw "lib.meta.getExe': The second argument is of type ${typeOf program}, but it should be a string instead."
    else if match ".*/.*" program != null then
      throw "lib.meta.getExe': The second argument \"${program}\" is a nested path with a \"/\" character, but it should just be the name of the executable instead."
    else
      "${getBin pkg}/bin/${program}";

  addMetaAttrs =
    new: pkg:
    if pkg ? overrideAttrs then
      pkg.overrideAttrs (old: {
        meta = old.meta or { } // new;
      })
    else
      pkg // { meta = pkg.meta or { } // new; };
  dontDistribute = addMetaAttrs { hydraPlatforms = [ ]; };
  setName = name: pkg: pkg // { inherit name; };
  updateName = f: pkg: pkg // { name = f pkg.name; };
  appendToName =
    suffix:
    updateName (
      name:
      let
        parts = parseDrvName name;
      in
      "${parts.name}-${suffix}-${parts.version}"
    );
  mapDerivationAttrset = f: mapAttrs (_: pkg: if isDerivation pkg then f pkg else pkg);

  # The least number wins where two packages have the same file.
  defaultPriority = 5;
  setPrio = priority: addMetaAttrs { inherit priority; };
  lowPrio = setPrio 10;
  lowPrioSet = mapDerivationAttrset lowPrio;
  hiPrio = setPrio (-10);
  hiPrioSet = mapDerivationAttrset hiPrio;

  # pattern: a system ("x86_64-linux"), or what its attributes must be.
  platformMatch =
    platform: pattern:
    if isString pattern then
      platform.system or null == pattern
    else
      matchAttrs (if pattern ? parsed then pattern else { parsed = pattern; }) platform;
  availableOn =
    platform: pkg:
    let
      matches = any (platformMatch platform);
    in
    (!(pkg ? meta.platforms) || matches pkg.meta.platforms)
    && !(pkg ? meta.badPlatforms && matches pkg.meta.badPlatforms);

  licensesSpdx = mapAttrs' (_: license: nameValuePair license.spdxId license) (
    filterAttrs (_: license: license ? spdxId) lib.licenses
  );
  getLicenseFromSpdxId =
    id:
    getLicenseFromSpdxIdOr id (
      warn "getLicenseFromSpdxId: No license with the given SPDX ID found: ${id}" {
        shortName = id;
        spdxId = id;
      }
    );
  getLicenseFromSpdxIdOr =
    let
      byId = mapAttrs' (id: nameValuePair (toLower id)) licensesSpdx;
    in
    id: default: byId.${toLower id} or default;
  cpeFullVersionWithVendor = vendor: version: {
    inherit vendor version;
    update = "*";
  };
}
