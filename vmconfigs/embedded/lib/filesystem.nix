# Files, looked at during evaluation.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    isString
    match
    pathExists
    readDir
    ;
  inherit (lib.attrsets)
    concatMapAttrs
    filterAttrs
    recurseIntoAttrs
    ;
  inherit (lib.strings) hasSuffix removeSuffix;
in
rec {
  inherit (builtins)
    baseNameOf
    dirOf
    hashFile
    isPath
    readDir
    readFileType
    ;

  # "regular", "directory", "symlink" or "unknown".
  pathType = builtins.readFileType;
  pathIsDirectory = path: pathExists path && pathType path == "directory";
  pathIsRegularFile = path: pathExists path && pathType path == "regular";
  listFilesRecursive =
    folder:
    let
      entries = readDir folder;
    in
    concatMap (
      name:
      let
        path = folder + "/${name}";
      in
      if entries.${name} == "directory" then listFilesRecursive path else [ path ]
    ) (attrNames entries);
  # The nearest folder at or above that has a file whose name matches.
  locateDominatingFile =
    pattern: start:
    let
      at =
        path:
        let
          matches = filter (found: found != null) (map (match pattern) (attrNames (readDir path)));
        in
        if matches != [ ] then
          { inherit path matches; }
        else if toString path == "/" then
          null
        else
          at (dirOf path);
      isFolder =
        toString start == "/" || (readDir (dirOf start)).${baseNameOf start} or null == "directory";
    in
    at (if isFolder then start else dirOf start);
  haskellPathsInDir =
    root:
    filterAttrs (name: path: pathExists (path + "/${name}.cabal")) (
      builtins.mapAttrs (name: _: root + "/${name}") (readDir root)
    );
  # The file that `import` would read.
  resolveDefaultNix =
    path:
    if pathIsDirectory path then
      path + "/default.nix"
    else if isString path && hasSuffix "/" path then
      path + "default.nix"
    else
      path;
  # A folder of package.nix and <name>.nix files, called.
  packagesFromDirectoryRecursive =
    {
      callPackage,
      newScope ? throw "lib.packagesFromDirectoryRecursive: newScope wasn't passed in args",
      directory,
    }@args:
    let
      all =
        scope:
        concatMapAttrs (
          name: type:
          let
            path = directory + "/${name}";
          in
          if type == "directory" then
            { ${name} = packagesFromDirectoryRecursive (args // scope // { directory = path; }); }
          else if type != "regular" then
            throw "lib.filesystem.packagesFromDirectoryRecursive: Unsupported file type ${type} at path ${toString path}"
          else if hasSuffix ".nix" name then
            { ${removeSuffix ".nix" name} = scope.callPackage path { }; }
          else
            { }
        ) (readDir directory);
    in
    if pathExists (directory + "/package.nix") then
      callPackage (directory + "/package.nix") { }
    else if args ? newScope then
      recurseIntoAttrs (
        lib.customisation.makeScope newScope (self: all { inherit (self) callPackage newScope; })
      )
    else
      all { inherit callPackage; };
}
