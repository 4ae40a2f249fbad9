# lib.generators and lib.cli.
{ lib }:
let
  is = expr: expected: { inherit expr expected; };
  g = lib.generators;
in
{
  keyValues = is (g.toKeyValue { listsAsDuplicateKeys = true; } {
    a = true;
    b = [ 1 "x" ];
    c = null;
  }) "a=true\nb=1\nb=x\nc=null\n";
  ini = is (g.toINI { } {
    "[x]".a = 1;
    y.b = "c=d";
  }) "[\\[x\\]]\na=1\n\n[y]\nb=c=d\n";
  globalIni = is (g.toINIWithGlobalSection { } {
    globalSection.a = 1;
    sections.s.b = 2;
  }) "a=1\n\n[s]\nb=2\n";
  git = is (g.toGitINI {
    user.name = "a \"b\"";
    url."git@h:".insteadOf = [ "x" "y" ];
  }) "[url \"git@h:\"]\n\tinsteadOf = \"x\"\n\tinsteadOf = \"y\"\n\n[user]\n\tname = \"a \\\"b\\\"\"\n";
  pretty = is (g.toPretty { } {
    a = [ 1 2.5 null ];
    "b c" = "x\ny\n";
    d = { x, y ? 1 }: x;
    e = { };
    f = { type = "derivation"; name = "n"; };
  }) ''
    {
      a = [
        1
        2.5
        null
      ];
      "b c" = '''
        x
        y
      ''';
      d = <function, args: {x, y?}>;
      e = { };
      f = <derivation n>;
    }'';
  prettyLine = is (g.toPretty { multiline = false; } { a = [ "x\ny" "\${z}" ]; }) "{ a = [ \"x\\ny\" \"\\\${z}\" ]; }";
  cut = is (g.withRecursion {
    depthLimit = 1;
    throwOnDepthLimit = false;
  } { a.b.c = 1; d = 2; }) {
    a.b = "<unevaluated>";
    d = "<unevaluated>";
  };
  lua = is (g.toLua { multiline = false; } {
    a = [ 1 "x" true ];
    b = lib.mkLuaInline "f()";
    c = null;
  }) "{ [\"a\"] = { 1, \"x\", true }, [\"b\"] = (f()), [\"c\"] = nil }";
  json = is (g.toJSON { } { a = [ 1 ]; }) "{\"a\":[1]}";
  dhall = is (g.toDhall { } { a = 1; b = [ true ]; }) "{ a = +1, b = [ True ] }";
  arguments = is (lib.cli.toCommandLineShellGNU { } {
    v = true;
    quiet = false;
    X = "PUT";
    url = [ "a b" "c" ];
    none = null;
  }) "-XPUT '--url=a b' '--url=c' -v";
}
