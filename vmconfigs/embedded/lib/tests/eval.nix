# Shorthands of the tests.
{ lib }:
rec {
  inherit (lib) mkOption types;
  option = type: mkOption { inherit type; };
  optionWith =
    type: default:
    mkOption { inherit type default; };
  eval = modules: lib.evalModules { inherit modules; };
  config = modules: (eval modules).config;
  # The value of one option `x` of this type, with these definitions, one a
  # module.
  x =
    type: definitions:
    (config ([ { options.x = option type; } ] ++ map (x: { inherit x; }) definitions)).x;
  throws = value: !(builtins.tryEval (builtins.deepSeq value value)).success;
  ints = lib.types.listOf lib.types.int;
  strs = lib.types.listOf lib.types.str;
  # All lists of `length` elements of `of`.
  tuples =
    length: of:
    if length == 0 then
      [ [ ] ]
    else
      lib.concatMap (rest: map (e: [ e ] ++ rest) of) (tuples (length - 1) of);
  # Those inputs for which the property does not hold.
  counterexamples = property: builtins.filter (input: !property input);
  holds = property: inputs: {
    expr = counterexamples property inputs;
    expected = [ ];
  };
}
