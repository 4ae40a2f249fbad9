# Sets of files below a folder, to be put into the store together.
{ lib }:
let
  inherit (builtins)
    any
    isAttrs
    isPath
    readDir
    ;
  inherit (lib.filesystem) pathType;
  inherit (lib.strings) hasPrefix;

  # A set is its files' paths, as text: path -> path value.
  make = files: {
    _type = "fileset";
    inherit files;
    __noEval = throw "lib.fileset: Directly evaluating a file set is not supported. Use `lib.fileset.toSource` to turn it into a usable source instead.";
  };
  filesBelow =
    path:
    let
      entries = readDir path;
    in
    if pathType path == "directory" then
      lib.attrsets.mergeAttrsList (
        lib.attrsets.mapAttrsToList (name: _: filesBelow (path + "/${name}")) entries
      )
    else
      { ${toString path} = path; };
  coerce =
    context: value:
    if isFileset value then
      value
    else if !isPath value then
      throw "lib.fileset.${context}: The argument is of type ${builtins.typeOf value}, but it should be a file set or a path instead."
    else if !builtins.pathExists value then
      throw "lib.fileset.${context}: The argument (${toString value}) is a path that does not exist."
    else
      make (filesBelow value);
  filesOf = context: value: (coerce context value).files;
  isFileset = value: isAttrs value && value._type or null == "fileset";
in
{
  # Paths are sets too, wherever one is taken.
  isFileset = value: isFileset value || (isPath value && builtins.pathExists value);
  empty = make { };
  union = a: b: make (filesOf "union" a // filesOf "union" b);
  unions = sets: make (lib.attrsets.mergeAttrsList (map (filesOf "unions") sets));
  intersection =
    a: b: make (builtins.intersectAttrs (filesOf "intersection" a) (filesOf "intersection" b));
  difference =
    a: b:
    make (
      removeAttrs (filesOf "difference" a) (builtins.attrNames (filesOf "difference" b))
    );
  maybeMissing =
    path: if builtins.pathExists path then coerce "maybeMissing" path else make { };
  toList = set: builtins.attrValues (filesOf "toList" set);
  # keep: { name, type, hasExt }: bool.
  fileFilter =
    keep: root:
    make (
      lib.attrsets.filterAttrs (
        _: path:
        let
          name = baseNameOf path;
        in
        keep {
          inherit name;
          type = pathType path;
          hasExt = ext: lib.strings.hasSuffix ".${ext}" name;
        }
      ) (filesOf "fileFilter" root)
    );
  toSource =
    { root, fileset }:
    let
      names = builtins.attrNames (filesOf "toSource" fileset);
      outside = builtins.filter (name: !hasPrefix (toString root + "/") name) names;
    in
    if outside != [ ] then
      throw "lib.fileset.toSource: `fileset` could contain files in ${builtins.head outside}, which is not under the `root` (${toString root})."
    else
      lib.sources.cleanSourceWith {
        src = root;
        name = "source";
        filter = path: type: if type == "directory" then any (hasPrefix "${path}/") names else builtins.elem path names;
      };
  fromSource = src: coerce "fromSource" src.origSrc;
  trace = set: builtins.trace (builtins.attrNames (filesOf "trace" set));
  traceVal = set: builtins.trace (builtins.attrNames (filesOf "traceVal" set)) set;
}
