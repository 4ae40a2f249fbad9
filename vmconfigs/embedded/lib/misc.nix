# Older helpers that are still exported.
{ lib }:
let
  inherit (builtins)
    attrNames
    isAttrs
    isBool
    isInt
    isList
    ;
  inherit (lib.lists) foldr imap1 toList;
  zeros = lib.strings.replicate;
  # For genericClosure: packages are the same if their paths are.
  nodes =
    pkgs:
    map (pkg: {
      key = pkg.outPath;
      inherit pkg;
    }) (builtins.filter (pkg: pkg != null) pkgs);
in
rec {
  maybeEnv =
    name: default:
    let
      value = builtins.getEnv name;
    in
    if value == "" then default else value;
  maybeAttr =
    name: default: set:
    set.${name} or default;
  maybeAttrNullable = maybeAttr;
  ifEnable =
    cond: value:
    if cond then
      value
    else if isList value then
      [ ]
    else if isAttrs value then
      { }
    else if isBool value then
      false
    else
      null;
  uniqList =
    {
      inputList,
      acc ? [ ],
    }:
    lib.lists.drop (builtins.length acc) (
      builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) acc inputList
    );
  imap = imap1;
  nvs = name: value: { ${name} = value; };
  setAttr =
    set: name: value:
    set // { ${name} = value; };
  setAttrMerge =
    name: default: set: f:
    set // { ${name} = f (set.${name} or default); };
  mergeAttrsWithFunc =
    f: a: b:
    foldr (name: set: if set ? ${name} then set // { ${name} = f set.${name} b.${name}; } else set) (
      b // a
    ) (attrNames b);
  mergeAttrsConcatenateValues = mergeAttrsWithFunc (a: b: toList a ++ toList b);
  closePropagation =
    pkgs:
    map (node: node.pkg) (
      builtins.genericClosure {
        startSet = nodes pkgs;
        operator =
          node: nodes (node.pkg.propagatedBuildInputs or [ ] ++ node.pkg.propagatedNativeBuildInputs or [ ]);
      }
    );
  nixType =
    x:
    if isAttrs x then
      (if x ? outPath then "derivation" else "attrs")
    else if lib.trivial.isFunction x then
      "function"
    else if isList x then
      "list"
    else if isBool x then
      "bool"
    else if x == null then
      "null"
    else if isInt x then
      "int"
    else
      "string";

  fakeHash = "sha256-${zeros 43 "A"}=";
  fakeSha256 = zeros 64 "0";
  fakeSha512 = zeros 128 "0";
}
