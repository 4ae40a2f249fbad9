# Renamed, removed, changed and aliased options.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    option
    optionWith
    throws
    types
    ;
  is = expr: expected: { inherit expr expected; };
  messages = {
    options.warnings = optionWith (types.listOf types.str) [ ];
    options.assertions = optionWith (types.listOf types.unspecified) [ ];
  };
  renamed = modules: config ([ messages { options.new.a = optionWith types.int 0; } (lib.mkRenamedOptionModule [ "old" ] [ "new" "a" ]) ] ++ modules);
in
{
  carriedOver = is (renamed [ { _file = "/f.nix"; old = 1; } ]).new.a 1;
  unset = is (renamed [ ]).new.a 0;
  warned = is (renamed [
    {
      _file = "/f.nix";
      old = 1;
    }
  ]).warnings [ "The option `old' defined in `/f.nix' has been renamed to `new.a'." ];
  silent = is (renamed [ { new.a = 1; } ]).warnings [ ];
  # Priorities are carried over too.
  priorities = is [
    (renamed [ { old = lib.mkForce 1; } { new.a = 2; } ]).new.a
    (renamed [ { old = lib.mkDefault 1; } { new.a = 2; } ]).new.a
    (throws (renamed [ { old = 1; } { new.a = 2; } ]).new.a)
  ] [ 1 2 true ];
  alias =
    let
      c = config [
        { options.new = optionWith types.int 0; }
        (lib.mkAliasOptionModule [ "old" ] [ "new" ])
        { old = 3; }
      ];
    in
    is [ c.old c.new ] [ 3 3 ];
  removed =
    let
      c = modules: config ([ messages (lib.mkRemovedOptionModule [ "gone" ] "Use that.") ] ++ modules);
      failed = modules: map (a: a.message) (lib.filter (a: !a.assertion) (c modules).assertions);
    in
    is [
      (failed [ ])
      (failed [ { _file = "/f.nix"; gone = 1; } ])
      (throws (c [ { gone = 1; } ]).gone)
    ] [
      [ ]
      [ "The option definition `gone' in `/f.nix' no longer has any effect; please remove it.\nUse that.\n" ]
      true
    ];
  changed =
    let
      c = modules: config ([
        messages
        { options.new = optionWith types.str "none"; }
        (lib.mkChangedOptionModule [ "old" ] [ "new" ] (config: "was ${toString config.old}"))
      ] ++ modules);
    in
    is [ (c [ ]).new (c [ { old = 1; } ]).new (lib.length (c [ { old = 1; } ]).warnings) ] [ "none" "was 1" 1 ];
  aliasDefinitions = is
    (config [
      { options.a = option types.lines; options.b = option types.lines; }
      ({ options, ... }: { b = lib.mkAliasDefinitions options.a; })
      { a = lib.mkMerge [ "x" (lib.mkAfter "y") ]; b = lib.mkAfter "z"; }
    ]).b "x\ny\nz";
  derived = is
    (config [
      { options.a = optionWith types.int 1; options.b = option types.int; }
      ({ options, ... }: { b = lib.mkDerivedConfig options.a (n: n + 1); })
      { a = lib.mkForce 5; b = 0; }
    ]).b 6;
  packageOption =
    let
      pkgs.tool = { type = "derivation"; name = "tool"; outPath = "/nix/store/x"; };
      o = lib.mkPackageOption pkgs "tool" { example = [ "tool" "more" ]; extraDescription = "It does."; };
    in
    is [ o.default.name o.defaultText.text o.description o.example.text (lib.mkPackageOption pkgs "none" { default = null; nullable = true; }).default ] [
      "tool"
      "pkgs.tool"
      "The tool package to use. It does."
      "pkgs.tool.more"
      null
    ];
}
