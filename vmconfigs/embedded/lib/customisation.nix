# Functions whose result can be had again with other arguments.
{ lib }:
let
  inherit (builtins)
    attrNames
    filter
    head
    intersectAttrs
    isAttrs
    length
    listToAttrs
    mapAttrs
    unsafeGetAttrPos
    ;
  inherit (lib.attrsets) isDerivation optionalAttrs;
  inherit (lib.fixedPoints) extends;
  inherit (lib.lists)
    init
    last
    sortOn
    take
    ;
  inherit (lib.strings) concatStringsSep levenshtein levenshteinAtMost;
  inherit (lib.trivial)
    functionArgs
    isFunction
    mirrorFunctionArgs
    setFunctionArgs
    ;
  load = f: if isFunction f then f else import f;
in
rec {
  # The result, if a set or a function, gets `override`: call f again with some
  # arguments changed, given as a set or as a function of the old ones.
  makeOverridable =
    f:
    let
      likeF = mirrorFunctionArgs f;
      call =
        args:
        let
          result = f args;
          override = likeF (
            new: makeOverridable f (args // (if isFunction new then new args else new))
          );
          again = change: makeOverridable (likeF (args: change (f args))) args;
        in
        if isAttrs result then
          result
          // {
            inherit override;
            overrideDerivation = g: again (drv: overrideDerivation drv g);
            ${if result ? overrideAttrs then "overrideAttrs" else null} =
              g: again (drv: drv.overrideAttrs g);
          }
        else if isFunction result then
          setFunctionArgs result (functionArgs result) // { inherit override; }
        else
          result;
    in
    if isAttrs f then
      f
      // likeF call
      // optionalAttrs (f ? override) { override = args: makeOverridable (f.override args); }
    else
      likeF call;

  overrideDerivation =
    drv: f:
    extendDerivation true (drv.passthru or { } // { meta = drv.meta or { }; }) (
      derivation (drv.drvAttrs // f drv)
    );

  # Call a function (or a file with one) with the arguments it names, taken
  # from `auto`, and with `args`.
  callPackageWith =
    auto: f: args:
    let
      function = load f;
      wanted = functionArgs function;
      given = intersectAttrs wanted auto // args;
      missing = filter (name: !wanted.${name}) (attrNames (removeAttrs wanted (attrNames given)));
      name = head missing;
      near = map (n: ''"${n}"'') (
        take 3 (
          sortOn (levenshtein name) (filter (levenshteinAtMost 2 name) (attrNames (auto // args)))
        )
      );
      pos = unsafeGetAttrPos name wanted;
      place = if pos == null then "<unknown location>" else "${pos.file}:${toString pos.line}";
      hint =
        if near == [ ] then
          ""
        else if length near == 1 then
          ", did you mean ${head near}?"
        else
          ", did you mean ${concatStringsSep ", " (init near)} or ${last near}?";
    in
    if missing == [ ] then
      makeOverridable function given
    else
      abort "lib.customisation.callPackageWith: Function called without required argument \"${name}\" at ${place}${hint}";
  callPackagesWith =
    auto: f: args:
    let
      function = load f;
      given = intersectAttrs (functionArgs function) auto // args;
      result = function given;
      likeF = mirrorFunctionArgs function;
    in
    if isDerivation result then
      throw ''function `callPackages` was called on a *single* derivation "${result.name or "<unknown-name>"}"; did you mean to use `callPackage` instead?''
    else
      mapAttrs (name: _: makeOverridable (likeF (args: (function args).${name})) given) result;

  # A package with more attributes, on each of its outputs.
  extendDerivation =
    condition: passthru: drv:
    let
      names = drv.outputs or [ "out" ];
      outputs = map (name: {
        inherit name;
        value =
          common
          // {
            inherit (drv.${name}) type outputName;
            outputSpecified = true;
            drvPath =
              assert condition;
              drv.${name}.drvPath;
            outPath =
              assert condition;
              drv.${name}.outPath;
          }
          // optionalAttrs (passthru ? overrideAttrs) {
            overrideAttrs = f: (passthru.overrideAttrs f).${name};
          };
      }) names;
      common =
        drv
        // listToAttrs outputs
        // {
          all = map (output: output.value) outputs;
        }
        // passthru
        // {
          drvPath =
            assert condition;
            drv.drvPath;
          outPath =
            assert condition;
            drv.outPath;
        };
    in
    common;
  hydraJob = drv: drv;

  # Packages that know each other: f gets them all.
  makeScope =
    newScope: f:
    let
      self = {
        callPackage = self.newScope { };
      }
      // f self
      // {
        newScope = scope: newScope (self // scope);
        overrideScope = g: makeScope newScope (extends g f);
        packages = f;
      };
    in
    self;
  makeScopeWithSplicing =
    splicePackages: newScope: otherSplices: keep: extra: f:
    makeScopeWithSplicing' { inherit splicePackages newScope; } {
      inherit
        otherSplices
        keep
        extra
        f
        ;
    };
  makeScopeWithSplicing' =
    { splicePackages, newScope }@how:
    {
      otherSplices,
      keep ? (_: { }),
      extra ? (_: { }),
      f,
    }@what:
    let
      plain = splicePackages {
        pkgsBuildBuild = otherSplices.selfBuildBuild;
        pkgsBuildHost = otherSplices.selfBuildHost;
        pkgsBuildTarget = otherSplices.selfBuildTarget;
        pkgsHostHost = otherSplices.selfHostHost;
        pkgsHostTarget = self;
        pkgsTargetTarget = otherSplices.selfTargetTarget;
      };
      spliced = extra plain // plain // keep self;
      self = f self // {
        newScope = scope: newScope (spliced // scope);
        callPackage = newScope spliced;
        overrideScope = g: makeScopeWithSplicing' how (what // { f = extends g f; });
        packages = f;
      };
    in
    self;
  extendMkDerivation =
    {
      constructDrv,
      excludeDrvArgNames ? [ ],
      excludeFunctionArgNames ? [ ],
      extendDrvArgs,
      inheritFunctionArgs ? true,
      transformDrv ? (drv: drv),
    }:
    {
      __functor =
        _: args:
        transformDrv (
          constructDrv (
            final:
            let
              given = if isFunction args then args final else args;
            in
            removeAttrs given excludeDrvArgNames // extendDrvArgs final given
          )
        );
      __functionArgs = removeAttrs (
        optionalAttrs inheritFunctionArgs (removeAttrs (functionArgs constructDrv) excludeDrvArgNames)
        // functionArgs (extendDrvArgs { })
      ) excludeFunctionArgNames;
      inherit
        constructDrv
        excludeDrvArgNames
        extendDrvArgs
        transformDrv
        ;
    };
}
