# nix-instantiate --eval --strict tests/default.nix
# A list of what fails: [ ] is a pass. Errors, whose text Nix cannot look at,
# are in errors.nix.
let
  lib = import ./..;
  # name -> { expr, expected }
  failures =
    file:
    let
      tests = import file { inherit lib; };
    in
    builtins.concatMap (
      name:
      let
        inherit (tests.${name}) expr expected;
      in
      if expr == expected then
        [ ]
      else
        [
          {
            test = "${baseNameOf file}: ${name}";
            inherit expected;
            result = expr;
          }
        ]
    ) (builtins.attrNames tests);
in
builtins.concatMap failures [
  ./strings.nix
  ./collections.nix
  ./generators.nix
  ./merge-order.nix
  ./priorities.nix
  ./conditions.nix
  ./submodules.nix
  ./imports.nix
  ./types.nix
  ./renames.nix
  ./positions.nix
]
