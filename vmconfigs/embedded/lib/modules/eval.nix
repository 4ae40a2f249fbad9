# evalModules: modules in, `config` and `options` out.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    mapAttrs
    seq
    ;
  inherit (lib.attrsets) recursiveUpdate setAttrByPath;
  inherit (lib.lists) length optional reverseList;
  inherit (lib.options) isOption mkOption;
  inherit (lib.trivial) warnIf;
  inherit (lib) types;

  valuesOf = mapAttrs (_: o: if isOption o then o.value else valuesOf o);

  internalFile = "lib/modules.nix";
  # `_module`: what modules can say to the module system itself.
  internalOptions = isRoot: {
    _module = {
      args = mkOption {
        # Lazy, so that arguments can be made from configuration.
        type = types.lazyAttrsOf types.raw;
        description = "Additional arguments passed to each module in addition to ones like `lib`, `config`, and `pkgs`, `modulesPath`.";
        ${if isRoot then null else "internal"} = true;
      };
      check = mkOption {
        type = types.bool;
        internal = true;
        default = true;
        description = "Whether to check whether all option definitions have matching declarations.";
      };
      freeformType = mkOption {
        type = types.nullOr types.optionType;
        internal = true;
        default = null;
        description = "The type that merges definitions without an associated option; null: such definitions are errors.";
      };
      specialArgs = mkOption {
        readOnly = true;
        internal = true;
        description = "Externally provided module arguments that can't be modified from within a configuration, but can be used in module imports.";
      };
    };
  };
  rootOptions = internalOptions true;
  nestedOptions = internalOptions false;

  evalModules =
    given@{
      modules,
      prefix ? [ ],
      # Arguments that are needed to find out what to import.
      specialArgs ? { },
      # Only modules of this _class, or of none.
      class ? null,
      # Deprecated: _module.args and _module.check.
      args ? { },
      check ? true,
    }:
    let
      regular =
        modules
        ++ optional (given ? args) { config._module.args = args; }
        ++ optional (given ? check) { config._module.check = lib.modules.mkDefault check; };

      internal = {
        _file = internalFile;
        key = internalFile;
        options = if prefix == [ ] then rootOptions else nestedOptions;
        config._module = {
          args = {
            inherit extendModules;
            moduleType = type;
          };
          inherit specialArgs;
        };
      };

      collected =
        lib.modules.collectModules class (specialArgs.modulesPath or "") (regular ++ [ internal ])
          (
            {
              inherit lib options specialArgs;
              _class = class;
              _prefix = prefix;
              config = addErrorContext "if you get an infinite recursion here, you probably reference `config` in `imports`. If you are trying to achieve a conditional import behavior dependent on `config`, consider importing unconditionally, and using `mkEnableOption` and `mkIf` to control its effect." config;
            }
            // specialArgs
          );

      merged = lib.modules.mergeModules prefix (reverseList collected);
      options = merged.matchedOptions;
      declared = valuesOf options;
      inherit (declared._module) freeformType;
      # Definitions without an option, each at its path. `above` says how many
      # names of that path are still to go until its own position holds.
      freeform = map (def: {
        inherit (def) file;
        pos = def.pos or null;
        above = length def.prefix;
        value = setAttrByPath def.prefix def.value;
      }) merged.unmatchedDefns;
      config =
        if freeformType == null || freeform == [ ] then
          declared
        else
          recursiveUpdate (freeformType.merge prefix freeform) declared;

      checked = seq (
        if freeformType == null && merged.unmatchedDefns != [ ] && config._module.check then
          throw (lib.modules.undeclared prefix options merged.unmatchedDefns)
        else
          null
      );

      extendModules =
        extension@{
          modules ? [ ],
          specialArgs ? { },
          prefix ? [ ],
        }:
        evalModules (
          given
          // {
            modules = regular ++ modules;
            specialArgs = given.specialArgs or { } // specialArgs;
            prefix = extension.prefix or given.prefix or [ ];
          }
        );

      type = types.submoduleWith { inherit modules specialArgs class; };
    in
    warnIf (given ? args)
      "The args argument to evalModules is deprecated. Please set config._module.args instead."
      warnIf
      (given ? check)
      "The check argument to evalModules is deprecated. Please set config._module.check instead."
      {
        _type = "configuration";
        options = checked options;
        config = checked (removeAttrs config [ "_module" ]);
        _module = checked config._module;
        inherit extendModules type class;
        # For explainOption: definitions that the freeform type merged.
        freeformDefinitions = freeform;
      };
in
{
  inherit evalModules;

  fixMergeModules =
    modules: args:
    evalModules {
      inherit modules args;
      check = false;
    };
}
