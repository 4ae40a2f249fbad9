# What each type takes, how it merges, what it is called.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    mkOption
    optionWith
    throws
    types
    x
    ;
  is = expr: expected: { inherit expr expected; };
  # Which of the values the type takes.
  takes = type: values: lib.filter (v: !throws (x type [ v ])) values;
  merged = type: definitions: x type definitions;
  failsTogether = type: definitions: throws (x type definitions);
in
{
  scalars = is [
    (takes types.bool [ true 1 "true" ])
    (takes types.int [ 1 1.5 "1" ])
    (takes types.float [ 1 1.5 ])
    (takes types.number [ 1 1.5 "1" ])
    (takes types.port [ 0 65535 65536 (-1) ])
    (takes types.ints.positive [ 0 1 ])
    (takes (types.ints.between 2 4) [ 1 2 4 5 ])
    (takes types.ints.s8 [ (-129) (-128) 127 128 ])
    (takes (types.numbers.between 0.5 2) [ 0 1 1.5 3 ])
  ] [
    [ true ]
    [ 1 ]
    [ 1.5 ]
    [ 1 1.5 ]
    [ 0 65535 ]
    [ 1 ]
    [ 2 4 ]
    [ (-128) 127 ]
    [ 1 1.5 ]
  ];
  strings = is [
    (takes types.str [ "" 1 ])
    (takes types.nonEmptyStr [ "" " \n" "a" ])
    (map (v: x types.singleLineStr [ v ]) [ "a\n" "b" ])
    (takes types.singleLineStr [ "a\nb" ])
    (takes (types.strMatching "[a-z]+") [ "ab" "a1" "" ])
    (takes (types.enum [ 1 "a" ]) [ 1 "a" "b" ])
    (takes (types.passwdEntry types.str) [ "a" "a:b" "a\nb" ])
  ] [
    [ "" ]
    [ "a" ]
    [ "a" "b" ]
    [ ]
    [ "ab" ]
    [ 1 "a" ]
    [ "a" ]
  ];
  paths = is [
    (takes types.path [ "/a" "a" ./default.nix 1 ])
    (takes types.externalPath [ "/a" "/nix/store/00000000000000000000000000000000-a" ])
    (takes types.pathInStore [ "/a" "/nix/store/00000000000000000000000000000000-a/b" ])
    (takes (types.pathWith { absolute = false; }) [ "/a" "a" ])
  ] [
    [ "/a" ./default.nix ]
    [ "/a" ]
    [ "/nix/store/00000000000000000000000000000000-a/b" ]
    [ "a" ]
  ];
  packages =
    let
      pkg = { type = "derivation"; name = "p"; outPath = "/nix/store/00000000000000000000000000000000-p"; };
    in
    is [
      (x types.package [ pkg ]).name
      (x types.package [ pkg.outPath ]).name
      (failsTogether types.package [ "/tmp" ])
      (failsTogether types.package [ pkg pkg ])
    ] [ "p" "p" true true ];
  merging = is [
    (merged types.boolByOr [ false true ])
    (merged types.commas [ "a" "b" ])
    (merged types.envVar [ "a" "b" ])
    (merged (types.separatedString "+") [ "a" "b" ])
    (merged types.anything [ { a.b = 1; c = "x"; } { a.d = 2; c = "x"; } ])
    (merged (types.attrsOf (types.listOf types.int)) [ { a = [ 1 ]; } { a = [ 2 ]; } ])
    (merged types.unspecified [ [ 1 ] [ 2 ] ])
    (merged types.unspecified [ "a" "b" ])
    (merged types.anything [ (lib.mkIf true 1) 1 ])
    (merged (types.nullOr types.str) [ null null ])
    ((merged (types.functionTo types.commas) [ (n: "a${n}") (n: "b${n}") ]) "1")
    ((merged types.anything [ (n: { a = n; }) (n: { b = n; }) ]) 1)
  ] [
    true
    "b,a"
    "b:a"
    "b+a"
    { a = { b = 1; d = 2; }; c = "x"; }
    { a = [ 2 1 ]; }
    [ 2 1 ]
    "ba"
    1
    null
    "b1,a1"
    { a = 1; b = 1; }
  ];
  conflicts = is (map (pair: failsTogether (lib.head pair) (lib.last pair)) [
    [ types.int [ 1 2 ] ]
    [ types.raw [ 1 1 ] ]
    [ (types.uniq types.int) [ 1 1 ] ]
    [ (types.nullOr types.int) [ null 1 ] ]
    [ types.anything [ 1 "a" ] ]
    [ (types.either types.int types.str) [ 1 "a" ] ]
    [ types.path [ "/a" "/b" ] ]
  ]) (lib.replicate 7 true);
  coerced =
    let
      t = types.coercedTo types.int toString types.str;
    in
    is [
      (merged t [ 1 ])
      (merged t [ "1" 1 ])
      (takes t [ 1 "a" [ ] ])
      (merged (types.listOf t) [ [ 1 "b" ] ])
      (merged (types.coercedTo types.str lib.singleton (types.listOf types.str)) [ "a" [ "b" ] ])
    ] [ "1" "1" [ 1 "a" ] [ "1" "b" ] [ "b" "a" ] ];
  tags =
    let
      t = types.attrTag {
        a = mkOption { type = types.int; };
        b = mkOption { type = types.listOf types.int; };
      };
    in
    is [
      (merged t [ { b = [ 1 ]; } { b = [ 2 ]; } ])
      (failsTogether t [ { a = 1; } { b = [ ]; } ])
      (takes t [ { a = 1; } { c = 1; } { } ])
    ] [ { b = [ 2 1 ]; } true [ { a = 1; } ] ];
  attrLists = is [
    (merged (types.attrListOf types.int) [ { a = 1; } [ { a = lib.mkBefore 2; } { b = 3; } ] ])
    (merged (types.attrListWith { elemType = types.int; asAttrs = true; }) [ { a = 1; } { a = 2; } ])
    (merged (types.attrListOf types.int) [ { a = lib.mkForce 1; } { a = 2; b = 3; } ])
  ] [
    [ { a = 2; } { b = 3; } { a = 1; } ]
    { a = [ 2 1 ]; }
    [ { b = 3; } { a = 1; } ]
  ];
  checked = is [
    (takes (types.addCheck types.int (n: n > 1)) [ 1 2 ])
    (takes (types.addCheck (types.listOf types.int) (l: l != [ ])) [ [ ] [ 1 ] ])
    (takes (types.nonEmptyListOf types.int) [ [ ] [ 1 ] ])
    (throws (config [ { options.x = mkOption { type = types.nonEmptyListOf types.int; }; } ]).x)
  ] [ [ 2 ] [ [ 1 ] ] [ [ 1 ] ] true ];
  empty = is (map (type: (config [ { options.x = mkOption { inherit type; }; } ]).x) [
    (types.listOf types.int)
    (types.attrsOf types.int)
    (types.nullOr types.int)
    types.attrs
  ]) [ [ ] { } null { } ];
  declaredTwice = is [
    (config [
      { options.x = mkOption { type = types.enum [ "a" ]; }; }
      { options.x = mkOption { type = types.enum [ "b" ]; }; }
      { x = "b"; }
    ]).x
    (throws (config [
      { options.x = mkOption { type = types.int; }; }
      { options.x = mkOption { type = types.str; }; }
      { x = 1; }
    ]).x)
    (config [
      { options.x = mkOption { type = types.listOf types.int; }; }
      { options.x = mkOption { description = "the same"; }; }
      { x = [ 1 ]; }
    ]).x
  ] [ "b" true [ 1 ] ];
  formats = is [
    (takes types.json [ { a = [ null 1 "x" { } ]; } (_: 1) ])
    (takes types.toml [ { a = null; } { a = 1; } ])
  ] [ [ { a = [ null 1 "x" { } ]; } ] [ { a = 1; } ] ];
  descriptions = is (map (t: t.description) [
    types.port
    (types.nullOr (types.listOf (types.enum [ "a" 1 ])))
    (types.attrsOf (types.either types.int types.str))
    (types.either types.ints.positive types.str)
    (types.coercedTo types.str lib.id types.int)
    (types.submodule { freeformType = types.attrsOf types.int; })
    (types.functionTo types.bool)
    (types.nonEmptyListOf types.path)
    (types.strMatching "a")
    types.lines
  ]) [
    "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
    "null or (list of (one of \"a\", 1))"
    "attribute set of (signed integer or string)"
    "positive integer, meaning >0, or string"
    "signed integer or string convertible to it"
    "open submodule of attribute set of signed integer"
    "function that evaluates to a(n) boolean"
    "non-empty (list of absolute path)"
    "string matching the pattern a"
    "strings concatenated with \"\\n\""
  ];
  documented = is (map (o: o.name) (lib.optionAttrSetToDocList (removeAttrs (eval [
    {
      options.a = optionWith (types.attrsOf (types.submodule { options.b = optionWith types.int 1; })) { };
      options."c d" = mkOption { type = types.int; };
    }
  ]).options [ "_module" ]))) [ "a" "a.<name>._module.args" "a.<name>._module.check" "a.<name>._module.freeformType" "a.<name>._module.specialArgs" "a.<name>.b" "\"c d\"" ];
}
