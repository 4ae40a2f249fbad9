# Folders of sources, without what is not source.
{ lib }:
let
  inherit (builtins)
    any
    elem
    filter
    head
    isString
    match
    split
    substring
    ;
  inherit (lib.lists) last optional;
  inherit (lib.strings)
    concatMapStrings
    hasPrefix
    hasSuffix
    removePrefix
    removeSuffix
    splitString
    ;

  inherit (import ./git.nix { inherit lib; }) commitOf;

  # A source: a path, or one made here, with its filter still apart.
  parts =
    src:
    if src ? _isLibCleanSourceWith then
      {
        inherit (src) origSrc filter name;
      }
    else
      {
        origSrc = src;
        filter = null;
        name = "source";
      };
  build =
    {
      origSrc,
      filter,
      name,
    }:
    {
      _isLibCleanSourceWith = true;
      inherit origSrc name;
      filter = if filter == null then _: _: true else filter;
      outPath = builtins.path (
        {
          inherit name;
          path = origSrc;
        }
        // (if filter == null then { } else { inherit filter; })
      );
    };

  # Names of revision control.
  controlFolders = [
    ".svn"
    "CVS"
    ".hg"
    ".jj"
    ".pijul"
    "_darcs"
  ];
in
rec {
  inherit (builtins) filterSource;
  pathHasContext = builtins.hasContext;
  canCleanSource = src: src ? _isLibCleanSourceWith || !(pathHasContext (toString src));

  cleanSourceFilter =
    path: type:
    let
      name = baseNameOf path;
    in
    !(
      name == ".git"
      || (type == "directory" && elem name controlFolders)
      || hasSuffix "~" name
      || match "(\\..*)?\\.sw[a-z]" name != null
      || hasSuffix ".o" name
      || hasSuffix ".so" name
      || (type == "symlink" && hasPrefix "result" name)
      || type == "unknown"
    );
  cleanSource =
    src:
    cleanSourceWith {
      filter = cleanSourceFilter;
      inherit src;
    };
  cleanSourceWith =
    {
      src,
      filter ? null,
      name ? null,
    }:
    let
      old = parts src;
    in
    build {
      inherit (old) origSrc;
      name = if name == null then old.name else name;
      filter =
        if filter == null then
          old.filter
        else if old.filter == null then
          filter
        else
          path: type: filter path type && old.filter path type;
    };
  trace =
    src:
    let
      old = parts src;
      keep = if old.filter == null then _: _: true else old.filter;
    in
    build (
      old
      // {
        filter =
          path: type:
          let
            result = keep path type;
          in
          builtins.trace "${old.name}.filter ${path} = ${lib.trivial.boolToString result}" result;
      }
    );
  sourceByRegex =
    src: patterns:
    let
      root = toString (parts src).origSrc + "/";
    in
    cleanSourceWith {
      inherit src;
      filter = path: _: any (re: match re (removePrefix root (toString path)) != null) patterns;
    };
  sourceFilesBySuffices =
    src: suffixes:
    cleanSourceWith {
      inherit src;
      filter = path: type: type == "directory" || any (s: hasSuffix s (baseNameOf path)) suffixes;
    };
  # `*` is any part of a name, `**` any folders.
  sourceByGlobs =
    src: globs:
    let
      namesOf = path: filter isString (split "/" path);
      regexOf =
        name:
        concatMapStrings (part: if isString part then lib.strings.escapeRegex part else "[^/]*") (
          split "\\*+" name
        );
      # A folder may match the beginning of a glob only.
      fits =
        isFolder: globs: names:
        if names == [ ] then
          globs == [ ] || isFolder
        else if globs == [ ] then
          false
        else if head globs == "**" then
          fits isFolder (builtins.tail globs) names || fits isFolder globs (builtins.tail names)
        else
          match (regexOf (head globs)) (head names) != null
          && fits isFolder (builtins.tail globs) (builtins.tail names);
      patterns = map namesOf globs;
      root = toString src + "/";
    in
    cleanSourceWith {
      inherit src;
      filter =
        path: type:
        any (
          pattern: fits (type == "directory" || type == "symlink") pattern (namesOf (removePrefix root path))
        ) patterns;
    };

  # The commit a .git folder, or a file that points to one, stands at.
  pathIsGitRepo = path: commitOf path ? value;
  commitIdFromGitRepo =
    path:
    let
      commit = commitOf path;
    in
    commit.value or (throw commit.error);

  urlToName =
    url:
    let
      base = baseNameOf (removeSuffix "/" (last (splitString ":" (toString url))));
      ending = match "(.*)\\.(git|tar|zip|gz|tgz|bz|tbz|bz2|tbz2|lzma|txz|xz|zstd)";
      without =
        name:
        let
          found = ending name;
        in
        if found == null then name else without (head found);
    in
    without base;
  shortRev =
    rev:
    let
      base = baseNameOf (toString rev);
      version = match "([A-Za-z]+[-_. ]?)*(v)?([0-9.]+.*)" base;
    in
    if match "[a-f0-9]+" base != null then
      substring 0 7 base
    else if version != null then
      last version
    else
      base;
  revOrTag =
    rev: tag:
    if tag != null then
      tag
    else if rev != null then
      rev
    else
      "HEAD";
  repoRevToName =
    kind:
    let
      full =
        repo: rev: suffix:
        builtins.concatStringsSep "-" (
          [ (urlToName repo) ]
          ++ optional (rev != null) (shortRev rev)
          ++ optional (suffix != null) suffix
          ++ [ "source" ]
        );
    in
    if kind == "source" then
      _: _: _:
      "source"
    else if kind == "versioned" then
      repo: rev: _:
      full repo rev null
    else if kind == "full" then
      full
    else
      throw "repoRevToName: invalid kind";
}
