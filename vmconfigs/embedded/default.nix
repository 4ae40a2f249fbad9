# Evaluates NixOS modules where there is no nixpkgs.
#
#   nix-instantiate --eval --strict --json --read-write-mode \
#     -E '(import ./embedded { modules = [ /etc/nixos/configuration.nix ]; }).configuration'
#
# modules: as of nixosSystem. specialArgs: more arguments of every module.
# lib: another library of the same interface, to compare this one with.
# Result:
#   config, options   as lib.evalModules gives them
#   configuration     the whole host, ready for JSON: see ./render.nix
#   explain           path of an option, as a list -> where its value comes from
#   nearest           a name -> those of `pkgs` and `lib` that look like it
{
  modules,
  specialArgs ? { },
  lib ? import ./lib,
}:
let
  places = import ./options/places.nix;
  placeOf = name: places.${name} or (if lib.hasPrefix "programs/" name then name else null);

  # A module under the key that nixpkgs' has, by which it can be disabled.
  optionModule =
    name:
    let
      file = ./options + "/${name}";
      module = import file;
      placed =
        m:
        m
        // {
          key = "${toString ./modules}/${placeOf name}#${name}";
          _file = toString file;
        };
    in
    if placeOf name == null then
      file
    else if lib.isFunction module then
      lib.setFunctionArgs (args: placed (module args)) (lib.functionArgs module)
    else
      placed module;

  optionModules = map optionModule (import ./options);

  eval = lib.evalModules {
    class = "nixos";
    specialArgs = {
      modulesPath = toString ./modules;
    }
    // specialArgs;
    modules = optionModules ++ [ ./options/guest.nix ] ++ modules;
  };
in
{
  inherit lib;
  inherit (eval) config options;
  inherit (eval._module.args) pkgs;

  configuration = import ./render.nix {
    inherit (eval) config options;
    inherit lib;
    inherit (eval._module.args) pkgs utils;
  };

  explain =
    path:
    let
      found = lib.explainOption {
        inherit (eval) options config;
        inherit path;
      };
      # Those that only count (see there) are no reason for a value.
      told = lib.filter (def: def.file != toString ./options/nested.nix) found.definitions;
      strongest = lib.foldl' lib.min 9999 (map (def: def.priority) told);
    in
    if lib.length told == lib.length found.definitions then
      found
    else
      found
      // {
        priority = strongest;
        definitions = map (def: def // { wins = def.priority == strongest; }) told;
      };

  nearest =
    name:
    let
      known = lib.attrNames (eval._module.args.pkgs // lib // builtins);
      within = distance: lib.filter (lib.strings.levenshteinAtMost distance name) known;
    in
    lib.take 3 (lib.sortOn (lib.strings.levenshtein name) (within (if lib.stringLength name < 4 then 1 else 2)));
}
