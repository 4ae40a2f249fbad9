# Numbers, versions, packages' names, flags, and what counts as a string.
{ lib }:
let
  inherit (builtins)
    compareVersions
    elem
    elemAt
    head
    isBool
    isList
    isPath
    isString
    match
    parseDrvName
    stringLength
    substring
    ;
  inherit (lib.strings) optionalString splitString toUpper;

  # The decimal number in a string, blanks around it allowed.
  parse =
    name: pattern: text:
    let
      found = match "[[:space:]]*${pattern}[[:space:]]*" text;
      number = builtins.fromJSON (head found);
    in
    if found == null || !builtins.isInt number then
      throw "${name}: Could not convert ${lib.strings.escapeNixString text} to int."
    else
      number;
in
rec {
  isStringLike = x: isString x || isPath x || x ? outPath || x ? __toString;
  isConvertibleWithToString =
    x:
    isStringLike x
    || x == null
    || isBool x
    || builtins.isInt x
    || builtins.isFloat x
    || (isList x && builtins.all isConvertibleWithToString x);
  # A top-level path of the store. "/nix/store" is one wherever the store of
  # the evaluating machine is: configurations are for another machine.
  isStorePath =
    x:
    isStringLike x
    && (
      let
        text = toString x;
        folder = dirOf text;
      in
      substring 0 1 text == "/"
      && (
        folder == builtins.storeDir
        || folder == "/nix/store"
        || match "/[0-9a-z]{52}" (builtins.unsafeDiscardStringContext text) != null
      )
    );

  toInt =
    text:
    let
      octal = match "[[:space:]]*-?0[[:digit:]]+[[:space:]]*" text;
    in
    if octal != null && match "[[:space:]]*-.*" text == null then
      throw "toInt: Ambiguity in interpretation of ${lib.strings.escapeNixString text} between octal and zero padded integer."
    else
      parse "toInt" "(-?[[:digit:]]+)" text;
  toIntBase10 =
    text:
    if match "[[:space:]]*0+[[:space:]]*" text != null then
      0
    else
      parse "toIntBase10" "0*(-?[[:digit:]]+)" text;
  floatToString =
    n:
    let
      text = toString n;
    in
    lib.trivial.warnIf (builtins.fromJSON text != n)
      "Imprecise conversion from float to string ${text}"
      text;
  fixedWidthString =
    width: filler: text:
    let
      missing = width - stringLength text;
    in
    if missing < 0 then
      throw "fixedWidthString: requested string length (${toString width}) must not be shorter than actual length (${toString (stringLength text)})"
    else if missing == 0 then
      text
    else
      filler + fixedWidthString (width - stringLength filler) filler text;
  fixedWidthNumber = width: n: fixedWidthString width "0" (toString n);

  versionOlder = a: b: compareVersions a b == -1;
  versionAtLeast = a: b: compareVersions a b != -1;
  getName = x: if isString x then (parseDrvName x).name else x.pname or (parseDrvName x.name).name;
  getVersion =
    x: if isString x then (parseDrvName x).version else x.version or (parseDrvName x.name).version;
  nameFromURL =
    url: sep:
    let
      file = lib.lists.last (splitString "/" url);
      name = head (splitString sep file);
    in
    assert name != file;
    name;
  # At most 207 characters, those a store path may have (Nix manual, "Store
  # Path"); the rest becomes dashes.
  sanitizeDerivationName =
    name:
    let
      plain = builtins.unsafeDiscardStringContext name;
      undotted = elemAt (match "\\.*(.*)" plain) 0;
      clean = lib.strings.concatMapStrings (part: if isList part then "-" else part) (
        builtins.split "[^[:alnum:]+._?=-]+" undotted
      );
      short = substring (lib.trivial.max 0 (stringLength clean - 207)) (-1) clean;
    in
    if stringLength plain <= 207 && match "[[:alnum:]+_?=-][[:alnum:]+._?=-]*" plain != null then
      plain
    else if short == "" then
      "unknown"
    else
      short;

  cmakeOptionType =
    type: feature: value:
    assert elem (toUpper type) [
      "BOOL"
      "FILEPATH"
      "PATH"
      "STRING"
      "INTERNAL"
      "LIST"
    ];
    assert isString feature && isString value;
    "-D${feature}:${toUpper type}=${value}";
  cmakeBool =
    name: flag:
    assert isBool flag;
    cmakeOptionType "bool" name (toUpper (lib.trivial.boolToString flag));
  cmakeFeature = cmakeOptionType "string";
  mesonOption =
    feature: value:
    assert isString feature && isString value;
    "-D${feature}=${value}";
  mesonBool =
    name: flag:
    assert isBool flag;
    mesonOption name (lib.trivial.boolToString flag);
  mesonEnable =
    name: flag:
    assert isBool flag;
    mesonOption name (if flag then "enabled" else "disabled");
  enableFeature =
    flag: feature:
    assert isBool flag && isString feature;
    "--${if flag then "enable" else "disable"}-${feature}";
  enableFeatureAs =
    flag: feature: value:
    enableFeature flag feature + optionalString flag "=${value}";
  withFeature =
    flag: feature:
    assert isString feature;
    "--${if flag then "with" else "without"}-${feature}";
  withFeatureAs =
    flag: feature: value:
    withFeature flag feature + optionalString flag "=${value}";
}
