# Types of values without members: numbers, strings, paths, packages.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    hasContext
    isBool
    isFloat
    isInt
    isPath
    isString
    match
    substring
    toJSON
    ;
  inherit (lib.attrsets) isDerivation;
  inherit (lib.options)
    getValues
    mergeEqualOption
    mergeOneOption
    ;
  inherit (lib.strings) hasInfix isStorePath isStringLike;
  inherit (lib.types)
    addCheck
    defaultFunctor
    mkOptionType
    optionDescriptionPhrase
    ;

  noun =
    name: description: rest:
    mkOptionType (
      {
        inherit name description;
        descriptionClass = "noun";
      }
      // rest
    );
  equal =
    name: description: check:
    noun name description {
      inherit check;
      merge = mergeEqualOption;
    };
  # A narrower type under a name of its own.
  narrowed =
    base: check: name: description:
    addCheck base check
    // {
      inherit name description;
    };
  clause = type: type // { descriptionClass = "nonRestrictiveClause"; };
  both = show: low: high: "${show low} and ${show high} (both inclusive)";
in
rec {
  raw = noun "raw" "raw value" { merge = mergeOneOption; };
  unspecified = noun "unspecified" "unspecified value" { };

  bool = equal "bool" "boolean" isBool;
  boolByOr = noun "boolByOr" "boolean (merged using or)" {
    check = isBool;
    merge = _: builtins.foldl' (result: def: result || def.value) false;
  };

  int = equal "int" "signed integer" isInt;
  float = equal "float" "floating point number" isFloat;
  number = lib.types.either int float;
  ints =
    let
      inside =
        low: high: x:
        x >= low && x <= high;
      between =
        low: high:
        if low > high then
          throw "ints.between: lowest must be smaller than highest"
        else
          narrowed int (inside low high) "intBetween" "integer between ${both toString low high}";
      bits =
        kind: low: high: n:
        narrowed int (inside low high) "${kind}Int${toString n}"
          "${toString n} bit ${kind} integer; between ${both toString low high}";
      unsigned = n: size: bits "unsigned" 0 (size - 1) n;
      signed = n: size: bits "signed" (0 - size / 2) (size / 2 - 1) n;
    in
    {
      inherit between;
      unsigned = clause (narrowed int (x: x >= 0) "unsignedInt" "unsigned integer, meaning >=0");
      positive = clause (narrowed int (x: x > 0) "positiveInt" "positive integer, meaning >0");
      u8 = unsigned 8 256;
      u16 = unsigned 16 65536;
      u32 = unsigned 32 4294967296;
      s8 = signed 8 256;
      s16 = signed 16 65536;
      s32 = signed 32 4294967296;
    };
  port = ints.u16;
  numbers = {
    between =
      low: high:
      if low > high then
        throw "numbers.between: lowest must be smaller than highest"
      else
        narrowed number (
          x: x >= low && x <= high
        ) "numberBetween" "integer or floating point number between ${both toJSON low high}";
    nonnegative = clause (
      narrowed number (
        x: x >= 0
      ) "numberNonnegative" "nonnegative integer or floating point number, meaning >=0"
    );
    positive = clause (
      narrowed number (
        x: x > 0
      ) "numberPositive" "positive integer or floating point number, meaning >0"
    );
  };

  str = equal "str" "string" isString;
  nonEmptyStr = equal "nonEmptyStr" "non-empty string" (
    x: isString x && match "[ \t\n]*" x == null
  );
  # One newline at the end is taken off.
  singleLineStr = noun "singleLineStr" "(optionally newline-terminated) single-line string" {
    check = x: isString x && match "[^\n\r]*\n?" x != null;
    merge = loc: defs: lib.strings.removeSuffix "\n" (mergeEqualOption loc defs);
  };
  strMatching =
    pattern:
    noun "strMatching ${lib.strings.escapeNixString pattern}" "string matching the pattern ${pattern}" {
      check = x: isString x && match pattern x != null;
      merge = mergeEqualOption;
      functor = defaultFunctor "strMatching" // {
        type = payload: strMatching payload.pattern;
        payload = { inherit pattern; };
        binOp = a: b: if a == b then a else null;
      };
    };
  separatedString =
    sep:
    noun "separatedString" "strings concatenated with ${toJSON sep}" {
      check = isString;
      merge = _: defs: concatStringsSep sep (getValues defs);
      functor = defaultFunctor "separatedString" // {
        payload = { inherit sep; };
        type = payload: lib.types.separatedString payload.sep;
        binOp = a: b: if a.sep == b.sep then { inherit (a) sep; } else null;
      };
    };
  lines = separatedString "\n";
  commas = separatedString ",";
  envVar = separatedString ":";
  # A field of passwd(5).
  passwdEntry =
    type:
    clause (
      narrowed type (x: !(hasInfix ":" x || hasInfix "\n" x)) "passwdEntry ${type.name}"
        "${optionDescriptionPhrase (class: class == "noun") type}, not containing newlines or colons"
    );

  path = pathWith { absolute = true; };
  pathInStore = pathWith { inStore = true; };
  externalPath = pathWith {
    absolute = true;
    inStore = false;
  };
  pathWith =
    {
      # null: either way.
      inStore ? null,
      absolute ? null,
    }:
    let
      kind = wanted: yes: no: if wanted == null then "" else if wanted then yes else no;
      storePath = "(/nix/store|${lib.strings.escapeRegex builtins.storeDir})/.{32}-.+|/[0-9a-z]{52}(/.*)?";
      isInStore =
        x:
        match storePath (
          lib.strings.normalizePath (builtins.unsafeDiscardStringContext (toString x))
        ) != null;
    in
    if inStore == true && absolute == false then
      throw "In pathWith, inStore means the path must be absolute"
    else
      noun "path"
        "${kind absolute "absolute " "relative "}path${kind inStore " in the Nix store" " not in the Nix store"}"
        {
          merge = mergeEqualOption;
          functor = defaultFunctor "path" // {
            type = pathWith;
            payload = { inherit inStore absolute; };
            binOp = a: b: if a == b then a else null;
          };
          # A Nix path could be copied to the store later: it is not outside.
          check =
            x:
            (if inStore == false then isString x else isStringLike x)
            && (inStore == null || isInStore x == inStore)
            && (absolute == null || (substring 0 1 (toString x) == "/") == absolute);
        };

  package = noun "package" "package" {
    check = x: isDerivation x || isStorePath x;
    merge =
      loc: defs:
      let
        value = mergeOneOption loc defs;
      in
      if isPath value || (isString value && !hasContext value) then
        lib.attrsets.toDerivation value
      else
        value;
  };
  shellPackage = package // {
    check = x: isDerivation x && x ? shellPath;
  };

  # Made by lib.mkLuaInline.
  luaInline = equal "luaInline" "inline lua" (x: x._type or null == "lua-inline");

  fileset = noun "fileset" "fileset" {
    check = lib.fileset.isFileset;
    merge = _: defs: lib.fileset.unions (getValues defs);
    emptyValue.value = lib.fileset.empty;
  };

  enum =
    values:
    let
      show =
        v:
        if isString v then
          ''"${v}"''
        else if isInt v then
          toString v
        else if isBool v then
          lib.trivial.boolToString v
        else
          "<${builtins.typeOf v}>";
      count = builtins.length values;
    in
    mkOptionType {
      name = "enum";
      description =
        if count == 0 then
          "impossible (empty enum)"
        else if count == 1 then
          "value ${show (builtins.head values)} (singular enum)"
        else
          "one of ${lib.strings.concatMapStringsSep ", " show values}";
      descriptionClass = if count < 2 then "noun" else "conjunction";
      check = x: builtins.elem x values;
      merge = mergeEqualOption;
      functor = defaultFunctor "enum" // {
        payload = { inherit values; };
        type = payload: lib.types.enum payload.values;
        binOp = a: b: { values = lib.lists.unique (a.values ++ b.values); };
      };
    };
}
