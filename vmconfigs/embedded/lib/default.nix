# The part of nixpkgs' `lib` that NixOS modules use, and the module system,
# with the names, behaviour and messages of NixOS 26.11. Beyond nixpkgs:
# definitions know where they stand (see modules/explain.nix).
let
  fix =
    f:
    let
      self = f self // {
        extend = overlay: fix (final: let prev = f final; in prev // overlay final prev);
      };
    in
    self;
in
fix (
  self:
  let
    load = file: import file { lib = self; };
  in
  {
    trivial = load ./trivial.nix;
    fixedPoints = load ./fixed-points.nix;
    attrsets = load ./attrsets.nix;
    lists = load ./lists.nix;
    strings = load ./strings;
    stringsWithDeps = load ./strings-with-deps.nix;

    customisation = load ./customisation.nix;
    derivations = load ./derivations.nix;
    meta = load ./meta.nix;
    versions = load ./versions.nix;
    licenses = load ./licenses.nix;
    systems = load ./systems.nix;
    platforms = self.systems.doubles;
    # People are not needed to evaluate a host.
    maintainers = { };
    teams = { };

    modules = load ./modules;
    options = load ./options.nix;
    types = load ./types;

    cli = load ./cli.nix;
    generators = load ./generators;
    asserts = load ./asserts.nix;
    debug = load ./debug.nix;
    misc = load ./misc.nix;

    path = load ./path.nix;
    filesystem = load ./filesystem.nix;
    fileset = load ./fileset.nix;
    sources = load ./sources.nix;
    network = load ./network.nix;
    gvariant = load ./gvariant.nix;
    kernel = load ./kernel.nix;

    inherit (builtins)
      getContext hasContext convertHash hashString parseDrvName placeholder fromJSON
      fromTOML toFile toJSON toString toXML tryEval parseFlakeRef flakeRefToString
      ;
    inherit (self.trivial)
      id const pipe concat "or" and mul div xor bitAnd bitOr bitXor bitNot
      boolToString boolToYesNo mergeAttrs flip defaultTo mapNullable inNixShell
      isFloat min max importJSON importTOML warn warnIf warnIfNot throwIf throwIfNot
      checkListOfEnum info showWarnings nixpkgsVersion version isInOldestRelease
      oldestSupportedReleaseIsAtLeast mod compare splitByAndCompare seq deepSeq
      lessThan add sub functionArgs setFunctionArgs isFunction toFunction
      mirrorFunctionArgs fromHexString toHexString toBaseDigits inPureEvalMode
      isBool isInt pathExists genericClosure readFile ceil floor
      ;
    inherit (self.fixedPoints)
      fix fix' converge extends composeExtensions composeManyExtensions
      makeExtensible makeExtensibleWithCustomName toExtension
      ;
    inherit (self.attrsets)
      attrByPath hasAttrByPath setAttrByPath getAttrFromPath attrVals attrNames
      attrValues getAttrs catAttrs filterAttrs filterAttrsRecursive foldlAttrs
      foldAttrs collect nameValuePair mapAttrs mapAttrs' mapAttrsToList attrsToList
      concatMapAttrs mapAttrsRecursive mapAttrsRecursiveCond mapAttrsToListRecursive
      mapAttrsToListRecursiveCond genAttrs genAttrs' isDerivation toDerivation
      optionalAttrs zipAttrsWithNames zipAttrsWith zipAttrs recursiveUpdateUntil
      recursiveUpdate matchAttrs mergeAttrsList overrideExisting showAttrPath
      getOutput getFirstOutput getBin getLib getStatic getDev getInclude getMan
      chooseDevOutputs recurseIntoAttrs dontRecurseIntoAttrs cartesianProduct
      mapCartesianProduct updateManyAttrsByPath listToAttrs hasAttr getAttr isAttrs
      intersectAttrs removeAttrs
      ;
    inherit (self.lists)
      singleton forEach map foldr fold foldl foldl' imap0 imap1 filter ifilter0
      concatMap flatten remove findSingle findFirst any all count optional optionals
      toList range replicate partition zipListsWith zipLists reverseList listDfs
      toposort sort sortOn naturalSort compareLists take takeEnd drop dropEnd
      sublist last init crossLists unique uniqueStrings allUnique intersectLists
      subtractLists mutuallyExclusive groupBy groupBy' concatLists genList length
      head tail elem elemAt isList concatAttrValues replaceElemAt
      ;
    inherit (self.strings)
      concatStrings concatMapStrings concatImapStrings stringLength substring
      isString replaceString replaceStrings intersperse concatStringsSep
      concatMapStringsSep concatMapAttrsStringSep concatImapStringsSep concatLines
      makeSearchPath makeSearchPathOutput makeLibraryPath makeIncludePath
      makeBinPath optionalString hasInfix hasPrefix hasSuffix join
      stringToCharacters stringAsChars escape escapeShellArg escapeShellArgs
      isStorePath isStringLike isValidPosixName toShellVar toShellVars trim trimWith
      escapeRegex escapeURL escapeXML lowerChars upperChars toLower toUpper
      toCamelCase toSentenceCase typeOf addContextFrom splitString splitStringBy
      removePrefix removeSuffix versionOlder versionAtLeast getName getVersion match
      split cmakeOptionType cmakeBool cmakeFeature mesonOption mesonBool mesonEnable
      nameFromURL enableFeature enableFeatureAs withFeature withFeatureAs
      fixedWidthString fixedWidthNumber toInt toIntBase10 fileContents appendContext
      unsafeDiscardStringContext
      ;
    inherit (self.stringsWithDeps)
      textClosureList textClosureMap noDepEntry fullDepEntry packEntry stringAfter
      ;
    inherit (self.customisation)
      overrideDerivation makeOverridable callPackageWith callPackagesWith
      extendDerivation hydraJob makeScope makeScopeWithSplicing
      makeScopeWithSplicing' extendMkDerivation
      ;
    inherit (self.derivations)
      lazyDerivation optionalDrvAttr warnOnInstantiate addDrvOutputDependencies
      unsafeDiscardOutputDependency
      ;
    inherit (self.generators) mkLuaInline;
    inherit (self.meta)
      addMetaAttrs dontDistribute setName updateName appendToName
      mapDerivationAttrset setPrio lowPrio lowPrioSet hiPrio hiPrioSet licensesSpdx
      getLicenseFromSpdxId getLicenseFromSpdxIdOr getExe getExe'
      ;
    inherit (self.filesystem)
      pathType pathIsDirectory pathIsRegularFile baseNameOf dirOf isPath
      packagesFromDirectoryRecursive hashFile readDir readFileType
      ;
    inherit (self.sources)
      cleanSourceFilter cleanSource sourceByRegex sourceFilesBySuffices
      commitIdFromGitRepo cleanSourceWith pathHasContext canCleanSource
      pathIsGitRepo revOrTag repoRevToName filterSource
      ;
    inherit (self.modules)
      evalModules setDefaultModuleLocation unifyModuleSyntax
      applyModuleArgsIfFunction mergeModules mergeModules' mergeOptionDecls
      mergeDefinitions pushDownProperties dischargeProperties filterOverrides
      sortProperties fixupOptionType mkIf mkAssert mkDefinition mkMerge mkOverride
      mkOptionDefault mkDefault mkImageMediaOverride mkForce mkVMOverride
      mkFixStrictness mkOrder mkBefore mkAfter mkAliasDefinitions
      mkAliasAndWrapDefinitions fixMergeModules mkRemovedOptionModule
      mkRenamedOptionModule mkRenamedOptionModuleWith mkMergedOptionModule
      mkChangedOptionModule mkAliasOptionModule mkDerivedConfig doRename explainOption
      mkAliasOptionModuleMD
      ;
    inherit (self.options)
      isOption mkEnableOption mkSinkUndeclaredOptions mergeDefaultOption
      mergeOneOption mergeEqualOption mergeUniqueOption getValues getFiles
      optionAttrSetToDocList optionAttrSetToDocList' scrubOptionValue
      literalExpression showOption showOptionWithDefLocs showFiles unknownModule
      mkOption mkPackageOption literalMD
      ;
    inherit (self.types)
      isType setType defaultTypeMerge defaultFunctor isOptionType mkOptionType
      ;
    inherit (self.asserts) assertMsg assertOneOf;
    inherit (self.debug)
      trace traceIf traceVal traceValFn traceSeq traceSeqN traceValSeq traceValSeqFn
      traceValSeqN traceValSeqNFn traceFnSeqN addErrorContext unsafeGetAttrPos
      runTests testAllTrue
      ;
    inherit (self.misc)
      maybeEnv maybeAttrNullable maybeAttr ifEnable uniqList closePropagation nvs
      setAttr setAttrMerge mergeAttrsWithFunc mergeAttrsConcatenateValues fakeHash
      fakeSha256 fakeSha512 nixType imap
      ;
    inherit (self.versions) compareVersions splitVersion;
    inherit (self.network.ipv6) mkEUI64Suffix;
    evalOptionValue = self.modules.evalOptionValue;
  }
)
