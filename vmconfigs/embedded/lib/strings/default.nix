# Strings: searching, joining, cutting. Quoting is in escape.nix, numbers and
# names of packages in convert.nix, edit distance in distance.nix.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    filter
    genList
    head
    isPath
    isString
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
  escape = import ./escape.nix { inherit lib; };
  convert = import ./convert.nix { inherit lib; };
  distance = import ./distance.nix { inherit lib; };

  # A path given where a string is meant would be copied to the store, and
  # would never match.
  noPath =
    name: hint: value: result:
    if isPath value then
      throw "lib.strings.${name}: The first argument (${toString value}) is a path value, but only strings are supported.\n${hint}"
    else
      result;
  alwaysFalse = ''
        There is almost certainly a bug in the calling code, since this function always returns `false` in such a case.
        This function also copies the path to the Nix store, which may not be what you want.'';
  neverRemoves =
    what: ''
          There is almost certainly a bug in the calling code, since this function never removes any ${what} in such a case.
          This function also copies the path to the Nix store, which may not be what you want.'';
in
escape
// convert
// distance
// rec {
  inherit (builtins)
    appendContext
    compareVersions
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    fromJSON
    genList
    head
    isAttrs
    isInt
    isList
    isPath
    isString
    match
    parseDrvName
    readFile
    replaceStrings
    split
    storeDir
    stringLength
    substring
    tail
    toJSON
    typeOf
    unsafeDiscardStringContext
    ;

  join = concatStringsSep;
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStringsSep "" (map f list);
  concatImapStrings = concatImapStringsSep "";
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  concatImapStringsSep =
    sep: f: list:
    concatStringsSep sep (lib.lists.imap1 f list);
  concatMapAttrsStringSep =
    sep: f: set:
    concatStringsSep sep (lib.attrsets.mapAttrsToList f set);
  # Each line ended by a newline.
  concatLines = lines: concatStringsSep "" (map (line: line + "\n") lines);
  intersperse =
    sep: list:
    if list == [ ] then
      [ ]
    else
      tail (
        builtins.concatMap (x: [
          sep
          x
        ]) list
      );
  replicate = n: text: concatStringsSep "" (genList (_: text) n);
  replaceString = from: to: replaceStrings [ from ] [ to ];

  optionalString = cond: text: if cond then text else "";

  trim = trimWith {
    start = true;
    end = true;
  };
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    let
      blank = "[ \t\r\n]*";
      # What remains must end in something that is not blank, else the greedy
      # match would take the blanks at the end too.
      rest = if end then "(.*[^ \t\r\n])${blank}" else "(.*)";
      pattern = (if start then blank else "") + rest;
    in
    text:
    let
      found = match pattern text;
    in
    if found == null then "" else head found;

  makeSearchPath =
    folder: paths: concatStringsSep ":" (map (p: p + "/" + folder) (filter (p: p != null) paths));
  makeSearchPathOutput =
    output: folder: pkgs:
    makeSearchPath folder (map (p: if p == null then p else lib.attrsets.getOutput output p) pkgs);
  makeBinPath = makeSearchPathOutput "bin" "bin";
  makeLibraryPath = makeSearchPathOutput "lib" "lib";
  makeIncludePath = makeSearchPathOutput "dev" "include";
  normalizePath =
    path:
    if isPath path then
      throw ''
        lib.strings.normalizePath: The argument (${toString path}) is a path value, but only strings are supported.
            Path values are always normalised in Nix, so there's no need to call this function on them.''
    else
      concatStringsSep "" (map (part: if builtins.isList part then "/" else part) (split "/+" path));

  hasPrefix =
    prefix:
    noPath "hasPrefix" "    You might want to use `lib.path.hasPrefix` instead, which correctly supports paths." prefix
      (
        let
          length = stringLength prefix;
        in
        text: substring 0 length text == prefix
      );
  hasSuffix =
    suffix:
    noPath "hasSuffix" alwaysFalse suffix (
      let
        length = stringLength suffix;
      in
      text:
      let
        rest = stringLength text - length;
      in
      rest >= 0 && substring rest length text == suffix
    );
  hasInfix =
    infix:
    noPath "hasInfix" alwaysFalse infix (
      let
        pattern = ".*${escape.escapeRegex infix}.*";
      in
      text: match pattern "${text}" != null
    );
  removePrefix =
    prefix:
    noPath "removePrefix" (neverRemoves "prefix") prefix (
      let
        length = stringLength prefix;
      in
      text: if substring 0 length text == prefix then substring length (-1) text else text
    );
  removeSuffix =
    suffix:
    noPath "removeSuffix" (neverRemoves "suffix") suffix (
      let
        length = stringLength suffix;
      in
      text:
      let
        rest = stringLength text - length;
      in
      if rest >= 0 && substring rest length text == suffix then substring 0 rest text else text
    );

  stringToCharacters = text: genList (n: substring n 1 text) (stringLength text);
  stringAsChars = f: text: concatMapStrings f (stringToCharacters text);
  # What text was made of (its context) is carried over to the result.
  addContextFrom = from: text: substring 0 0 from + text;
  splitString =
    sep:
    let
      pattern = escape.escapeRegex (toString sep);
    in
    text: map (addContextFrom text) (filter isString (split pattern (toString text)));
  # Cut before each character for which `cut previous character` holds; that
  # character is dropped unless `keep`.
  splitStringBy =
    cut: keep: text:
    let
      chars = stringToCharacters text;
      state =
        builtins.foldl'
          (
            s: c:
            if cut s.previous c then
              {
                previous = c;
                current = if keep then c else "";
                done = s.done ++ [ s.current ];
              }
            else
              {
                previous = c;
                current = s.current + c;
                inherit (s) done;
              }
          )
          {
            previous = "";
            current = "";
            done = [ ];
          }
          chars;
    in
    map (addContextFrom text) (state.done ++ [ state.current ]);

  lowerChars = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperChars = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  toLower = replaceStrings upperChars lowerChars;
  toUpper = replaceStrings lowerChars upperChars;
  toSentenceCase =
    text:
    if isString text then
      toUpper (substring 0 1 text) + toLower (substring 1 (-1) text)
    else
      throw "toSentenceCase does only accepts string values, but got ${builtins.typeOf text}";
  toCamelCase =
    text:
    if !isString text then
      throw "toCamelCase does only accepts string values, but got ${builtins.typeOf text}"
    else
      let
        isSeparator =
          _: c:
          builtins.elem c [
            "-"
            "_"
            " "
          ];
        isHump = previous: c: match "[a-z]" previous != null && match "[A-Z]" c != null;
        words = builtins.concatMap (splitStringBy isHump true) (splitStringBy isSeparator false text);
      in
      toLower (head words) + concatMapStrings toSentenceCase (tail words);

  fileContents = file: removeSuffix "\n" (builtins.readFile file);
}
