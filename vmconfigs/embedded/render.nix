# The whole host as a value that can be JSON: what a machine is switched to,
# and what is compared with real NixOS. Fields of one subject are made by one
# file of ./render, each a function of the evaluation.
{
  config,
  options,
  lib,
  pkgs,
  utils,
}:
let
  inherit (pkgs.embedded) store packages;

  host = toString ./. + "/";

  context = {
    inherit
      config
      options
      lib
      pkgs
      utils
      store
      ;

    # Definitions of an option that do not come from this evaluator.
    definitionsOfUser =
      option: lib.filter (def: !lib.hasPrefix host (toString def.file)) option.definitionsWithLocations;

    isDeclaredByUser =
      option: lib.any (file: !lib.hasPrefix host (toString file)) option.declarations;
  };

  fields =
    import ./render/network.nix { inherit config options lib; }
    // import ./render/units.nix context
    // import ./render/files.nix context
    // import ./render/people.nix context
    // import ./render/system.nix context
    // import ./render/declared.nix context
    // {
      schema = 1;
      assertions = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
      inherit (config) warnings;
    };

  # All texts that are mentioned in the fields, and in one another.
  mentioned = store.contents (builtins.toJSON fields);
in
fields
// {
  storeFiles = lib.filterAttrs (_: file: file ? text) mentioned;
  storeLinks = lib.mapAttrs (_: file: file.target) (lib.filterAttrs (_: file: file ? target) mentioned);
  packages = lib.listToAttrs (
    map (
      package:
      lib.nameValuePair (toString package) {
        inherit (package) pname version programs debian;
        files = (import ./pkgs/files.nix).${package.pname} or { };
      }
    ) (lib.attrValues packages)
  );
}
