# Many functions of lib.strings.
{ lib, ... }:
let s = lib.strings; show = builtins.toJSON; in
{
  environment.etc."strings".text = lib.concatStringsSep "\n" (map show [
    (lib.splitString "." "a.b..c") (lib.concatImapStrings (i: x: "${toString i}${x}") [ "a" "b" ]) (lib.concatImapStringsSep "-" (i: x: "${toString i}${x}") [ "a" "b" ])
    (lib.intersperse "/" [ "a" "b" "c" ]) (lib.makeSearchPath "bin" [ "/a" "/b" ]) (lib.makeLibraryPath [ "/a" ]) (lib.optionalString false "x")
    (lib.hasInfix "ell" "hello") (lib.hasPrefix "he" "hello") (lib.hasSuffix "lo" "hello") (lib.stringToCharacters "abc") (lib.escape [ "$" ] "a$b")
    (lib.escapeShellArg "it's") (lib.escapeShellArgs [ "a b" "c" ]) (lib.escapeRegex "a.b*") (lib.escapeXML "<a&\"'>") (lib.toLower "ABC") (lib.toUpper "abc")
    (lib.toSentenceCase "hello World") (lib.addContextFrom "a" "b") (lib.removePrefix "foo" "foobar") (lib.removeSuffix "bar" "foobar") (lib.versionOlder "1.2" "1.10") (lib.versionAtLeast "2" "1")
    (lib.getName "curl-8.1") (lib.getVersion "curl-8.1") (lib.nameFromURL "https://x/y-1.0.tar.gz" "-") (lib.enableFeature true "x") (lib.withFeature false "y") (lib.fixedWidthString 5 "0" "12") (lib.fixedWidthNumber 4 7)
    (lib.strings.isConvertibleWithToString 1) (lib.isStorePath "/x") (lib.toIntBase10 "0042") (lib.strings.readPathsFromFile ./data (builtins.toFile "x" "a\nb\n") != [ ])
    (lib.fileContents ./data/m07.txt) (lib.sanitizeDerivationName "a b/c") (lib.levenshtein "kitten" "sitting") (lib.levenshteinAtMost 2 "foo" "foa") (lib.trim "  a b ") (lib.trimWith { start = true; } "  a ") (lib.commonPrefixLength "abcd" "abxy") (lib.commonSuffixLength "xxcd" "yycd")
    (lib.cmakeBool "X" true) (lib.cmakeFeature "A" "b") (lib.mesonOption "a" "b") (lib.mesonBool "a" false) (lib.mesonEnable "a" true) (lib.toShellVar "x" [ "a b" "c" ]) (lib.toShellVars { a = "b c"; d = { k = "v"; }; e = 5; }) (lib.isValidPosixName "a-b") (lib.concatLines [ "a" "b" ]) (lib.replaceString "a" "b" "banana") (lib.escapeC [ " " ] "a b") (lib.escapeURL "a b/ü") (lib.escapeNixString "a\${b}") (lib.escapeNixIdentifier "1a") (lib.join "," [ "a" "b" ])
    (lib.concatMapAttrsStringSep ";" (n: v: "${n}=${v}") { a = "1"; b = "2"; }) (lib.strings.charToInt "A") (lib.splitStringBy (p: c: c == "-") false "a-b-c") (lib.lowerChars != [ ]) (lib.toCamelCase "foo-bar baz") (lib.strings.floatToString 1.5) (lib.boolToString true) (lib.boolToYesNo false) (lib.match or builtins.match "a(.)" "ab") (lib.strings.normalizePath "/a//b") (lib.replicate 3 "x") (lib.strings.replicate 3 "ab") (lib.stringLength "abc") (lib.substring 1 2 "abcd") (lib.stringAsChars (c: "${c}.") "ab") (lib.concatStrings [ "a" "b" ]) (lib.toHexString 255) (lib.fromHexString "ff") (lib.toBaseDigits 2 10)
  ]);
}
