# mkIf, mkMerge, mkAssert, and what is never looked at.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    ints
    option
    optionWith
    throws
    tuples
    holds
    types
    x
    ;
  inherit (lib) mkIf mkMerge mkAssert;
in
{
  # Nested conditions all have to hold.
  conjunction = holds (
    cs: x ints [ [ ] (lib.foldr mkIf [ 1 ] cs) ] == lib.optional (lib.all lib.id cs) 1
  ) (tuples 3 [ true false ]);
  # Under mkIf false nothing is looked at.
  lazy = {
    expr =
      (config [
        {
          options.on = optionWith types.bool false;
          options.a.b = optionWith types.int 1;
          options.set = optionWith (types.attrsOf types.int) { };
        }
        (
          { config, ... }:
          mkIf config.on {
            a.b = throw "looked at";
            set.x = throw "looked at";
          }
        )
      ]).a.b;
    expected = 1;
  };
  # A condition may depend on the options it sets others of.
  selfReference = {
    expr =
      (config [
        {
          options.a.enable = optionWith types.bool false;
          options.a.port = optionWith types.int 0;
        }
        ({ config, ... }: { a = mkIf config.a.enable { port = 8; }; })
        { a.enable = true; }
      ]).a.port;
    expected = 8;
  };
  isDefined = {
    expr =
      map
        (d: (eval [ { options.x = option types.int; } { x = d; } ]).options.x.isDefined)
        [
          1
          (mkIf false 1)
          (mkMerge [ ])
          (mkIf true (mkMerge [ 1 ]))
        ];
    expected = [
      true
      false
      false
      true
    ];
  };
  # A member under mkIf false is none, but in a lazy set.
  memberGone = {
    expr = [
      (x (types.attrsOf types.int) [ { a = mkIf false 1; b = 2; } ])
      (lib.attrNames (x (types.lazyAttrsOf types.int) [ { a = mkIf false 1; b = 2; } ]))
      (x (types.lazyAttrsOf (types.nullOr types.int)) [ { a = mkIf false 1; } ])
      (x ints [ [ 1 (mkIf false 2) 3 ] ])
    ];
    expected = [
      { b = 2; }
      [ "a" "b" ]
      { a = null; }
      [ 1 3 ]
    ];
  };
  assertion = {
    expr = [
      (x types.int [ (mkAssert true "never" 1) ])
      (throws (x types.int [ (mkAssert false "always" 1) ]))
      (throws (x types.int [ (mkIf "true" 1) ]))
    ];
    expected = [
      1
      true
      true
    ];
  };
  # A whole module may be conditional.
  moduleUnderCondition = {
    expr =
      (config [
        { options.x = optionWith types.int 0; }
        (mkIf true { x = 1; })
        (mkMerge [ { x = 1; } ] // { _type = "if"; condition = false; content = { x = 2; }; })
      ]).x;
    expected = 1;
  };
  mergedConfig = {
    expr =
      (config [
        { options.x = option ints; }
        {
          config = mkMerge [
            { x = [ 1 ]; }
            (mkIf false { x = [ 2 ]; })
            (mkIf true (mkMerge [ { x = [ 3 ]; } ]))
          ];
        }
      ]).x;
    expected = [ 1 3 ];
  };
}
