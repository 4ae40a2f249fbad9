# Store objects made by evaluation alone.
#
# Nothing is built here, so the path of an object is a digest of its name and
# content, and its content travels in a *carrier*: a real text file in the
# evaluation store, which every string that mentions the object keeps in its
# context. Whoever renders a configuration finds in `contents` all texts that
# are mentioned in it, however deep. A carrier never leaves the evaluator.
{ lib }:
let
  alphabet = lib.stringToCharacters "0123456789abcdfghijklmnpqrsvwxyz";
  hexDigits = lib.stringToCharacters "0123456789abcdef";

  # Two hexadecimal digits to one digit of Nix's base 32.
  digit = lib.listToAttrs (
    lib.concatLists (
      lib.imap0 (
        h: hi:
        lib.imap0 (
          l: lo: lib.nameValuePair "${hi}${lo}" (lib.elemAt alphabet (lib.mod (16 * h + l) 32))
        ) hexDigits
      ) hexDigits
    )
  );

  plain = builtins.unsafeDiscardStringContext;
  carrierSuffix = ".store-object";

  # The characters Nix allows in the name of a store path.
  safeName =
    name:
    let
      kept = lib.concatStrings (
        map (part: if builtins.isList part then "-" else part) (
          builtins.split "[^[:alnum:]+._?=-]+" (plain name)
        )
      );
    in
    if kept == "" then "unknown" else kept;

  # Mentions of carriers and of copied sources in a text.
  references = text: lib.attrNames (builtins.getContext text);

  isCarrier = path: lib.hasSuffix carrierSuffix path;

  # With its own context a path can be read in a store under another root too.
  readable = path: root: builtins.appendContext path { ${root}.path = true; };

  readCarrier = path: builtins.fromJSON (plain (builtins.readFile (readable path path)));

  # A file that was copied into the store, as it is; null if it is no file.
  sourceText =
    root: path:
    let
      file = readable path root;
    in
    if builtins.pathExists file && builtins.readFileType file == "regular" then
      plain (builtins.readFile file)
    else
      null;
in
rec {
  inherit safeName;

  # "/nix/store/<digest of seed>-<name>", without context.
  path =
    name: seed:
    let
      hex = builtins.hashString "sha256" "${plain name}:${plain seed}";
      digest = lib.concatStrings (lib.genList (i: digit.${builtins.substring (2 * i) 2 hex}) 32);
    in
    "${builtins.storeDir}/${digest}-${safeName name}";

  # A store path that brings its files along.
  # files: path inside the object ("" is the object itself) ->
  #   { text; executable; } | { target; } (a symbolic link)
  object =
    name: files:
    let
      json = builtins.toJSON files;
      self = path name json;
      carrier = builtins.toFile "${safeName name}${carrierSuffix}" (
        builtins.toJSON {
          path = self;
          files = builtins.fromJSON (plain json);
          references = references json;
        }
      );
    in
    # An empty substring keeps the context and nothing else.
    builtins.substring 0 0 carrier + self;

  # Every file made by an evaluation that a text mentions, transitively:
  # absolute path -> file. What was copied into the store as it is lies there
  # already, and is no part of it.
  contents =
    text:
    let
      closure = builtins.genericClosure {
        startSet = map (key: { inherit key; }) (lib.filter isCarrier (references text));
        operator =
          { key }:
          map (reference: { key = reference; }) (lib.filter isCarrier (readCarrier key).references);
      };
      filesOf =
        { key }:
        let
          carried = readCarrier key;
        in
        lib.mapAttrs' (sub: file: lib.nameValuePair "${carried.path}${sub}" file) carried.files;
    in
    lib.foldl' (all: item: all // filesOf item) { } closure;

  # The text of one file by its path (a string with context), or null where it
  # is no text file of this configuration. The text keeps what it mentions.
  textAt =
    target:
    let
      withContext = text: if text == null then null else builtins.substring 0 0 target + text;
      made = contents target;
      name = plain target;
      source = lib.findFirst (
        root: !isCarrier root && (name == root || lib.hasPrefix "${root}/" name)
      ) null (references target);
    in
    withContext (
      if made ? ${name} then
        made.${name}.text or null
      else if source != null then
        sourceText source name
      else
        null
    );
}
