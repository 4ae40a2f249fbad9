# lib.strings and lib.versions.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; }) holds throws tuples;
  words = map lib.concatStrings (tuples 3 [ "a" "b" "" "-" ]);
  pairs = lib.cartesianProduct {
    a = words;
    b = words;
  };
  is = expr: expected: { inherit expr expected; };
in
{
  splitJoins = holds (w: lib.concatStringsSep "-" (lib.splitString "-" w) == w) words;
  prefixes = holds (
    { a, b }:
    lib.hasPrefix a (a + b)
    && lib.hasSuffix b (a + b)
    && lib.hasInfix b (a + b + a)
    && lib.removePrefix a (a + b) == b
    && lib.removeSuffix b (a + b) == a
  ) pairs;
  # A distance is symmetric, 0 for the same only, and at most the longer text.
  distance = holds (
    { a, b }:
    let
      d = lib.strings.levenshtein a b;
    in
    d == lib.strings.levenshtein b a
    && (d == 0) == (a == b)
    && d <= lib.max (lib.stringLength a) (lib.stringLength b)
    && lib.all (k: lib.strings.levenshteinAtMost k a b == (d <= k)) [ 0 1 2 3 ]
  ) pairs;
  distanceKnown = is (lib.strings.levenshtein "kitten" "sitting") 3;
  identifiers = is (map lib.strings.escapeNixIdentifier [ "a-b'" "1a" "if" "a b" "" ]) [
    "a-b'"
    "\"1a\""
    "\"if\""
    "\"a b\""
    "\"\""
  ];
  shell = is (lib.escapeShellArgs [ "plain" "it's" "" 5 "a b" "$x" ]) "plain 'it'\\''s' '' 5 'a b' '$x'";
  shellVars = is (lib.toShellVars {
    a = "x y";
    b = [ 1 "2 3" ];
    c.k = "v w";
  }) "a='x y'\ndeclare -a b=(1 '2 3')\ndeclare -A c=([k]='v w')";
  url = is (lib.escapeURL "a b/ü?=~") "a%20b%2Fü%3F%3D~";
  xml = is (lib.escapeXML "<a b=\"'&\">") "&lt;a b=&quot;&apos;&amp;&quot;&gt;";
  c = is (lib.strings.escapeC [ " " "\n" ] "a b\n") "a\\x20b\\x0a";
  regex = is (lib.strings.escapeRegex "[^a-z]*") "\\[\\^a-z]\\*";
  trim = is (map (f: f " \t a b\n ") [
    lib.trim
    (lib.trimWith { start = true; })
    (lib.trimWith { end = true; })
    (lib.trimWith { })
  ]) [ "a b" "a b\n " " \t a b" " \t a b\n " ];
  cases = is [
    (lib.toUpper "aé-z")
    (lib.toSentenceCase "hELLO world")
    (lib.toCamelCase "hello-world_and fooBar")
  ] [ "Aé-Z" "Hello world" "helloWorldAndFooBar" ];
  numbers = is [
    (lib.toInt " -12 ")
    (lib.toIntBase10 "0012")
    (lib.toIntBase10 "000")
    (lib.toHexString 250)
    (lib.fromHexString "0xfA")
    (lib.fixedWidthNumber 4 7)
    (lib.toBaseDigits 2 6)
  ] [ (-12) 12 0 "FA" 250 "0007" [ 1 1 0 ] ];
  noNumbers = is (map (t: throws (lib.toInt t)) [ "a" "" "1.5" "012" ]) [ true true true true ];
  paths = is [
    (lib.makeBinPath [ "/a" null "/b" ])
    (lib.makeSearchPath "x/y" [ ])
    (lib.strings.normalizePath "/a//b/")
  ] [ "/a/bin:/b/bin" "" "/a/b/" ];
  storePaths = is (map lib.isStorePath [
    "/nix/store/00000000000000000000000000000000-a"
    "/nix/store/00000000000000000000000000000000-a/b"
    "/tmp"
    5
  ]) [ true false false false ];
  lines = is [ (lib.concatLines [ "a" "b" ]) (lib.concatLines [ ]) ] [ "a\nb\n" "" ];
  names = is [
    (lib.getName "nix-serve-0.2")
    (lib.getVersion { name = "x-1.2"; })
    (lib.strings.sanitizeDerivationName "..a b?c/d")
    (lib.nameFromURL "http://h/x-1.tar" "-")
  ] [ "nix-serve" "1.2" "a-b?c-d" "x" ];
  versions = is [
    (lib.versionOlder "2.9" "2.10")
    (lib.versionAtLeast "2.10" "2.10")
    (lib.versions.majorMinor "1.2.3-4")
    (lib.versions.pad 4 "1.2-a")
  ] [ true true "1.2" "1.2.0.0-a" ];
}
