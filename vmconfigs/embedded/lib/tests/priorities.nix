# Which definitions count.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    holds
    ints
    mkOption
    option
    optionWith
    strs
    tuples
    types
    x
    ;
  inherit (lib)
    foldl'
    mkDefault
    mkForce
    mkIf
    mkImageMediaOverride
    mkMerge
    mkOptionDefault
    mkOverride
    mkVMOverride
    ;
  levels = [
    10
    50
    100
    1000
  ];
  least = foldl' lib.min 9999;
in
{
  # The least number wins, wherever it stands; equal ones join.
  leastWins = holds (
    numbers:
    let
      strongest = least numbers;
      winners = lib.filter (n: lib.elemAt numbers n == strongest) (lib.range 0 3);
    in
    x ints (lib.imap0 (n: priority: mkOverride priority [ n ]) numbers) == lib.reverseList winners
  ) (tuples 4 levels);
  # The same through any nesting of mkIf and mkMerge.
  nested = holds (
    numbers:
    let
      strongest = least numbers;
      winners = lib.filter (n: lib.elemAt numbers n == strongest) (lib.range 0 3);
      definition = n: priority: mkIf true (mkMerge [ (mkIf true (mkOverride priority [ n ])) (mkIf false (mkOverride 1 [ 99 ])) ]);
    in
    x ints [ (mkMerge (lib.imap0 definition numbers)) ] == winners
  ) (tuples 4 levels);
  names = {
    expr = map (f: (f null).priority) [
      mkVMOverride
      mkForce
      mkImageMediaOverride
      mkDefault
      mkOptionDefault
    ];
    expected = [
      10
      50
      60
      1000
      1500
    ];
  };
  # A default is a definition of priority 1500.
  defaultJoins = {
    expr =
      map
        (
          definition:
          (config [
            { options.x = optionWith strs [ "default" ]; }
            { x = definition; }
          ]).x
        )
        [
          (mkOptionDefault [ "joined" ])
          (mkDefault [ "stronger" ])
          (mkOverride 1501 [ "weaker" ])
        ];
    expected = [
      [
        "default"
        "joined"
      ]
      [ "stronger" ]
      [ "default" ]
    ];
  };
  # An override around a set counts for each member, if the set is not itself
  # the value of an option.
  pushedDown = {
    expr =
      (config [
        {
          options.a = {
            one = option types.int;
            two = option types.int;
          };
        }
        {
          a = mkForce {
            one = 1;
            two = 1;
          };
        }
        {
          a.one = 2;
          a.two = 2;
        }
      ]).a;
    expected = {
      one = 1;
      two = 1;
    };
  };
  # …and throws away the others, if it is.
  forcedSet = {
    expr = x (types.attrsOf types.int) [
      { a = 1; }
      (mkForce { b = 2; })
    ];
    expected.b = 2;
  };
  memberForced = {
    expr = x (types.attrsOf types.int) [
      {
        a = mkDefault 1;
        b = 1;
        c = 1;
      }
      {
        a = 2;
        b = mkForce 2;
      }
    ];
    expected = {
      a = 2;
      b = 2;
      c = 1;
    };
  };
  forcedSubmodule = {
    expr = x (types.submodule {
      options.a = optionWith types.int 0;
      options.b = optionWith types.int 0;
    }) [
      { a = 1; }
      (mkForce { b = 2; })
    ];
    expected = {
      a = 0;
      b = 2;
    };
  };
  forcedEmptyList = {
    expr = x ints [
      [ 1 ]
      (mkForce [ ])
    ];
    expected = [ ];
  };
  highestPrio = {
    expr =
      map
        (
          definitions:
          (eval ([ { options.x = optionWith ints [ ]; } ] ++ map (x: { inherit x; }) definitions))
          .options.x.highestPrio
        )
        [
          [ ]
          [ [ 1 ] ]
          [
            (mkForce [ 1 ])
            [ 2 ]
          ]
          [ (mkDefault [ ]) ]
        ];
    expected = [
      1500
      100
      50
      1000
    ];
  };
  # Equal values of a plain type do not conflict.
  equalValues = {
    expr = x types.str [
      "a"
      "a"
      (mkDefault "b")
    ];
    expected = "a";
  };
  apply = {
    expr =
      (config [
        {
          options.x = mkOption {
            type = types.int;
            default = 1;
            apply = n: n * 10;
          };
        }
        { x = 2; }
      ]).x;
    expected = 20;
  };
}
