# The order in which definitions of lists and lines come.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    holds
    ints
    option
    strs
    tuples
    types
    x
    ;
  inherit (lib)
    mkAfter
    mkBefore
    mkIf
    mkMerge
    mkOrder
    reverseList
    ;
  # Any order numbers for four definitions.
  orders = tuples 4 [
    500
    1000
    1500
  ];
  numbered = map (order: n: mkOrder order [ n ]);
  stable = numbers: lib.sort (a: b: a.order < b.order) numbers;
in
{
  # Later modules' definitions come first.
  reversedModules = {
    expr = x ints [
      [ 1 ]
      [ 2 ]
      [ 3 ]
    ];
    expected = [
      3
      2
      1
    ];
  };
  # Parts of one mkMerge keep their order.
  mergeKeepsOrder = {
    expr = x ints [
      [ 0 ]
      (mkMerge [
        [ 1 ]
        [ 2 ]
        (mkMerge [
          [ 3 ]
          [ 4 ]
        ])
      ])
    ];
    expected = [
      1
      2
      3
      4
      0
    ];
  };
  # Equal numbers keep the order they would have without any.
  sortedStably = holds (
    numbers:
    let
      definitions = lib.imap0 (n: f: f n) (numbered numbers);
      inOrder = reverseList (lib.imap0 (n: order: { inherit n order; }) numbers);
    in
    x ints definitions == map (d: d.n) (stable inOrder)
  ) orders;
  sortedStablyInMerge = holds (
    numbers:
    let
      definitions = lib.imap0 (n: f: f n) (numbered numbers);
      inOrder = lib.imap0 (n: order: { inherit n order; }) numbers;
    in
    x ints [ (mkMerge definitions) ] == map (d: d.n) (stable inOrder)
  ) orders;
  # mkBefore and mkAfter are mkOrder 500 and 1500; no wrapper is 1000.
  names = {
    expr = x ints [
      (mkAfter [ 5 ])
      (mkOrder 1501 [ 6 ])
      (mkOrder 1499 [ 4 ])
      [ 3 ]
      (mkOrder 501 [ 2 ])
      (mkBefore [ 1 ])
      (mkOrder 499 [ 0 ])
    ];
    expected = lib.range 0 6;
  };
  # Conditions do not change the order.
  conditionsKeepOrder = holds (
    on:
    let
      definitions = lib.imap0 (n: c: mkIf c [ n ]) on;
      kept = lib.filter (n: lib.elemAt on n) (lib.range 0 3);
    in
    x ints ([ [ ] ] ++ definitions) == reverseList kept
    && x ints [ (mkMerge ([ [ ] ] ++ definitions)) ] == kept
  ) (tuples 4 [ true false ]);
  # What a file imports comes before its own, the last import first.
  importsFirst = {
    expr =
      (config [
        { options.x = option strs; }
        {
          imports = [
            {
              imports = [ { x = [ "a's" ]; } ];
              x = [ "a" ];
            }
            { x = [ "b" ]; }
          ];
          x = [ "own" ];
        }
        { x = [ "main" ]; }
      ]).x;
    expected = [
      "a's"
      "b"
      "a"
      "main"
      "own"
    ];
  };
  # Inside of a submodule all that is turned round once more.
  submodulesTurnRound = {
    expr =
      (config [
        { options.s = option (types.submodule { options.x = option strs; }); }
        { s.x = [ "first" ]; }
        {
          s = mkMerge [
            { x = [ "one" ]; }
            { x = [ "two" ]; }
          ];
        }
        { s.x = [ "last" ]; }
      ]).s.x;
    expected = [
      "first"
      "two"
      "one"
      "last"
    ];
  };
  linesJoined = {
    expr = x types.lines [
      "b"
      (mkBefore "a\n")
      (mkAfter "c")
    ];
    expected = "a\n\nb\nc";
  };
  # attrs: the later definition in this order replaces the earlier.
  attrsReplace = {
    expr = x types.attrs [
      { a = 1; }
      { a = 2; b = 2; }
    ];
    expected = {
      a = 1;
      b = 2;
    };
  };
}
