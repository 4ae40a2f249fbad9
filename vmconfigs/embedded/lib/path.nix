# Nix path values, and relative paths as strings ("subpaths").
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    elemAt
    filter
    head
    isPath
    isString
    length
    match
    split
    storeDir
    substring
    typeOf
    ;
  listHasPrefix = lib.lists.hasPrefix;
  inherit (lib.lists) drop;

  whyInvalid =
    value:
    if !isString value then
      "The given value is of type ${typeOf value}, but a string was expected"
    else if value == "" then
      "The given string is empty"
    else if substring 0 1 value == "/" then
      ''The given string "${value}" starts with a `/`, representing an absolute path''
    else if match "(.*/)?\\.\\.(/.*)?" value != null then
      ''The given string "${value}" contains a `..` component, which is not allowed in subpaths''
    else
      null;
  namesOf = subpath: filter (name: isString name && name != "" && name != ".") (split "/" subpath);
  subpathOf = names: "./" + (if names == [ ] then "." else concatStringsSep "/" names);

  # { root, names } of a path value.
  walk =
    names: path:
    if path == dirOf path then
      {
        root = path;
        inherit names;
      }
    else
      walk ([ (baseNameOf path) ] ++ names) (dirOf path);
  deconstruct = walk [ ];

  needPath =
    f: which: value:
    if isPath value then
      value
    else
      throw "lib.path.${f}: ${which} is of type ${typeOf value}, but a path was expected";
  needSubpath =
    f: what: value:
    let
      why = whyInvalid value;
    in
    if why == null then
      value
    else
      throw "lib.path.${f}: ${what} is not a valid subpath string:\n    ${why}";
  # Both paths in parts; their roots must be the same.
  pair =
    f: a: b:
    let
      a' = deconstruct (needPath f "First argument" a);
      b' = deconstruct (needPath f "Second argument" b);
    in
    if a'.root == b'.root then
      {
        first = a'.names;
        second = b'.names;
      }
    else
      throw ''
        lib.path.${f}: Filesystem roots must be the same for both paths, but paths with different roots were given:
            first argument: "${toString a}" with root "${toString a'.root}"
            second argument: "${toString b}" with root "${toString b'.root}"'';

  inStore =
    store: names:
    listHasPrefix store names
    && length names > length store
    && match ".{32}-.+" (elemAt names (length store)) != null;
in
{
  append =
    path: subpath:
    needPath "append" "The first argument" path + ("/" + needSubpath "append" "Second argument" subpath);
  hasPrefix =
    prefix: path:
    let
      p = pair "hasPrefix" prefix path;
    in
    listHasPrefix p.first p.second;
  # What of path is below prefix, as a subpath.
  removePrefix =
    prefix: path:
    let
      p = pair "removePrefix" prefix path;
    in
    if listHasPrefix p.first p.second then
      subpathOf (drop (length p.first) p.second)
    else
      throw ''lib.path.removePrefix: The first path argument "${toString prefix}" is not a component-wise prefix of the second path argument "${toString path}".'';
  splitRoot =
    path:
    let
      parts = deconstruct (needPath "splitRoot" "Argument" path);
    in
    builtins.seq parts {
      inherit (parts) root;
      subpath = subpathOf parts.names;
    };
  hasStorePathPrefix =
    path:
    let
      inherit (deconstruct (needPath "hasStorePathPrefix" "Argument" path)) names;
    in
    inStore (namesOf storeDir) names
    || inStore (namesOf "/nix/store") names
    || (names != [ ] && match "[0-9a-z]{52}" (head names) != null);

  subpath = {
    isValid = value: whyInvalid value == null;
    join =
      subpaths:
      subpathOf (
        builtins.concatLists (
          lib.lists.imap0 (
            n: s: namesOf (needSubpath "subpath.join" "Element at index ${toString n}" s)
          ) subpaths
        )
      );
    components = s: namesOf (needSubpath "subpath.components" "Argument" s);
    normalise = s: subpathOf (namesOf (needSubpath "subpath.normalise" "Argument" s));
  };
}
