# Quoting: for shells, Nix, regular expressions, URLs, XML, C.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    genList
    isAttrs
    isList
    match
    replaceStrings
    stringLength
    substring
    ;
  chars = text: genList (n: substring n 1 text) (stringLength text);

  # Printable ASCII, tab, newline and carriage return, with their codes. Nix
  # has no chr(): JSON's \u escapes are one.
  ascii = builtins.listToAttrs (
    map
      (code: {
        name = builtins.fromJSON ''"\u00${hex code}"'';
        value = code;
      })
      (
        [
          9
          10
          13
        ]
        ++ genList (n: 32 + n) 95
      )
  );
  # Two upper case digits.
  hex =
    code:
    let
      digit = n: substring n 1 "0123456789ABCDEF";
    in
    digit (code / 16) + digit (lib.trivial.mod code 16);

  # Words that cannot be attribute names without quotes.
  keywords = [
    "assert"
    "else"
    "if"
    "in"
    "inherit"
    "let"
    "or"
    "rec"
    "then"
    "with"
  ];
in
rec {
  charToInt = char: ascii.${char};

  escape = list: replaceStrings list (map (c: "\\${c}") list);
  escapeC =
    list: replaceStrings list (map (c: "\\x${lib.strings.toLower (hex (charToInt c))}") list);
  escapeRegex = escape (chars "\\[{()^$?*+|.");
  escapeXML =
    replaceStrings
      [ "\"" "'" "<" ">" "&" ]
      [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
  # RFC 3986, section 2.3: all but unreserved characters.
  escapeURL =
    let
      unreserved = chars "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
      reserved = removeAttrs ascii unreserved;
    in
    replaceStrings (builtins.attrNames reserved) (
      map (code: "%${hex code}") (builtins.attrValues reserved)
    );

  escapeShellArg =
    arg:
    let
      text = toString arg;
    in
    if match "[[:alnum:],._+:@%/-]+" text != null then
      text
    else
      "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
  escapeShellArgs = args: concatStringsSep " " (map escapeShellArg args);
  isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar =
    name: value:
    if !isValidPosixName name then
      throw "toShellVar: ${name} is not a valid shell variable name"
    else if isAttrs value && !lib.strings.isStringLike value then
      "declare -A ${name}=(${
        concatStringsSep " " (
          lib.attrsets.mapAttrsToList (k: v: "[${escapeShellArg k}]=${escapeShellArg v}") value
        )
      })"
    else if isList value then
      "declare -a ${name}=(${escapeShellArgs value})"
    else
      "${name}=${escapeShellArg value}";
  toShellVars = vars: concatStringsSep "\n" (lib.attrsets.mapAttrsToList toShellVar vars);

  escapeNixString = text: replaceStrings [ "$" ] [ "\\$" ] (builtins.toJSON text);
  escapeNixIdentifier =
    name:
    if match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null && !builtins.elem name keywords then
      name
    else
      escapeNixString name;
}
