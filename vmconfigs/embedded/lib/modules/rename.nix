# Options that were renamed, removed, changed; and definitions carried over
# from one option to another.
{ lib }:
let
  inherit (lib.attrsets)
    attrByPath
    getAttrFromPath
    optionalAttrs
    recursiveUpdate
    setAttrByPath
    ;
  inherit (lib.lists) any foldl' optional;
  inherit (lib.options) mkOption showFiles showOption;
  inherit (lib.trivial) id warn warnIf;
  inherit (lib.modules)
    defaultOverridePriority
    mkIf
    mkMerge
    mkOverride
    ;

  # Definitions of an option, to be set elsewhere. They keep their properties.
  aliased =
    wrapEach: wrap: option:
    mkIf option.isDefined (wrap (mkMerge (wrapEach option)));
  renamed = from: to: "Obsolete option `${showOption from}' is used. It was renamed to `${showOption to}'.";
  unset = "_mkMergedOptionModule";
in
rec {
  mkAliasAndWrapDefinitions = aliased (option: option.definitions);
  mkAliasDefinitions = mkAliasAndWrapDefinitions id;
  # And their priority, which `definitions` no longer have. Where each stands
  # is kept beside it: it says more than the place of the alias.
  mkAliasAndWrapDefsWithPriority = aliased (
    option:
    map (
      def:
      mkOverride (option.highestPrio or defaultOverridePriority) def.value
      // optionalAttrs (def.pos or null != null) { origin = def.pos; }
    ) (option.definitionsWithLocations or (map (value: { inherit value; }) option.definitions))
  );
  mkAliasIfDef = warn "Usage of 'mkAliasIfDef' has been deprecated. Use 'mkIf option.isDefined' instead." (
    option: mkIf option.isDefined
  );
  mkDerivedConfig =
    option: f: mkOverride (option.highestPrio or defaultOverridePriority) (f option.value);

  mkRemovedOptionModule =
    path: instead:
    { options, ... }:
    let
      option = getAttrFromPath path options;
    in
    {
      options = setAttrByPath path (mkOption {
        visible = false;
        apply =
          _:
          throw "The option `${showOption path}' can no longer be used since it's been removed. ${instead}";
      });
      config.assertions = [
        {
          assertion = !option.isDefined;
          message = ''
            The option definition `${showOption path}' in ${showFiles option.files} no longer has any effect; please remove it.
            ${instead}
          '';
        }
      ];
    };

  mkRenamedOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = false;
      warn = true;
      use = builtins.trace (renamed from to);
    };
  mkRenamedOptionModuleWith =
    {
      from,
      to,
      # Year and month of the release that renamed it, e.g. 2411.
      sinceRelease,
    }:
    let
      old = lib.trivial.oldestSupportedReleaseIsAtLeast sinceRelease;
    in
    doRename {
      inherit from to;
      visible = false;
      warn = old;
      use = warnIf old (renamed from to);
    };
  mkAliasOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = true;
      warn = false;
      use = id;
    };
  mkAliasOptionModuleMD = warn "mkAliasOptionModuleMD is deprecated and will be removed in 26.05; please use mkAliasOptionModule." mkAliasOptionModule;

  mkChangedOptionModule = from: mkMergedOptionModule [ from ];
  # The value of `to` is computed from configuration once any of `from` is set.
  mkMergedOptionModule =
    from: to: merge:
    { config, options, ... }:
    let
      isSet = path: getAttrFromPath path config != unset;
    in
    {
      options = foldl' recursiveUpdate { } (
        map (
          path:
          setAttrByPath path (mkOption {
            visible = false;
            default = unset;
          })
        ) from
      );
      config = {
        warnings = map (
          path:
          "The option `${showOption path}' defined in ${showFiles (getAttrFromPath path options).files} has been changed to `${showOption to}' that has a different type. Please read `${showOption to}' documentation and update your configuration accordingly."
        ) (builtins.filter isSet from);
      }
      // setAttrByPath to (mkMerge (optional (any isSet from) (merge config)));
    };

  doRename =
    {
      # Paths of the old and of the new option.
      from,
      to,
      # Is the old one in the manual?
      visible,
      # Is using it a warning? Needs the option `warnings`.
      warn,
      # What reading the old one does with the new one's value.
      use,
      # Do definitions keep the priority they have in the old one?
      withPriority ? true,
      # Are definitions carried over at all?
      condition ? true,
    }:
    { config, options, ... }:
    let
      old = getAttrFromPath from options;
      type = (attrByPath to { } options).type or (lib.types.submodule { });
      carry = if withPriority then mkAliasAndWrapDefsWithPriority else mkAliasAndWrapDefinitions;
    in
    {
      options = setAttrByPath from (
        mkOption {
          inherit visible;
          description = "Alias of {option}`${showOption to}`.";
          apply =
            _: use (attrByPath to (abort "Renaming error: option `${showOption to}' does not exist.") config);
        }
        // optionalAttrs (type != null) { inherit type; }
      );
      config = mkIf condition (mkMerge [
        (optionalAttrs (options ? warnings) {
          warnings = optional (
            warn && old.isDefined
          ) "The option `${showOption from}' defined in ${showFiles old.files} has been renamed to `${showOption to}'.";
        })
        (carry (setAttrByPath to) old)
      ]);
    };
}
