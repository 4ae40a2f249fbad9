# Small functions, numbers, warnings, function arguments, and the version
# of NixOS whose behaviour this library has.
{ lib }:
rec {
  inherit (builtins)
    pathExists
    readFile
    isBool
    isInt
    isFloat
    add
    sub
    mul
    div
    lessThan
    seq
    deepSeq
    genericClosure
    bitAnd
    bitOr
    bitXor
    ceil
    floor
    ;

  id = x: x;
  const = x: _: x;
  pipe = builtins.foldl' (value: f: f value);
  flip =
    f: a: b:
    f b a;
  concat = a: b: a ++ b;
  "or" = a: b: a || b;
  and = a: b: a && b;
  xor = a: b: (!a) != (!b);
  bitNot = n: (-1) - n;
  mergeAttrs = a: b: a // b;
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";
  defaultTo = default: value: if value == null then default else value;
  mapNullable = f: value: if value == null then null else f value;

  release = "26.11";
  versionSuffix = "pre-git";
  version = release + versionSuffix;
  codeName = "Zokor";
  revisionWithDefault = default: default;
  nixpkgsVersion = warn "lib.nixpkgsVersion is a deprecated alias of lib.version." version;
  # Year and month, e.g. 2605.
  oldestSupportedRelease = 2605;
  oldestSupportedReleaseIsAtLeast = wanted: wanted <= oldestSupportedRelease;
  isInOldestRelease = warn "lib.isInOldestRelease is deprecated. Use lib.oldestSupportedReleaseIsAtLeast instead." oldestSupportedReleaseIsAtLeast;

  inNixShell = builtins.getEnv "IN_NIX_SHELL" != "";
  inPureEvalMode = !(builtins ? currentSystem);

  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;
  mod = a: b: a - b * (a / b);
  compare =
    a: b:
    if a < b then
      -1
    else if b < a then
      1
    else
      0;
  # Those with property p first; `yes` orders these, `no` the others.
  splitByAndCompare =
    p: yes: no: a: b:
    if p a then
      (if p b then yes a b else -1)
    else if p b then
      1
    else
      no a b;

  importJSON = path: builtins.fromJSON (readFile path);
  importTOML = path: fromTOML (readFile path);

  warn = builtins.warn or (msg: builtins.trace "evaluation warning: ${msg}");
  warnIf = cond: msg: if cond then warn msg else id;
  warnIfNot = cond: warnIf (!cond);
  throwIf = cond: msg: if cond then throw msg else id;
  throwIfNot = cond: throwIf (!cond);
  info = msg: builtins.trace "INFO: ${msg}";
  showWarnings = warnings: value: lib.lists.foldr warn value warnings;
  checkListOfEnum =
    msg: valid: given:
    let
      show = xs: builtins.concatStringsSep ", " (map toString xs);
      bad = lib.lists.subtractLists valid given;
    in
    throwIf (bad != [ ]) "${msg}: ${show bad} unexpected; valid ones: ${show valid}";

  setFunctionArgs = f: args: {
    __functor = _: f;
    __functionArgs = args;
  };
  functionArgs =
    f:
    if f ? __functor then
      f.__functionArgs or (functionArgs (f.__functor f))
    else
      builtins.functionArgs f;
  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  mirrorFunctionArgs =
    f:
    let
      args = functionArgs f;
    in
    g: setFunctionArgs g args;
  toFunction = v: if isFunction v then v else _: v;

  fromHexString =
    text:
    let
      digits = builtins.match "(0x)?([0-7]?[0-9A-Fa-f]{1,15})" text;
    in
    if digits == null then
      throw "fromHexString: ${lib.generators.toPretty { } text} is not a valid input"
    else
      (fromTOML "v=0x${builtins.elemAt digits 1}").v;
  toHexString =
    n:
    lib.strings.concatMapStrings (digit: builtins.substring digit 1 "0123456789ABCDEF") (
      toBaseDigits 16 n
    );
  # Digits of n, most significant first.
  toBaseDigits =
    base: n:
    assert isInt base && isInt n;
    assert base >= 2 && n >= 0;
    let
      digits = n: if n < base then [ n ] else digits (n / base) ++ [ (mod n base) ];
    in
    digits n;
}
